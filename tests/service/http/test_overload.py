"""More than it can take: known processes are answered from the model all the same, the rest is refused in time.

Nobody holds anything for long: neither who writes slowly, nor who does not read, nor who went away.
IDLE_CONNECTIONS makes as many idle ones as one likes; ten thousand need `ulimit -n 25000`.
"""

import asyncio
import json
import os
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from benchmarks.processes import resident_bytes
from service.http.connection import Connection, State
from service.http.server import HttpServer
from service.runtime.slicer import STEPS_PER_SLICE
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import raw_connection, responses_in
from tests.service.running import COLLECTION, running_service
from tests.waiting import until

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
KNOWN = [f"import-{number}" for number in range(20)]
FLOOD = 1500
IDLE = int(os.environ.get("IDLE_CONNECTIONS", "500"))
IDLE_BYTES = 64 * 1024
"""What one idle connection may cost, both of its ends, for they are in this process."""
GET = b"GET %b HTTP/1.1\r\nHost: service\r\n\r\n"


@pytest.fixture(autouse=True)
def known(local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model holds."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    fields = {"status": "running", "start_time": T0, "csv_url": "https://example.com/" + "x" * 4000}
    local_firestore.commit(project, {f"{COLLECTION}/{process_id}": fields for process_id in KNOWN})


async def test_a_flood_of_made_up_ids_is_refused_and_known_ones_stay_hits(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    calls = local_firestore.calls["BatchGetDocuments"]
    async with running_service(
        local_firestore.host, project, listener="stream", fallback_rate=50, cache_max_bytes=100_000
    ) as running:
        await running.synced()
        seen: Counter[tuple[int, str]] = Counter()

        async def flood(start: int) -> None:
            async with raw_connection(running.url) as connection:
                for number in range(start, FLOOD, 10):
                    await connection.send(GET % b"/status/made-up-%d" % number)
                    status, body = await connection.reply()
                    assert status in (404, 503)
                    assert json.loads(body)["status"] == "error"
                    seen[status, "made up"] += 1

        async def poll() -> None:
            while seen.total() < FLOOD:
                for process_id in KNOWN:
                    reply = await running.get(f"/status/{process_id}")
                    seen[reply.status, reply.headers["X-Cache"]] += 1

        await asyncio.gather(poll(), *(flood(start) for start in range(10)))

        assert seen[200, "HIT"] > len(KNOWN)
        assert set(seen) == {(200, "HIT"), (404, "made up"), (503, "made up")}
        refused = await running.get("/status/made-up-once-more")
        if refused.status == 503:
            assert 1 <= int(refused.headers["Retry-After"]) <= 10
        reads = local_firestore.calls["BatchGetDocuments"] - calls
        assert reads < FLOOD / 2
        assert await running.metric("fallback_rejected_total") >= seen[503, "made up"]
        assert len(running.service.reads._gets) == 0
        assert running.service.reads._cache.size_bytes <= 100_000


async def test_a_request_that_arrives_byte_by_byte_is_408(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.05)
    async with running_service(local_firestore.host, project, listener="stream") as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            await connection.send(GET % b"/status/import-1")
            assert (await connection.reply())[0] == 200
            await connection.send(b"\r\nGET /status/import-1 HTTP/1.1\r\nHost: serv")
            told = await connection.all()
    assert b"\r\nX-Request-Id: " in told
    ((status, answer),) = responses_in(told)
    assert status == 408
    assert json.loads(answer) == {
        "status": "error",
        "message": "The request took too long to arrive",
    }


async def test_a_request_in_two_parts_is_answered_and_an_idle_connection_stays(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(local_firestore.host, project, listener="stream") as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            for _ in range(3):
                await connection.send(b"GET /status/import-1 HTTP/1.1\r\n")
                await connection.send(b"Host: service\r\n\r\n")
                assert (await connection.reply())[0] == 200
            monkeypatch.setattr(Connection, "head_timeout_s", 0.01)
            await connection.send(b"\r\n")  # some clients end a request with one line too many
            assert (await running.get("/healthz")).status == 200
            await connection.send(GET % b"/status/import-1")
            assert (await connection.reply())[0] == 200


async def test_a_client_that_does_not_read_is_cut_off_and_its_answers_freed(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "reader_timeout_s", 0.05)
    async with running_service(local_firestore.host, project, listener="stream") as running:
        await running.synced()
        async with raw_connection(running.url, limit=1024) as connection:
            connection.stop_reading()
            server = running.service.runner.server
            assert server is not None
            await until(lambda: len(server.connections) >= 1, "it is connected")
            for _ in range(200):
                try:
                    await asyncio.wait_for(connection.send((GET % b"/status/import-1") * 100), 0.5)
                except (ConnectionError, TimeoutError):
                    break
            await until(lambda: len(server.connections) == 0, "the connection is gone")
        assert (await running.get("/status/import-1")).headers["X-Cache"] == "HIT"


@pytest.mark.parametrize(
    ("begun", "waits"), [(b"", False), (GET % b"/status/import-1", False), (b"GET /sta", False), (b"GET /sta", True)]
)
async def test_clients_that_leave_together_are_closed_in_slices(
    begun: bytes, waits: bool, local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`waits`: what they have sent still waits for its turn."""
    loop = asyncio.get_running_loop()
    turn = 0
    closed_in: Counter[int] = Counter()

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count_turns)

    def closed(server: HttpServer, connection: Connection) -> None:
        closed_in[turn] += 1
        forget(server, connection)

    async with running_service(local_firestore.host, project, listener="stream") as running, AsyncExitStack() as stack:
        await running.synced()
        server = running.service.runner.server
        before = len(server.connections)
        clients = [await stack.enter_async_context(raw_connection(running.url)) for _ in range(100)]
        if waits:
            no_turns(server, monkeypatch)
        for client in clients:
            await client.send(begun)
        await until(lambda: len(server.connections) >= before + 100, "all are connected")
        if waits:
            await until(lambda: queued(server) == 100, "all wait for their turn")
        if begun.endswith(b"\r\n"):
            for client in clients:
                assert (await client.reply())[0] == 200
        forget = HttpServer.closed
        monkeypatch.setattr(HttpServer, "closed", closed)
        loop.call_soon(count_turns)
        for client in clients:
            client.end()
        await until(lambda: len(server.connections) <= before, "all are closed")
    assert sum(closed_in.values()) >= 100
    assert max(closed_in.values()) <= STEPS_PER_SLICE


def no_turns(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes from now on waits."""
    monkeypatch.setattr(server.fair_queue, "ends_at", 0.0)
    monkeypatch.setattr(server.fair_queue, "try_acquire", lambda _: False)
    monkeypatch.setattr(server.fair_queue, "enqueue", lambda _: None)


def queued(server: HttpServer) -> int:
    """How many connections wait for their turn."""
    return sum(connection._state is State.QUEUED for connection in server.connections)


async def test_idle_connections_delay_no_answer(local_firestore: BackgroundFirestore, project: str) -> None:
    async with running_service(local_firestore.host, project, listener="stream") as running, AsyncExitStack() as stack:
        await running.synced()
        before = resident_bytes()
        for _ in range(IDLE):
            await stack.enter_async_context(raw_connection(running.url))
        server = running.service.runner.server
        assert server is not None
        await until(lambda: len(server.connections) == IDLE, "all are connected")
        assert (resident_bytes() - before) / IDLE < IDLE_BYTES
        assert (await running.get("/status/import-1")).headers["X-Cache"] == "HIT"


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /status/%b HTTP/1.1\r\nHost: service\r\n\r\n" % (b"a" * 100_000),
        b"GET / HTTP/1.1\r\nHost: service\r\nX-Large: %b\r\n\r\n" % (b"a" * 100_000),
        b"GET / HTTP/1.1\r\nHost: service\r\n%b\r\n" % (b"X-Many: a\r\n" * 1000),
        b"GET /status?%b HTTP/1.1\r\nHost: service\r\n\r\n" % b"&".join([b"process_id=a"] * 10_000),
    ],
    ids=["path", "header", "headers", "query"],
)
async def test_what_is_too_large_is_a_4xx_in_json(
    local_firestore: BackgroundFirestore, project: str, request_head: bytes
) -> None:
    async with running_service(local_firestore.host, project, listener="stream") as running:
        async with raw_connection(running.url) as connection:
            sending = asyncio.create_task(connection.send(request_head))
            status, answer = responses_in(await connection.all())[0]
            await asyncio.gather(sending, return_exceptions=True)
        assert status in (400, 414, 431)
        assert json.loads(answer)["status"] == "error"
        assert (await running.get("/healthz")).status == 200


async def test_a_client_that_goes_away_frees_its_read_and_its_place_in_the_budget(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    async with running_service(
        local_firestore.host, project, listener="stream", fallback_concurrency=1, firestore_timeout_s=60
    ) as running:
        await running.synced()
        with local_firestore.faults.hold_calls("BatchGetDocuments"):
            async with raw_connection(running.url) as connection:
                await connection.send(GET % b"/status/nobody")
                await until(lambda: len(running.service.reads._gets) == 1, "the read is under way")
                assert (await running.get("/status/nobody-else")).status == 503
            await until(lambda: len(running.service.reads._gets) == 0, "the read is given up")
        assert (await running.get("/status/nobody-else")).status == 404
        assert not running.service.reads._tombstones.are_needed
