"""What stays on the fast path, what is handed over, and how a connection ends there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from service.http import server as http_server
from service.http.fast_path.canonical_requests import MAX_HEAD_BYTES
from service.http.fast_path.connection import MAX_AT_ONCE, FastConnection
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import RawConnection, raw_connection, responses_in
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time import Clock
from tests.waiting import until

GET = b"GET /status/import-1 HTTP/1.1\r\nHost: service\r\n\r\n"
LARGE = "https://example.com/" + "x" * 60_000


@pytest.fixture(autouse=True)
def version(local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the two processes held."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    fields = {"status": "running"}
    return local_firestore.commit(
        project, {f"{COLLECTION}/import-1": fields, f"{COLLECTION}/large": {**fields, "csv_url": LARGE}}
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def running(local_firestore: BackgroundFirestore, project: str, clock: Clock) -> AsyncIterator[RunningService]:
    """A service whose clock stands still; with an API key, so that keys may be sent."""
    async with running_service(
        local_firestore.host, project, listener="stream", window_size=0, clock=clock, api_keys="key-1"
    ) as running:
        yield await running.synced()


def request(*lines: bytes, target: bytes = b"/status/import-1", key: bytes = b"key-1") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: service\r\nX-Api-Key: %b\r\n" % (target, key) + b"".join(
        line + b"\r\n" for line in (*lines, b"")
    )


def open_connections(running: RunningService) -> list[FastConnection | http_server.JsonErrorHandler]:
    server = running.service.runner.server
    assert server is not None
    return list(server.connections)  # type: ignore[arg-type]


def on_fast_path(running: RunningService) -> int:
    """How many connections begin each request there."""
    transports = [
        each._transport if isinstance(each, FastConnection) else each.transport for each in open_connections(running)
    ]
    return sum(each is not None and isinstance(each.get_protocol(), FastConnection) for each in transports)


def answered_by_aiohttp(running: RunningService) -> int:
    """How many requests of the connections that are open."""
    handlers = [each for each in open_connections(running) if isinstance(each, http_server.JsonErrorHandler)]
    return sum(each._request_count for each in handlers)


async def aiohttp_is_done(running: RunningService) -> None:
    await until(
        lambda: all(
            each.has_answered_all
            for each in open_connections(running)
            if isinstance(each, http_server.JsonErrorHandler)
        ),
        "aiohttp has answered",
    )


async def answered(connection: RawConnection, data: bytes) -> int:
    """The status of the answer."""
    await connection.send(data)
    return (await connection.reply())[0]


@pytest.mark.parametrize(
    "sent",
    [
        request(),
        request(b"User-Agent: curl/8.1", b"Accept: */*"),
        request(b"If-None-Match: W/").replace(b"W/", b'"v1"'),
        request(b"X-Request-Id: mine", b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        request(b"Connection: keep-alive", b"Cookie: a=b", b"Origin: https://page.example"),
        request(target=b"/status"),
        request(target=b"/status/import-1?wait=1"),
        request(b'If-None-Match: "v1"', target=b"/status/import-1?wait=60"),
        request(target=b"/status?limit=5&status=running&start_date=2026-01-01T00:00:00%2B01:00"),
        request() * MAX_AT_ONCE,
    ],
)
async def test_what_clients_send_stays_on_the_fast_path(running: RunningService, sent: bytes) -> None:
    async with raw_connection(running.url) as connection:
        for _ in range(2):
            await connection.send(sent)
            for _ in range(sent.count(b"GET ")):
                assert (await connection.reply())[0] == 200
            assert on_fast_path(running) == 1


async def test_a_connection_remembers_no_more_than_one_head_may_be_long(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        for number in range(20):
            assert await answered(connection, request(b"User-Agent: %d" % number + b"x" * 3_000)) == 200
        (fast,) = [each for each in open_connections(running) if isinstance(each, FastConnection)]
        assert 3_000 < sum(map(len, fast._known)) <= MAX_HEAD_BYTES


async def test_a_list_that_has_not_changed_is_a_304_here_too(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request(target=b"/status?status=running"))
        (etag,) = re.findall(rb"Etag: (\S+)", await connection.head())
        await connection.rest(b'"next_page_token":null}')
        await connection.send(request(b"If-None-Match: " + etag, target=b"/status?status=running"))
        assert (await connection.head()).startswith(b"HTTP/1.1 304 ")
        assert (on_fast_path(running), answered_by_aiohttp(running)) == (1, 0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(target=b"/status/nobody"), 404),
        (request(target=b"/status/%69mport-1"), 200),
        (request(target=b"/status?limit=0"), 400),
        (request(target=b"/status?process_id=import-1"), 200),
        (request(target=b"/nowhere"), 404),
        (request(target=b"/metrics"), 200),
        (request(key=b"key-2"), 401),
        (request(b'If-None-Match: "other"'), 200),
        (request(b"Cache-Control: no-cache"), 200),
        (request().replace(b"X-Api-Key: key-1", b"Authorization: Bearer key-1, key-2"), 401),
    ],
)
async def test_a_request_without_a_body_is_lent_and_the_connection_comes_back(
    running: RunningService, sent: bytes, status: int
) -> None:
    async with raw_connection(running.url) as connection:
        for lent in range(1, 3):
            assert await answered(connection, sent) == status
            await aiohttp_is_done(running)
            assert await answered(connection, request()) == 200
            assert (on_fast_path(running), answered_by_aiohttp(running)) == (1, lent)


async def test_what_is_sent_before_the_lent_request_is_answered_is_answered_after_it(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request(target=b"/status/nobody"))
        await connection.send(request())
        assert [(await connection.reply())[0] for _ in range(2)] == [404, 200]
        assert await answered(connection, request()) == 200


async def test_who_leaves_while_lent_leaves_nothing_behind(running: RunningService) -> None:
    server = running.service.runner.server
    assert server is not None
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request(target=b"/status/nobody")) == 404
        assert on_fast_path(running) == 1
    await until(lambda: not server.connections, "it is gone")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"Prefer: wait=1"), 200),
        (request(b"Content-Length: 0"), 200),
        (request(b"X-Unknown: value"), 200),
        (request(b"Accept: a", b"Accept: b"), 200),
        (request(b"Cookie: " + b"c" * 8000), 200),
        (request(b"User-Agent: caf\xc3\xa9"), 200),
        (request() + request(target=b"/healthz"), 200),
    ],
)
async def test_anything_else_is_handed_over_for_good(running: RunningService, sent: bytes, status: int) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200
        assert on_fast_path(running) == 1
        assert await answered(connection, sent) == status
        assert await answered(connection, request()) == 200
        assert on_fast_path(running) == 0


async def test_a_lapsed_lease_ends_every_answer_from_here(running: RunningService, clock: Clock) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200
        running.service.model.confirm = lambda as_of: None  # type: ignore[method-assign] # Firestore is not heard
        clock.advance(15.1)
        await connection.send(request())
        assert b"X-Cache: HIT" not in await connection.head()
        assert answered_by_aiohttp(running) == 1


async def test_an_older_version_than_the_clients_is_not_answered_from_here(
    running: RunningService, version: int
) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request(b'If-None-Match: "v%d"' % (version + 1)))
        assert b"X-Cache: MISS" in await connection.head()
        assert answered_by_aiohttp(running) == 1


async def test_a_long_pipeline_does_not_hold_the_loop(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request() * (MAX_AT_ONCE + 1))
        for _ in range(MAX_AT_ONCE + 1):
            assert (await connection.reply())[0] == 200
        assert on_fast_path(running) == 0


async def test_the_rest_of_a_slow_head_is_waited_for_no_longer_than_by_aiohttp(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server.JsonErrorHandler, "head_timeout_s", 0.05)
    for begun in (b"GET /sta", request()[:-2]):
        async with raw_connection(running.url) as connection:
            assert await answered(connection, request()) == 200
            await connection.send(begun)
            ((status, answer),) = responses_in(await connection.all())
        assert status == 408
        assert json.loads(answer)["status"] == "error"


async def test_who_reads_nothing_is_handed_over_and_cut_off(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server.JsonErrorHandler, "reader_timeout_s", 0.05)
    server = running.service.runner.server
    assert server is not None
    async with raw_connection(running.url, limit=1024) as connection:
        connection.stop_reading()
        await until(lambda: on_fast_path(running) == 1, "it is connected")
        for _ in range(1000):
            if not server.connections:
                break
            try:
                await asyncio.wait_for(connection.send(request(target=b"/status/large") * MAX_AT_ONCE), 0.5)
            except (ConnectionError, TimeoutError):
                break
        await until(lambda: not server.connections, "the connection is gone")


async def test_a_slow_reader_gets_every_answer(running: RunningService) -> None:
    async with raw_connection(running.url, limit=1024) as connection:
        for _ in range(50):
            await connection.send(request(target=b"/status/large") * MAX_AT_ONCE)
        await until(lambda: on_fast_path(running) == 0, "it is handed over, for it does not read")
        for _ in range(50 * MAX_AT_ONCE):
            status, body = await connection.reply()
            assert (status, json.loads(body)["process_id"]) == (200, "large")
        assert await answered(connection, request()) == 200


async def test_an_idle_connection_is_closed_as_aiohttp_would(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server.JsonErrorServer, "keepalive_timeout_s", 0.2)
    for fast_path in (True, False):
        async with running_service(
            local_firestore.host, project, listener="stream", window_size=0, fast_path=fast_path
        ) as running:
            await running.synced()
            for paths in (["import-1"], ["nobody", "import-1"]):
                async with raw_connection(running.url) as connection:
                    for path in paths:
                        await connection.send(GET.replace(b"import-1", path.encode()))
                        await connection.reply()
                        await aiohttp_is_done(running)
                    assert on_fast_path(running) == fast_path
                    assert await connection.all() == b""


async def test_a_connection_that_has_been_lent_is_not_idle_while_it_is_used_here(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request(target=b"/status/nobody")) == 404
        (handler,) = open_connections(running)
        assert isinstance(handler, http_server.JsonErrorHandler)
        await until(lambda: handler._waiter is not None, "aiohttp counts how long it is idle")
        handler._next_keepalive_close_time = 0
        assert await answered(connection, request()) == 200
        assert handler._next_keepalive_close_time > 0


async def test_the_end_of_the_service_closes_idle_connections_and_loses_no_answer(running: RunningService) -> None:
    async with raw_connection(running.url) as idle, raw_connection(running.url) as busy:
        assert await answered(idle, request()) == 200
        await busy.send(request())
        await running.service.runner.cleanup()
        assert [status for status, _ in responses_in(await busy.all())] == [200]
        assert await idle.all() == b""


async def test_nothing_is_left_of_a_connection_that_has_gone(running: RunningService) -> None:
    server = running.service.runner.server
    assert server is not None
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200
        assert len(server.connections) == 1
    await until(lambda: not server.connections, "it is gone")


async def test_it_can_be_switched_off(local_firestore: BackgroundFirestore, project: str) -> None:
    async with running_service(
        local_firestore.host, project, listener="stream", window_size=0, fast_path=False
    ) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            assert await answered(connection, GET) == 200
            assert on_fast_path(running) == 0
