"""ID tokens at the service's own front door: a real key server, real tokens, real requests."""

import io
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.http.middleware import Middleware
from service.telemetry.logs import LogWriter, RequestLog
from tests.firestore_servers import BackgroundFirestore
from tests.service.access.issuer import (
    AUDIENCE,
    KeyServer,
    claims_of,
    ec_key,
    key_server,
    rsa_key,
    segment,
    signed,
    unsigned,
)
from tests.service.access.signed_in import KEY, SignedIn, signed_in
from tests.service.raw_http import raw_connection
from tests.service.running import running_service
from tests.waiting import until_async

PAGE = "https://app.example"


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    async with key_server() as issuer:
        yield issuer


@pytest.fixture
async def site(firestore: BackgroundFirestore, project: str, issuer: KeyServer) -> AsyncIterator[SignedIn]:
    async with signed_in(firestore, project, issuer, cors_origins=PAGE) as site:
        yield site


async def test_a_token_is_as_good_as_a_key(site: SignedIn) -> None:
    for headers in (
        {"Authorization": f"Bearer {site.issuer.token()}"},
        {"authorization": f"bearer   {site.issuer.token(key=ec_key())} "},
        {"Authorization": f"Bearer {KEY}"},
        {"X-API-Key": KEY},
    ):
        reply = await site.running.get("/status/import-1", headers=headers)
        assert (reply.status, reply.headers["X-Cache"]) == (200, "HIT"), headers


async def test_a_token_is_remembered_for_the_fast_way(site: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    token = site.issuer.token()
    assert (await site.get(token)).status == 200

    async def forbidden(*_: Any) -> None:
        raise AssertionError("a handler answers")

    monkeypatch.setattr(Middleware, "handle", forbidden)
    assert (await site.get(token)).status == 200
    assert (await site.get(token, "/status")).status == 200


async def test_a_refused_token_is_told_what_is_wrong_with_it(site: SignedIn) -> None:
    url, now = site.issuer.url, int(time.time())
    for claims, fault in (
        (claims_of(issuer=url, exp=now - 61), "the token has expired"),
        (claims_of(issuer=url, aud="other"), "the token is for another audience"),
        (claims_of(issuer="https://other.example"), "the token is from another issuer"),
        (claims_of(issuer=url, nbf=now + 90), "the token is not valid yet"),
    ):
        challenge = f'Bearer error="invalid_token", error_description="{fault}"'
        assert await site.refusal(signed(claims)) == (401, f"Not accepted: {fault}", challenge)
    unknown = signed(claims_of(issuer=url), rsa_key("rsa-2"))
    assert (await site.refusal(unknown))[
        1
    ] == "Not accepted: the token is signed with a key that its provider does not have"


async def test_why_a_key_is_wrong_is_never_told(site: SignedIn) -> None:
    replies = [
        await site.running.get("/status", headers=headers)
        for headers in (
            {},
            {"X-API-Key": "wrong"},
            {"X-API-Key": site.issuer.token()},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {KEY}"},
            {"Authorization": KEY},
            {"Authorization": site.issuer.token()},
        )
    ]
    assert {(reply.status, reply.headers["WWW-Authenticate"]) for reply in replies} == {(401, "Bearer")}
    assert {reply.body for reply in replies} == {
        b'{"status":"error","message":"An ID token or an API key is needed: send a token as'
        b" 'Authorization: Bearer TOKEN', a key as 'X-API-Key: KEY'\"}"
    }


async def test_a_token_means_nothing_where_only_keys_are_known(firestore: BackgroundFirestore, project: str) -> None:
    async with running_service(firestore.host, project, api_keys=KEY) as running:
        reply = await running.get("/status", headers={"Authorization": f"Bearer {signed(claims_of())}"})
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert reply.json()["message"].startswith("An API key is needed")


async def test_a_key_means_nothing_where_only_tokens_are_known(
    firestore: BackgroundFirestore, project: str, issuer: KeyServer
) -> None:
    async with signed_in(firestore, project, issuer, api_keys=()) as site:
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {}):
            reply = await site.running.get("/status", headers=headers)
            assert reply.status == 401
            assert reply.json()["message"] == "An ID token is needed: send it as 'Authorization: Bearer TOKEN'"
        assert (await site.running.get("/healthz")).status == 200
        assert (await site.running.get("/ui")).status == 200
        assert (await site.running.get("/ui/schema.json")).status == 401


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
async def test_two_headers_that_say_who_asks_are_refused(site: SignedIn, name: str) -> None:
    async with raw_connection(site.running.url) as connection:
        lines = "".join(f"{name}: {value}\r\n" for value in (f"Bearer {site.issuer.token()}", KEY))
        await connection.send(f"GET /status HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
        status, body = await connection.reply()
        assert (status, f"{name.lower()} is there twice".encode() in body) == (400, True)


async def test_callers_on_one_connection_are_told_apart(site: SignedIn) -> None:
    token = site.issuer.token()
    forged = f"{token.rpartition('.')[0]}.{segment(bytes(256))}"
    asked = [token, forged, token, KEY, "wrong", token, forged]
    requests = [f"GET /status/import-1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {each}\r\n\r\n" for each in asked]
    for _ in range(2):  # the token is remembered the second time
        async with raw_connection(site.running.url) as connection:
            await connection.send("".join(requests).encode())
            statuses = [(await connection.reply())[0] for _ in asked]
        assert statuses == [200, 401, 200, 200, 401, 200, 401]


async def test_a_token_expires_between_two_requests_of_a_connection(site: SignedIn) -> None:
    token = site.issuer.token(exp=time.time() - 60 + 1.0)

    async def is_refused() -> bool:
        reply = await site.get(token)
        assert reply.status in (200, 401)
        return reply.status == 401

    assert not await is_refused()
    await until_async(is_refused, "the token has expired")
    assert await site.refusal(token) == (
        401,
        "Not accepted: the token has expired",
        'Bearer error="invalid_token", error_description="the token has expired"',
    )


async def test_tokens_wait_for_the_provider_and_nothing_else_does(
    firestore: BackgroundFirestore, project: str, issuer: KeyServer
) -> None:
    issuer.status = 500
    async with signed_in(firestore, project, issuer) as site:
        reply = await site.get(issuer.token())
        assert (reply.status, int(reply.headers["Retry-After"]) >= 1) == (503, True)
        assert reply.json()["message"] == "ID tokens can't be checked at the moment; try again later"
        assert (await site.get(KEY)).status == 200
        ready = await site.get(KEY, "/readyz")
        assert ready.status == 200
        assert "; ID tokens cannot be checked, because the keys of their provider" in ready.json()["reason"]

        issuer.status = 200

        async def is_admitted() -> bool:
            return (await site.get(issuer.token())).status == 200

        await until_async(is_admitted, "the provider is back")
        assert "ID tokens" not in (await site.get(KEY, "/readyz")).json()["reason"]
        issuer.status = 500
        assert await is_admitted()


async def test_keys_rotate_in_the_middle_of_a_stream(
    site: SignedIn, firestore: BackgroundFirestore, project: str
) -> None:
    headers = {"Authorization": f"Bearer {site.issuer.token()}"}
    url = f"{site.running.url}/status/import-1/events"
    async with site.running.http.get(url, headers=headers) as stream:
        await stream.content.readuntil(b'"running"')
        site.issuer.publish(rsa_key("rsa-2"))
        assert (await site.get(site.issuer.token(key=rsa_key("rsa-2")))).status == 200
        assert (await site.refusal(site.issuer.token("bob")))[0] == 401  # its key is gone
        firestore.commit(project, {"webServiceLogs/import-1": {"status": "completed"}})
        await stream.content.readuntil(b'"completed"')


async def test_the_header_of_a_proxy_carries_the_token(
    firestore: BackgroundFirestore, project: str, issuer: KeyServer
) -> None:
    name = "X-Goog-IAP-JWT-Assertion"
    settings = {"auth_header": name, "cors_origins": PAGE, "auth_jwks_url": f"{issuer.url}/keys"}
    async with signed_in(firestore, project, issuer, **settings) as site:
        token = issuer.token(key=ec_key())
        for headers, status in (
            ({name: token}, 200),
            ({name: token, "Authorization": "Bearer of-another-proxy"}, 200),
            ({"Authorization": f"Bearer {token}"}, 401),
            ({name: f"{token}x"}, 401),
            ({name: f"{token}x", "X-API-Key": KEY}, 200),
        ):
            assert (await site.running.get("/status/import-1", headers=headers)).status == status, headers
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        allowed = (await site.running.request("OPTIONS", "/status", headers=asked)).headers
        assert name.lower() in allowed["Access-Control-Allow-Headers"].split(", ")
        document = (await site.running.get("/openapi.json", headers={"X-API-Key": KEY})).json()
        assert document["components"]["securitySchemes"]["id_token"]["name"] == name.lower()


async def test_the_auth_emulators_tokens_need_no_signature(
    firestore: BackgroundFirestore, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {
        "auth": "firebase",
        "firebase_auth_emulator_host": "127.0.0.1:9099",
        "listener": "stream",
    }
    claims = claims_of(issuer=f"https://securetoken.google.com/{project}", aud=project)
    async with running_service(firestore.host, project, **settings) as running:
        for claimed, status in ((claims, 200), ({**claims, "aud": AUDIENCE}, 401)):
            headers = {"Authorization": f"Bearer {unsigned(claimed)}"}
            assert (await running.get("/status", headers=headers)).status == status
    assert "ID tokens need no signature" in caplog.text


async def test_nothing_of_a_token_is_logged_answered_or_counted(
    firestore: BackgroundFirestore,
    project: str,
    issuer: KeyServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    lines = io.StringIO()
    writer = LogWriter(lines, lambda _: b"")
    request_log = RequestLog(writer, environment="production", level="INFO", project_id="p")
    good, late = issuer.token("s3cret-subject"), issuer.token("s3cret-subject", exp=1)
    forged = f"{good.rpartition('.')[0]}.{segment(b's3cret-signature')}"
    unknown = issuer.token("s3cret-subject", key=rsa_key("rsa-2"))
    said = []
    async with signed_in(firestore, project, issuer, request_log=request_log, environment="development") as site:
        for token in (good, good, late, forged, unknown, "s3cret.s3cret.s3cret", unsigned({"sub": "s3cret-subject"})):
            for path in ("/status/import-1", "/status?limit=x", "/nowhere", "/status/import-1/events?x=1"):
                reply = await site.get(token, path)
                said.append(reply.body.decode() + str(reply.headers))
        said.append((await site.get(KEY, "/metrics")).body.decode())
    writer.close()
    assert lines.getvalue().count('"message":"GET /nowhere 404"') == 2
    told = "".join((*said, caplog.text, lines.getvalue()))
    parts = {part for token in (good, late, forged, unknown) for part in token.split(".")}
    assert not [part for part in (*parts, "s3cret") if part in told]
