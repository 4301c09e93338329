"""Server-Sent Events over real sockets: what a standard client receives, and that it misses nothing."""

import asyncio
import gc
import socket
from datetime import UTC, datetime

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from service.http import event_streams
from service.http.event_streams import EventResponse
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import Event, event_source
from tests.service.raw_http import raw_connection
from tests.service.running import COLLECTION, RunningService, running_service, version_of, waiting
from tests.waiting import until, until_async

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


async def put(collection: AsyncCollectionReference, process_id: str, status: str, **fields: object) -> int:
    """Write a process. Returns its version."""
    return version_of(await collection.document(process_id).set({"status": status, "start_time": T0, **fields}))


async def test_a_stream_sends_the_present_state_every_change_and_ends(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    first = await put(collection, "import-1", "running")
    await running.holds("import-1", first)

    async with event_source(running, "/status/import-1/events") as source:
        assert source.status == 200
        assert source.headers["Content-Type"] == "text/event-stream"
        assert source.headers["Cache-Control"] == "no-cache"
        assert source.headers["X-Accel-Buffering"] == "no"
        assert source.headers["X-Request-Id"]
        assert (await source.take(1))[0].last_event_id == str(first)
        assert running.service.watchers.count == 1
        second = await put(collection, "import-1", "running", products_processed=7)
        (event,) = await source.take(1)
        body = (await running.get("/status/import-1")).json()
        assert event == Event("status", body, str(second))
        assert body["products_processed"] == 7
        third = await put(collection, "import-1", "completed")
        (last,) = await source.rest()
        assert (last.data["status"], last.last_event_id) == ("completed", str(third))
    await until(lambda: running.service.watchers.count == 0, "the stream is gone")


async def held(running: RunningService, collection: AsyncCollectionReference, status: str = "running") -> int:
    version = await put(collection, "import-1", status)
    await running.holds("import-1", version)
    return version


async def test_coming_back_with_the_last_id_skips_the_state_that_was_seen(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    for form in ("{}", "v{}", '"v{}"', 'W/"v{}"', '"v{}-gzip"'):
        async with event_source(running, "/status/import-1/events", form.format(version)) as source:
            assert source.status == 200
            newer = await put(collection, "import-1", "running", products_processed=version)
            (event,) = await source.take(1)
            assert event.last_event_id == str(newer)
            version = newer
            await running.holds("import-1", version)


async def test_the_stream_of_an_ended_process_sends_its_end_once_then_204(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection, "completed")

    async with event_source(running, "/status/import-1/events") as source:
        assert [event.last_event_id for event in await source.rest()] == [str(version)]
    async with event_source(running, "/status/import-1/events", str(version)) as source:
        assert source.status == 204
    assert (await running.get("/status/unknown/events")).json()["message"] == "Process with ID unknown not found"


async def test_a_deletion_is_sent_and_ends_the_stream(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    await held(running, collection)

    async with event_source(running, "/status/import-1/events") as source:
        await source.take(1)
        await collection.document("import-1").delete()
        (event,) = await source.rest()
    assert (event.name, event.data) == ("removed", {"process_id": "import-1", "deleted": True})


async def test_the_stream_of_all_begins_with_all_and_tells_changes_and_removals(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    for number in range(3):
        version = await put(collection, f"import-{number}", "running")
        await running.holds(f"import-{number}", version)

    async with event_source(running, "/events") as source:
        present = await source.take(3)
        assert {event.data["process_id"] for event in present} == {"import-0", "import-1", "import-2"}
        assert [event.last_event_id != "0" for event in present] == [False, False, True], "0 means nothing"
        version = await put(collection, "import-1", "completed")
        (event,) = await source.take(1)
        assert (event.name, event.data["status"]) == ("status", "completed")
        assert int(event.last_event_id) >= version
        await collection.document("import-2").delete()
        (event,) = await source.take(1)
        assert (event.name, event.data["process_id"]) == ("removed", "import-2")


async def test_a_filtered_stream_tells_when_a_process_ceases_to_match(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    await held(running, collection)
    await running.holds("other", await put(collection, "other", "completed"))

    async with event_source(running, "/events?status=running") as source:
        (event,) = await source.take(1)
        assert event.data["process_id"] == "import-1"
        await put(collection, "other", "completed", products_processed=1)
        await put(collection, "import-1", "completed")
        await put(collection, "new", "running")
        left, came = await source.take(2)
    assert (left.data["process_id"], left.data["status"]) == ("import-1", "completed")
    assert (came.data["process_id"], came.data["status"]) == ("new", "running")


async def test_an_id_from_before_the_log_resets_the_client(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)

    for last_event_id in ("1", "9" * 18, "x"):
        async with event_source(running, "/events", last_event_id) as source:
            reset, state = await source.take(2)
            assert (reset.name, state.name) == ("reset", "status")
            assert int(state.last_event_id) >= version


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("listener_kind", ["stream"], indirect=True)
async def test_a_client_that_does_not_read_is_dropped_and_others_do_not_notice(
    running: RunningService, local_firestore: BackgroundFirestore, project: str
) -> None:
    def commit(number: int) -> int:
        padding = "x" * 1000
        return local_firestore.commit(
            project,
            {
                f"{COLLECTION}/import-{which}": {"status": "running", "start_time": T0, "csv_url": f"{number}{padding}"}
                for which in range(100)
            },
        )

    port = int(running.url.rpartition(":")[2])
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    deaf.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    watchers = running.service.watchers
    await until(lambda: watchers.count == 1, "the deaf client is served")
    async with event_source(running, "/events") as reader:
        await until(lambda: watchers.count == 2, "the other client is served")
        number = 0
        while watchers.count == 2:
            number += 1
            assert number < 200
            await asyncio.to_thread(commit, number)
            heard = await reader.take(100)
            assert {event.data["csv_url"][: len(str(number))] for event in heard} == {str(number)}
    deaf.close()


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("listener_kind", ["stream"], indirect=True)
async def test_a_client_that_reads_nothing_is_dropped_without_a_change(
    running: RunningService, local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "STALL_S", 0.05)
    fields = {"status": "running", "start_time": T0, "csv_url": "x" * 10_000}
    version = local_firestore.commit(project, {f"{COLLECTION}/import-{which}": fields for which in range(200)})
    await running.holds("import-0", version)
    async with raw_connection(running.url) as deaf:
        deaf.stop_reading()
        await deaf.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: running.service.watchers.count == 1, "it is served")
        await until(lambda: running.service.watchers.count == 0, "it is given up")


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_streams_end_cleanly_when_the_server_stops(
    firestore_host: str, project: str, client: AsyncClient
) -> None:
    async with running_service(firestore_host, project, listener="stream") as running:
        await running.synced()
        await held(running, client.collection(COLLECTION))
        async with (
            event_source(running, "/status/import-1/events") as one,
            event_source(running, "/events") as every,
            running.http.get(f"{running.url}/events") as plain,
        ):
            await one.take(1)
            await every.take(1)
            async with asyncio.timeout(4):
                await running.service.runner.cleanup()
            assert [await one.rest(), await every.rest()] == [[], []]
            assert (await plain.read()).endswith(b"\n\n: this server is stopping; connect again\n\n")
        assert running.service.watchers.count == 0


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("listener_kind", ["stream"], indirect=True)
async def test_a_stream_is_counted_and_logged_once_with_its_own_status(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    await held(running, collection)

    async with event_source(running, "/status/import-1/events") as source:
        await source.take(1)
        assert await running.metric("http_requests_total", route="/status/{process_id}/events") == 0
    await until(lambda: running.service.watchers.count == 0, "the stream is gone")

    async def is_counted() -> bool:
        return await running.metric("http_requests_total", route="/status/{process_id}/events", code="200") == 1

    await until_async(is_counted, "the stream is counted")


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_no_stream_of_all_begins_before_the_model_has_synced(firestore_host: str, project: str) -> None:
    async with running_service(firestore_host, project, listener="stream", listener_lease_s=0.000001) as running:
        reply = await running.get("/events")
    assert (reply.status, "Retry-After" in reply.headers) == (503, True)


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
@pytest.mark.parametrize("listener_kind", ["stream"], indirect=True)
async def test_an_http_1_0_client_gets_a_stream_without_chunked_coding(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection, "completed")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
    writer.write(b"GET /status/import-1/events HTTP/1.0\r\n\r\n")

    head, _, blocks = (await reader.read()).partition(b"\r\n\r\n")

    writer.close()
    assert b"chunked" not in head
    assert blocks.startswith(b"retry: ")
    assert b"\n\nevent: status\nid: %d\ndata: {" % version in blocks


async def test_a_client_that_has_gone_leaves_nothing_for_a_garbage_collection(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)
    gc.collect()
    gc.disable()
    try:
        for path in ("/status/import-1/events", "/events"):
            async with event_source(running, path) as source:
                assert len(await source.take(1)) == 1
        await until(lambda: running.service.watchers.count == 0, "the streams are gone")
        async with waiting(running, "/status/import-1?wait=5", **known(version)) as poll:
            await put(collection, "import-1", "running", products_processed=8)
            assert (await poll).status == 200
        await running.http.close()  # aiohttp keeps a connection's last response while it is open
        await until(lambda: not left_behind(), "nothing is left behind")
    finally:
        gc.enable()


def known(version: int) -> dict[str, str]:
    return {"If-None-Match": f'"v{version}"'}


def left_behind() -> list[object]:
    """Responses written bit by bit since the last collection."""
    return [each for each in gc.get_objects(generation=0) if isinstance(each, EventResponse)]
