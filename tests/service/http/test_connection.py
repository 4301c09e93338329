"""How a connection is kept, bounded and ended, whatever its client does."""

import asyncio
import gc
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, cast

import pytest

from service.http import connection as connections
from service.http.backlog import MAX_BYTES, PIECE_BYTES
from service.http.connection import Connection, State
from service.http.requests import MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_TARGET_BYTES
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import RawConnection, raw_connection, responses_in
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time import Clock
from tests.waiting import until

LARGE = "https://example.com/" + "x" * 60_000
UNENDED = b"/status/import-1?wait=50&until=completed"
ROUTES = ["/status/nobody", "/status?limit=1", "/status/nobody/events", "/status/import-1/events", "/events", "/readyz"]


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


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector looks for no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def request(*lines: bytes, target: bytes = b"/status/import-1", key: bytes = b"key-1", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: service\r\nX-Api-Key: %b\r\n" % (method, target, key) + b"".join(
        line + b"\r\n" for line in (*lines, b"")
    )


def opened(running: RunningService) -> list[Connection]:
    """Those that are open."""
    return cast("Any", running.service.runner.server).connections  # type: ignore[no-any-return]


async def answered(connection: RawConnection, data: bytes) -> int:
    """The status of the answer."""
    await connection.send(data)
    return (await connection.reply())[0]


async def refused(running: RunningService, data: bytes) -> tuple[int, bytes]:
    """The status, and the head, of the last answer on a connection that is closed after it."""
    async with raw_connection(running.url) as connection:
        sending = asyncio.create_task(connection.send(data))
        received = await connection.all()
        await asyncio.gather(sending, return_exceptions=True)
    status, body = responses_in(received)[-1]
    assert json.loads(body)["status"] == "error"
    head = received[: -len(body)].rpartition(b"HTTP/1.")[2]
    assert head.startswith(b"1 ")
    assert b"Connection: close\r\n" in head
    return status, head


# -- what the model answers without a task


@pytest.mark.parametrize(
    "sent",
    [
        request(),
        request(b"User-Agent: curl/8.1", b"Accept: */*"),
        request(b'If-None-Match: W/"v1"'),
        request(b"X-Request-Id: mine", b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        request(b"Connection: keep-alive", b"Cookie: a=b", b"Origin: https://page.example"),
        request(b"X-Unknown: value"),
        request(b"User-Agent: caf\xc3\xa9"),
        request(target=b"/status"),
        request(target=b"/status/%69mport-1"),
        request(target=b"/status/import-1?wait=1"),
        request(b'If-None-Match: "v1"', target=b"/status/import-1?wait=60"),
        request(target=b"/status?limit=5&status=running&start_date=2026-01-01T00:00:00%2B01:00"),
        request() * (PIECE_BYTES // len(request()) + 3),
    ],
)
async def test_what_the_model_can_answer_needs_no_task(
    running: RunningService, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "_handle", lambda *_: pytest.fail("a task was made"))
    async with raw_connection(running.url) as connection:
        await connection.send(sent)
        for _ in range(sent.count(b"GET ")):
            assert (await connection.reply())[0] == 200


async def test_a_lapsed_lease_ends_every_answer_from_the_model(running: RunningService, clock: Clock) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200
        running.service.model.confirm = lambda as_of: None  # type: ignore[method-assign] # Firestore is not heard
        clock.advance(15.1)
        await connection.send(request())
        assert b"X-Cache: HIT" not in await connection.head()


async def test_an_older_version_than_the_clients_is_read_from_firestore(running: RunningService, version: int) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request(b'If-None-Match: "v%d"' % (version + 1)))
        assert b"X-Cache: MISS" in await connection.head()


async def test_a_list_that_has_not_changed_is_a_304(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request(target=b"/status?status=running"))
        (etag,) = re.findall(rb"Etag: (\S+)", await connection.head())
        await connection.rest(b'"next_page_token":null}')
        await connection.send(request(b"If-None-Match: " + etag, target=b"/status?status=running"))
        assert (await connection.head()).startswith(b"HTTP/1.1 304 ")


async def test_requests_behind_one_that_is_handled_are_answered_in_order(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        await connection.send(request(target=b"/status/nobody") + request())
        await connection.send(request(target=b"/nowhere") + request())
        assert [(await connection.reply())[0] for _ in range(4)] == [404, 200, 404, 200]


async def test_heads_are_written_alike_whichever_way_an_answer_took(running: RunningService) -> None:
    heads = []
    async with raw_connection(running.url) as connection:
        for line in (b"Accept: */*", b"Cache-Control: max-age=100"):
            await connection.send(request(line))
            heads.append(await connection.head())
            await connection.rest(b"}")
    alike = [re.sub(rb"(?<=X-Request-Id: )\w+|(?<=Date: )[^\r]+", b"", head) for head in heads]
    assert alike[0] == alike[1]


# -- bodies


async def test_a_compressed_body_costs_nothing_and_ends_its_connection(running: RunningService) -> None:
    body = gzip.compress(bytes(10_000_000))
    lines = [b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)]
    began = time.process_time()
    for method, key, status in ((b"POST", b"none", 401), (b"POST", b"key-1", 405), (b"GET", b"key-1", 200)):
        async with raw_connection(running.url) as connection:
            await connection.send(request(*lines, method=method, key=key) + body + request())
            assert [each for each, _ in responses_in(await connection.all())] == [status]
    assert time.process_time() - began < 0.5  # to inflate them takes some seconds


async def test_an_endless_body_is_answered_and_cut_off(running: RunningService) -> None:
    """The client writes 64 MiB, and does not look at its answer."""
    async with raw_connection(running.url) as connection:
        await connection.send(request(b"Transfer-Encoding: chunked", method=b"PUT"))
        assert (await connection.head()).startswith(b"HTTP/1.1 405 ")
        chunks = b"".join([b"10000\r\n" + bytes(0x10000) + b"\r\n"] * 1024)
        with pytest.raises(ConnectionError):
            await connection.send(chunks)
        await until(lambda: not opened(running), "it is cut off")


@pytest.mark.parametrize("expect", [b"100-continue", b"100-Continue"])
async def test_a_body_that_waits_for_its_go_ahead_gets_the_answer_instead(
    running: RunningService, expect: bytes
) -> None:
    status, _ = await refused(running, request(b"Expect: " + expect, b"Content-Length: 5", method=b"POST"))
    assert status == 405


@pytest.mark.parametrize(("key", "status"), [(b"key-1", 417), (b"none", 401)])
@pytest.mark.parametrize("target", [b"/status/import-1", b"/nowhere", b"/status/import-1/events"])
async def test_any_other_expectation_is_417(running: RunningService, key: bytes, status: int, target: bytes) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request(b"Expect: \xff", target=target, key=key)) == status
        assert await answered(connection, request()) == 200


# -- what breaks HTTP, or its bounds


@pytest.mark.parametrize("host", [b"a/b@c", b"a b", b"a,b:c:d", b"http://a", b"[::1", b"a:b", b"\xff"])
async def test_a_host_that_is_none_is_400(running: RunningService, host: bytes) -> None:
    status, _ = await refused(running, b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host + request())
    assert status == 400


@pytest.mark.parametrize("host", [b"", b"a", b"a:", b"a.example:8080", b"[::1]:80", b"127.0.0.1", b"a_b"])
async def test_a_host_that_can_be_one_is_served(running: RunningService, host: bytes) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host) == 200


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity", b"chunked, chunked"])
async def test_a_transfer_coding_but_chunked_is_501(running: RunningService, coding: bytes) -> None:
    status, _ = await refused(running, request(b"Transfer-Encoding: " + coding) + b"0\r\n\r\n" + request())
    assert status in (501, 400) if coding == b"chunked, chunked" else status == 501


@pytest.mark.parametrize("part", [4096, 1_000, 100_000])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(target=b"/status?" + b"a" * MAX_TARGET_BYTES), 414),
        (b"GET /" + b"a" * (MAX_TARGET_BYTES + 1), 414),
        (request(b"Cookie: " + b"a" * MAX_HEADER_BYTES), 431),
        (b"GET / HTTP/1.1\r\nCookie: " + b"a" * (MAX_TARGET_BYTES + MAX_HEADER_BYTES + 4096), 431),
        (request(*[b"A: b"] * MAX_HEADER_LINES), 431),
    ],
    ids=["target", "endless target", "header", "endless header", "headers"],
)
async def test_what_is_too_large_is_refused_however_it_is_sent(
    running: RunningService, data: bytes, status: int, part: int
) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200

        async def send() -> None:
            for place in range(0, len(data), part):
                await connection.send(data[place : place + part])

        sending = asyncio.create_task(send())
        ((told, _),) = responses_in(await connection.all())
        await asyncio.gather(sending, return_exceptions=True)
    assert told == status


async def test_a_target_of_32_kib_is_taken(running: RunningService) -> None:
    target = b"/status?" + b"&".join([b"process_id=" + b"%61" * 100] * 100)
    async with raw_connection(running.url) as connection:
        assert len(target) < MAX_TARGET_BYTES
        await connection.send(request(target=target))
        assert (await connection.head()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("before", [b"", request(), request(target=b"/status/nobody"), request() * 20])
@pytest.mark.parametrize("begun", [b"GET /sta", request()[:-2], request()[:-1], b"G"])
async def test_half_a_head_is_408_whatever_was_answered_before_it(
    running: RunningService, before: bytes, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.1)
    async with raw_connection(running.url) as connection:
        await connection.send(before + begun)
        statuses = [status for status, _ in responses_in(await connection.all())]
    assert statuses[-1] == 408
    assert len(statuses) == 1 + before.count(b"GET ")


async def test_a_pipeline_cut_within_its_heads_is_never_late(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.05)
    async with raw_connection(running.url) as connection:
        await connection.send(request()[:20])
        ends_at = time.perf_counter() + 0.15
        while time.perf_counter() < ends_at:
            assert await answered(connection, request()[20:] + request()[:20]) == 200


async def test_another_protocol_is_never_begun(running: RunningService) -> None:
    upgrade = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
    async with raw_connection(running.url) as connection:
        await connection.send(request(*upgrade) + request(*upgrade, target=b"/status/nobody") + request()[:20])
        assert [(await connection.reply())[0] for _ in range(2)] == [200, 404]
        assert await answered(connection, request()[20:]) == 200


# -- clients that leave


@pytest.mark.parametrize("path", ROUTES)
async def test_a_client_that_leaves_at_once_is_a_499_on_every_route(
    running: RunningService, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = cast("Any", running.service.runner.server)
    for turns in range(8):
        transport = LostTransport()
        connection = server()
        connection.connection_made(transport)
        connection.data_received(request(target=path.encode()))
        for _ in range(turns):
            await asyncio.sleep(0)
        transport.closing = True
        connection.connection_lost(None)
        await asyncio.sleep(0)
    await until(lambda: not opened(running), "all are gone")
    running.service.metrics.publish()
    counted: Counter[str] = Counter()
    for family in running.service.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "process_status_http_requests_total":
                counted[sample.labels["code"]] += int(sample.value)
    counted = +counted
    await until(lambda: running.service.watchers.count == 0, "nothing is watched")
    assert counted.total() == 8
    assert set(counted) <= {"499", "200", "404"}
    assert path == "/status?limit=1" or counted["499"] >= 1  # which is answered in the step in which it is read
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


class LostTransport(asyncio.Transport):
    """What a client has that is about to leave."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def write(self, data: object) -> None:
        """Nobody reads it."""

    write_eof = close = abort = set_write_buffer_limits = lambda *_, **__: None

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closing


@pytest.mark.parametrize(
    "sent",
    [
        request(target=UNENDED),
        request(b"Content-Length: 9999999", target=UNENDED),
        request(b"Connection: Upgrade", b"Upgrade: websocket", target=UNENDED),
        request(target=b"/status/nobody?wait=50"),
        request(target=b"/status/import-1/events"),
    ],
    ids=["malformed", "abandoned", "upgrade", "handled wait", "events"],
)
async def test_a_client_that_leaves_unread_bytes_behind_its_wait_leaves_nothing(
    running: RunningService, sent: bytes, monkeypatch: pytest.MonkeyPatch, uncollected: None
) -> None:
    def stalled(sending: "asyncio.Task[None]") -> bool:
        return sending.done() or any(not each._backlog.is_reading for each in opened(running))

    monkeypatch.setattr(Connection, "unread_timeout_s", 0.05)
    for _ in range(5):
        async with raw_connection(running.url) as connection:
            sending = asyncio.create_task(connection.send(sent + bytes(2_000_000)))
            await until(partial(stalled, sending), "nothing more is read")
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    await until(lambda: (opened(running), running.service.watchers.count) == ([], 0), "all have left")
    await until(lambda: not any(type(each) is Connection for each in gc.get_objects()), "no cycle keeps one")


async def test_a_pipeline_longer_than_the_backlog_is_answered_whole(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "unread_timeout_s", 0.01)
    count = 3 * MAX_BYTES // len(request())
    async with raw_connection(running.url) as connection:
        sending = asyncio.create_task(connection.send(request() * count))
        for _ in range(count):
            assert (await connection.reply())[0] == 200
        await sending


async def test_nothing_is_left_of_a_connection_that_has_gone(running: RunningService) -> None:
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200
        assert len(opened(running)) == 1
    await until(lambda: not opened(running), "it is gone")


async def test_a_failure_while_a_connection_ends_keeps_nothing_else_from_ending(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = cast("Any", running.service.runner.server)
    async with raw_connection(running.url) as connection:
        await connection.send(request(b'If-None-Match: "v{now}"', target=b"/status/import-1?wait=50&until=terminal"))
        await until(lambda: running.service.watchers.count == 1, "it waits")
        monkeypatch.setattr(Connection, "_abandon_rest", lambda _: 1 / 0)
        monkeypatch.setattr(server.accounting, "abandoned", lambda *_: 1 / 0)
        (waiting,) = opened(running)
        with pytest.raises(ZeroDivisionError):
            waiting.connection_lost(None)
        assert (running.service.watchers.count, opened(running), waiting.transport) == (0, [], None)


# -- clients that do not read, or do nothing


async def test_a_client_that_reads_nothing_is_cut_off(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "reader_timeout_s", 0.05)
    async with raw_connection(running.url, limit=1024) as connection:
        connection.stop_reading()
        await until(lambda: opened(running), "it is connected")
        for _ in range(1000):
            if not opened(running):
                break
            try:
                await asyncio.wait_for(connection.send(request(target=b"/status/large") * 16), 0.5)
            except (ConnectionError, TimeoutError):
                break
        await until(lambda: not opened(running), "the connection is gone")


async def test_a_slow_reader_gets_every_answer(running: RunningService) -> None:
    async with raw_connection(running.url, limit=1024) as connection:
        sending = asyncio.create_task(connection.send(request(target=b"/status/large") * 800))
        await until(lambda: opened(running) and opened(running)[0]._state is State.BLOCKED, "it does not read")
        for _ in range(800):
            status, body = await connection.reply()
            assert (status, json.loads(body)["process_id"]) == (200, "large")
        await sending
        assert await answered(connection, request()) == 200


async def test_an_idle_connection_is_closed(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "keepalive_timeout_s", 0.2)
    for targets in ([b"/status/import-1"], [b"/status/nobody", b"/status/import-1"], []):
        async with raw_connection(running.url) as connection:
            for target in targets:
                await connection.send(request(target=target))
                await connection.reply()
            assert await connection.all() == b""


async def test_where_descriptors_run_short_unused_connections_are_closed_first(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = cast("Any", running.service.runner.server)
    async with raw_connection(running.url) as kept, raw_connection(running.url) as unused:
        assert await answered(kept, request()) == 200
        await until(lambda: len(opened(running)) == 2, "both are connected")
        assert server.close_silent(16, 0.0) == 0
        monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.0)
        assert server.close_silent(16, 0.0) == 1
        assert await unused.all() == b""
        assert await answered(kept, request()) == 200
        await until(lambda: server.close_silent(16, 0.0) == 1, "it is closed where there is no other")


# -- the end of the service


async def test_at_the_end_what_arrives_on_idle_connections_is_answered(running: RunningService) -> None:
    async with raw_connection(running.url) as idle, raw_connection(running.url) as busy:
        assert await answered(idle, request()) == 200
        assert await answered(busy, request(target=b"/status/nobody")) == 404
        server = cast("Any", running.service.runner.server)
        ending = asyncio.create_task(running.service.runner.cleanup())
        await until(lambda: server.is_closing, "the end has begun")
        for target, status in ((b"/status/import-1", b"200"), (b"/status/nobody", b"404")):
            await busy.send(request(target=target))
            head = await busy.head()
            assert head.startswith(b"HTTP/1.1 " + status)
            assert b"Connection: close\r\n" in head
            busy = idle
        await ending
        assert await idle.rest(b"}")
        assert await idle.all() == b""


async def test_at_the_end_a_pipeline_that_has_arrived_is_answered_whole(running: RunningService) -> None:
    targets = [b"/status/import-1", b"/status/nobody", b"/status", b"/status/import-1?wait=1"] * 50
    server = cast("Any", running.service.runner.server)
    async with raw_connection(running.url) as connection:
        assert await answered(connection, request()) == 200
        server.pre_shutdown()
        await connection.send(b"".join(request(target=target) for target in targets))
        received = await connection.all()
    assert [status for status, _ in responses_in(received)] == [200, 404, 200, 200] * 50
    assert received.count(b"Connection: close\r\n") == 1
    assert b"Connection: close\r\n" in received.rpartition(b"HTTP/1.1 ")[2]


async def test_at_the_end_a_pipeline_is_answered_as_far_as_it_had_arrived_in_time(
    running: RunningService, local_firestore: BackgroundFirestore, project: str
) -> None:
    server = cast("Any", running.service.runner.server)
    wait = request(target=b"/status/import-1?wait=50&until=completed")
    async with raw_connection(running.url) as connection:
        await connection.send(wait + request(target=b"/status") + request()[:20])
        await until(lambda: running.service.watchers.count == 1, "it waits")
        server.pre_shutdown()
        server.is_over = True
        await connection.send(request()[20:] + request())
        await until(lambda: opened(running)[0]._discarded, "what came too late has come")
        local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "completed"}})
        assert [status for status, _ in responses_in(await connection.all())] == [200, 200]


async def test_at_the_end_idle_connections_are_closed_after_a_moment(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.1)
    async with raw_connection(running.url) as idle:
        assert await answered(idle, request()) == 200
        await running.service.runner.cleanup()
        assert await idle.all() == b""
