"""Waiting for a change over HTTP: what ends a wait, and with which answer."""

import asyncio
from datetime import UTC, datetime

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, firestore_client, running_service, version_of, waiting
from tests.waiting import until

UNTIL_MESSAGE = "until must be statuses of 1 to 64 characters, separated by commas"
T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


async def put(collection: AsyncCollectionReference, process_id: str, status: str, **fields: object) -> int:
    """Write a process. Returns its version."""
    return version_of(await collection.document(process_id).set({"status": status, "start_time": T0, **fields}))


def seen(version: int, suffix: str = "") -> dict[str, str]:
    return {"If-None-Match": f'"v{version}{suffix}"'}


async def held(running: RunningService, collection: AsyncCollectionReference, status: str = "running") -> int:
    version = await put(collection, "import-1", status)
    await running.holds("import-1", version)
    return version


async def test_a_wait_is_answered_as_soon_as_the_version_differs(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    async with waiting(running, "/status/import-1?wait=60", **seen(version)) as request:
        assert await running.metric("watchers") == 1
        newer = await put(collection, "import-1", "completed")
        reply = await request

    assert (reply.status, reply.json()["status"]) == (200, "completed")
    assert (reply.headers["ETag"], reply.headers["X-Cache"]) == (f'"v{newer}"', "HIT")
    assert reply.headers["X-Request-Id"]
    assert "Preference-Applied" not in reply.headers
    await until(lambda: running.service.watchers.count == 0, "no request waits")
    assert await running.metric("http_requests_total", route="/status/{process_id}?wait", code="200") == 1
    assert await running.metric("http_requests_total", route="/status/{process_id}") == 0


async def test_a_wait_gets_the_answer_of_a_poll_and_keeps_its_connection(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))

    async def ask(path: str, extra: str = "") -> tuple[dict[str, str], bytes]:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n{extra}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in lines.items()}
        return headers, await reader.readexactly(int(headers["content-length"]))

    asked = asyncio.create_task(ask("/status/import-1?wait=60", f'If-None-Match: "v{version}"\r\n'))
    await until(lambda: running.service.watchers.count == 1, "the request waits")
    newer = await put(collection, "import-1", "running", products_processed=1)
    headers, body = await asked
    polled_headers, polled_body = await ask("/status/import-1")

    writer.close()
    assert (headers["etag"], headers["x-request-id"]) == (f'"v{newer}"', "mine")
    assert body == polled_body
    assert headers.keys() == polled_headers.keys()
    ages = ("age", "date")
    assert {key: headers[key] for key in headers if key not in ages} == {
        key: polled_headers[key] for key in headers if key not in ages
    }
    assert await running.metric("lookups_total", source="hit") == 2


async def test_a_wait_in_which_nothing_happens_ends_with_304(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    reply, preferred = await asyncio.gather(
        running.get("/status/import-1?wait=1", headers=seen(version)),
        running.get("/status/import-1", headers={**seen(version), "Prefer": "wait=1"}),
    )

    for answer in (reply, preferred):
        assert (answer.status, answer.headers["ETag"]) == (304, f'"v{version}"')
    assert preferred.headers["Preference-Applied"] == "wait=1"


async def test_a_client_that_knows_nothing_or_something_older_is_answered_at_once(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    for headers in ({}, seen(version - 1), seen(version, "-p")):
        reply = await running.get("/status/import-1?wait=60", headers=headers)
        assert (reply.status, reply.headers["ETag"]) == (200, f'"v{version}"')


async def test_until_terminal_waits_for_the_end_whatever_else_changes(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    async with waiting(running, "/status/import-1?wait=60&until=terminal") as request:
        await running.holds("import-1", await put(collection, "import-1", "running", products_processed=7))
        assert not request.done()
        last = await put(collection, "import-1", "failed")
        reply = await request
    assert (reply.status, reply.json()["status"]) == (200, "failed")
    again = await running.get("/status/import-1?wait=60&until=terminal", headers=seen(last))
    assert again.status == 304
    unseen = await running.get("/status/import-1?wait=60&until=terminal", headers=seen(version))
    assert (unseen.status, unseen.json()["status"]) == (200, "failed")


async def test_until_terminal_ends_with_the_present_state(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    reply, known = await asyncio.gather(
        running.get("/status/import-1?wait=1&until=terminal"),
        running.get("/status/import-1?wait=1&until=terminal", headers=seen(version)),
    )

    assert (reply.status, reply.json()["status"], known.status) == (200, "running", 304)


async def test_a_process_deleted_while_someone_waits_is_404(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    async with (
        waiting(running, "/status/import-1?wait=60", **seen(version)) as changed,
        waiting(running, "/status/import-1?wait=60&until=terminal") as ended,
    ):
        await collection.document("import-1").delete()
        replies = [await changed, await ended]

    assert [reply.status for reply in replies] == [404, 404]
    assert replies[0].json() == {"status": "error", "message": "Process with ID import-1 not found"}


async def test_products_may_be_waited_for_too(running: RunningService, collection: AsyncCollectionReference) -> None:
    version = await held(running, collection)

    path = "/status/import-1?wait=60&include_products=true"
    async with waiting(running, path, **seen(version, "-p")) as request:
        newer = await put(collection, "import-1", "running", products=[{"sku": "A-1"}])
        reply = await request

    assert (reply.status, reply.headers["ETag"]) == (200, f'"v{newer}-p"')
    assert reply.json()["products"] == [{"sku": "A-1"}]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("wait=0", "wait must be a whole number of seconds, at least 1"),
        ("wait=1.5", "wait must be a whole number of seconds, at least 1"),
        ("wait=-1", "wait must be a whole number of seconds, at least 1"),
        ("wait=", "wait must be a whole number of seconds, at least 1"),
        ("wait=1&wait=2", "wait can be given only once"),
        ("wait=1&until=done,", UNTIL_MESSAGE),
        ("wait=1&until=" + 65 * "x", UNTIL_MESSAGE),
        ("wait=1&after=yesterday", "after must be the version seen last, as its ETag has it: v and digits"),
        ("after=v5", "after needs wait: the seconds to wait at most"),
        ("until=terminal", "until needs wait: the seconds to wait at most"),
    ],
)
@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("listener_kind", ["stream"], indirect=True)
async def test_a_wait_that_can_not_be_is_400_and_says_why(running: RunningService, query: str, message: str) -> None:
    reply = await running.get(f"/status/import-1?{query}")
    assert (reply.status, reply.json()["message"]) == (400, message)


async def test_a_process_outside_the_window_is_kept_current_and_costs_no_read_a_second(
    firestore_host: str, local_firestore: BackgroundFirestore, project: str, client: AsyncClient, listener_kind: str
) -> None:
    collection = client.collection(COLLECTION)
    old = version_of(await collection.document("old").set({"status": "running", "start_time": T0.replace(year=2020)}))
    await put(collection, "import-1", "running")
    async with running_service(firestore_host, project, listener=listener_kind, window_size=1) as running:
        await running.synced()
        async with (
            waiting(running, "/status/old?wait=60", **seen(old)) as first,
            waiting(running, "/status/old?wait=60&until=terminal") as second,
        ):
            assert running.service.model.get("old") is None
            await until(lambda: running.service.watchers.followed("old"), "it is followed")
            change = {"status": "completed", "start_time": T0.replace(year=2020)}
            newer = version_of(await collection.document("old").set(change))
            replies = [await first, await second]
        assert [(reply.status, reply.headers["ETag"]) for reply in replies] == [(200, f'"v{newer}"')] * 2
        if firestore_host == local_firestore.host:
            assert replies[0].headers["X-Cache"] == "HIT"
        async with waiting(running, "/status/old?wait=60", **seen(newer)) as third:
            await collection.document("old").delete()
            assert (await third).status == 404
        assert await running.metric("firestore_reads_total", source="get") <= 3


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_a_client_that_goes_away_leaves_nothing(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    async with waiting(running, "/status/import-1?wait=60", **seen(version)):
        assert running.service.watchers.count == 1

    await until(lambda: running.service.watchers.count == 0, "no request waits")
    assert repr(running.service.watchers) == "<Watchers 0 open, of 0 processes>"
    assert await running.metric("watchers") == 0


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_more_waits_than_allowed_are_503(firestore_host: str, project: str, client: AsyncClient) -> None:
    async with running_service(firestore_host, project, listener="stream", max_watchers=1) as running:
        await running.synced()
        version = await held(running, client.collection(COLLECTION))
        async with waiting(running, "/status/import-1?wait=60", **seen(version)):
            refused = [
                await running.get(path, headers=seen(version))
                for path in ("/status/import-1?wait=60", "/status/import-1/events", "/events")
            ]
        assert [reply.status for reply in refused] == [503, 503, 503]
        assert all(int(reply.headers["Retry-After"]) >= 5 for reply in refused)
        assert (await running.get("/status/import-1")).status == 200


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_waits_end_with_304_when_the_server_stops(firestore_host: str, project: str, client: AsyncClient) -> None:
    async with running_service(firestore_host, project, listener="stream") as running:
        await running.synced()
        version = await held(running, client.collection(COLLECTION))
        async with waiting(running, "/status/import-1?wait=60", **seen(version)) as request:
            async with asyncio.timeout(4):
                await running.service.runner.cleanup()
            assert (await request).status == 304


async def test_a_lapsed_lease_ends_no_wait_and_the_change_ends_it_afterwards(
    project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BackgroundFirestore() as firestore:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
        async with (
            firestore_client(project) as client,
            running_service(
                firestore.host, project, listener="stream", listener_lease_s=1, probe_interval_s=0.2
            ) as running,
        ):
            await running.synced()
            version = await held(running, client.collection(COLLECTION))
            async with waiting(running, "/status/import-1?wait=60", **seen(version)) as request:
                with firestore.faults.stall_streams():
                    newer = await put(client.collection(COLLECTION), "import-1", "completed")
                    await until(lambda: not running.service.model.is_trusted(), "the lease has lapsed")
                    assert not request.done()
                reply = await request
            assert (reply.status, reply.headers["ETag"]) == (200, f'"v{newer}"')
