"""Requests have a part of each turn of the event loop, whoever waits has the next."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from time import perf_counter
from typing import Any, cast

import pytest

from service import app
from service.http.request_reader import RequestReader
from service.runtime import fair_queue
from service.runtime.fair_queue import HANDLER_S, QUIET_AFTER_S, QUIET_TURN_S, TURN_S, FairQueue
from service.telemetry.logs import current_trace
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import RawConnection, raw_connection, responses_in
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time import Clock, settle
from tests.waiting import PATIENCE_S, until

GET = b"GET /status/%b HTTP/1.1\r\nHost: service\r\n\r\n"


class Loop:
    """What FairQueue asks to be called soon is called when the test takes a turn."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.soon = list[Callable[[], None]]()
        self.queue = FairQueue(self.soon.append, clock=self.clock)
        self.served = list[str]()

    def turn(self) -> None:
        due, self.soon[:] = list(self.soon), []
        for callback in due:
            callback()

    def wait(self, name: str, takes_s: float = 0.0) -> None:
        def serve() -> None:
            self.served.append(name)
            self.clock.advance(takes_s)

        self.queue.enqueue(serve)


def test_a_turn_takes_requests_until_its_time_is_used_up() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    assert loop.queue.try_acquire(loop.clock.now + 0.9 * TURN_S)
    assert not loop.queue.try_acquire(loop.clock.now + TURN_S)


def test_a_request_with_a_task_of_its_own_uses_up_what_it_is_going_to_take() -> None:
    loop = Loop()
    taken = []
    for _ in range(7):
        taken.append(loop.queue.try_acquire(loop.clock.now))
        loop.queue.charge(HANDLER_S)
    assert (taken[:5], taken[6]) == ([True] * 5, False)


def test_the_next_turn_has_its_own_time() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    loop.clock.advance(TURN_S)
    assert not loop.queue.try_acquire(loop.clock.now)
    loop.turn()
    assert loop.queue.try_acquire(loop.clock.now)


def test_requests_have_more_of_a_turn_while_nothing_shortens_it() -> None:
    loop = Loop()
    loop.queue.shorten()
    assert not _takes_all_of(loop, QUIET_TURN_S)
    loop.clock.advance(QUIET_AFTER_S)
    assert _takes_all_of(loop, QUIET_TURN_S)
    loop.queue.shorten()
    assert not _takes_all_of(loop, QUIET_TURN_S)


def _takes_all_of(loop: Loop, seconds: float) -> bool:
    """Whether the next turn does, and no more than that."""
    loop.turn()
    loop.clock.advance(max(0.0, loop.queue.ends_at - loop.clock.now))
    assert loop.queue.try_acquire(loop.clock.now)
    assert not loop.queue.try_acquire(loop.clock.now + seconds)
    return loop.queue.try_acquire(loop.clock.now + 0.99 * seconds)


def test_shorten_ends_the_present_turn_early() -> None:
    loop = Loop()
    loop.queue.shorten()
    loop.clock.advance(QUIET_AFTER_S)
    assert loop.queue.try_acquire(loop.clock.now)
    loop.queue.shorten()
    assert loop.queue.try_acquire(loop.clock.now + 0.99 * TURN_S)
    assert not loop.queue.try_acquire(loop.clock.now + TURN_S)


def test_shorten_lets_no_request_overtake_queued_ones() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    loop.wait("a", takes_s=TURN_S)
    loop.wait("b")
    loop.turn()
    loop.queue.shorten()
    assert loop.queue.ends_at <= loop.clock.now
    loop.turn()
    assert loop.served == ["a", "b"]


def test_queued_requests_are_served_in_order_and_before_new_ones() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    for name in ("a", "b", "c"):
        loop.wait(name, takes_s=TURN_S / 2)
    assert not loop.queue.try_acquire(loop.clock.now)
    loop.turn()
    assert loop.served == ["a", "b"]
    assert loop.queue.ends_at <= loop.clock.now
    assert not loop.queue.try_acquire(loop.clock.now)
    loop.turn()
    assert loop.served == ["a", "b", "c"]
    assert loop.queue.try_acquire(loop.clock.now)


def test_every_turn_serves_a_request_however_long_it_takes() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    for name in ("a", "b"):
        loop.wait(name, takes_s=10 * TURN_S)
    loop.turn()
    assert loop.served == ["a"]
    loop.turn()
    assert loop.served == ["a", "b"]


def test_a_failing_request_delays_no_other_and_lets_none_overtake() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    loop.queue.enqueue(lambda: 1 / 0)  # type: ignore[arg-type]
    loop.wait("a")
    with pytest.raises(ZeroDivisionError):
        loop.turn()
    assert loop.queue.ends_at <= loop.clock.now
    loop.turn()
    assert loop.served == ["a"]


def test_a_failing_request_stops_no_other_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    loop.queue.enqueue(lambda: 1 / 0)  # type: ignore[arg-type]
    loop.wait("a")
    loop.queue.serve_all()
    assert loop.served == ["a"]
    assert "ZeroDivisionError" in caplog.text


def test_without_requests_no_turn_is_scheduled() -> None:
    loop = Loop()
    assert loop.queue.try_acquire(loop.clock.now)
    loop.turn()
    assert loop.soon == []


async def test_what_waits_is_not_served_in_the_context_of_the_request_that_began_the_turn() -> None:
    queue = app._fair_queue()
    served = list[tuple[str | None, str | None]]()

    def begin() -> None:
        current_trace.set(("another client's", None))
        assert queue.try_acquire(perf_counter())

    copy_context().run(begin)
    queue.enqueue(lambda: served.append(current_trace.get()))
    await until(lambda: served, "it is served")
    assert served == [(None, None)]


# -- in the service


@pytest.fixture
def firestore(local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch) -> str:
    host: str = local_firestore.host
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    _make_turns_last(monkeypatch, 0.0)  # one request, and no time left
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    return host


def _make_turns_last(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(fair_queue, "TURN_S", seconds)
    monkeypatch.setattr(fair_queue, "QUIET_TURN_S", seconds)


class Counted:
    """How many turns the loop has taken."""

    def __init__(self) -> None:
        self.turns = 0
        self._tick()

    def _tick(self) -> None:
        self.turns += 1
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._handle.cancel()


@pytest.mark.parametrize("process_id", [b"import-1", b"nobody"], ids=["a hit", "a 404"])
async def test_many_requests_at_once_leave_the_listener_its_turns(
    firestore: str, project: str, process_id: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with many_connections(running, 40) as connections:
            count = Counted()
            await asyncio.gather(*(each.send(GET % process_id) for each in connections))
            answers = [await each.reply() for each in connections]
            count.stop()
    assert {status for status, _ in answers} == {200 if process_id == b"import-1" else 404}
    assert count.turns >= 40


async def test_a_message_of_the_listener_shortens_the_turn(
    firestore: str, local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = list[float]()
    monkeypatch.setattr(FairQueue, "shorten", lambda _: hurried.append(perf_counter()))
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        told = len(hurried)
        local_firestore.commit(project, {f"{COLLECTION}/import-2": {"status": "running"}})
        await until(lambda: running.service.model.get("import-2") is not None, "the model knows it")
        assert len(hurried) > told


async def test_a_handled_request_is_charged_for_what_it_takes(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_turns_last(monkeypatch, HANDLER_S)  # one of them
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with many_connections(running, 40) as connections:
            count = Counted()
            await asyncio.gather(*(each.send(GET % b"nobody") for each in connections))
            for each in connections:
                await each.reply()
            count.stop()
    assert count.turns >= 40


async def test_what_comes_while_a_request_waits_is_answered_after_it(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            await connection.send(GET % b"import-1" + (GET % b"nobody")[:20])
            await held.until_waiting(1)
            await connection.send((GET % b"nobody")[20:])
            await connection.send(GET % b"import-1")
            held.let_go()
            assert [(await connection.reply())[0] for _ in range(3)] == [200, 404, 200]


async def test_a_client_that_sends_on_and_on_while_it_waits_is_read_no_further(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            await connection.send(GET % b"import-1")
            await held.until_waiting(1)
            sending = asyncio.create_task(connection.send((GET % b"import-1") * 2_000))
            (opened,) = cast("list[Any]", cast("Any", running.service.runner.server).connections)
            await until(lambda: not opened._backlog.is_reading, "it is read no further")
            held.let_go()
            assert {(await connection.reply())[0] for _ in range(2_001)} == {200}
            await sending


async def test_a_client_that_leaves_before_its_turn_is_counted_as_499(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        held = HeldQueue(monkeypatch)
        async with raw_connection(running.url) as connection:
            await connection.send(GET % b"import-1" + GET % b"nobody")
            await held.until_waiting(1)
        server = running.service.runner.server
        assert server is not None
        await until(lambda: not server.connections, "the connection is gone")
        held.let_go()
        assert await running.metric("http_requests_total", route="/status/{process_id}", code="499") == 2
        assert await running.metric("http_requests_total", route="/status/{process_id}", code="200") == 0


@pytest.mark.parametrize("process_id", [b"import-1", b"nobody"], ids=["a hit", "a 404"])
async def test_waiting_is_part_of_how_long_an_answer_took_and_comes_once(
    firestore: str, project: str, process_id: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            await connection.send(GET % process_id)
            await held.until_waiting(1)
            has_come_at = perf_counter()
            await until(lambda: perf_counter() - has_come_at > 0.02, "it waits longer than it takes")
            waited_s = perf_counter() - has_come_at
            held.serve()
            await connection.reply()
            held.let_go()
        seconds = await running.metric("http_request_duration_seconds_sum", route="/status/{process_id}")
        assert waited_s <= seconds < waited_s + 5


async def test_requests_that_wait_are_answered_before_the_end(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with many_connections(running, 20) as connections:
            held = HeldQueue(monkeypatch)
            for number, each in enumerate(connections):
                await each.send(GET % (b"nobody" if number % 2 else b"import-1"))
            await held.until_waiting(20)
            await running.service.runner.cleanup()
            statuses = [int((await each.all())[9:12]) for each in connections]
    assert statuses == [200, 404] * 10


async def test_a_connection_whose_waiting_request_fails_ends(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            await connection.send(GET % b"import-1")
            await held.until_waiting(1)
            with pytest.MonkeyPatch.context() as broken:
                broken.setattr(RequestReader, "feed", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    held.let_go()
            assert await connection.all() == b""


async def test_what_can_not_be_read_spoils_no_request_that_waits(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            await connection.send(GET % b"import-1")
            await held.until_waiting(1)
            await connection.send(b"nonsense\r\n\r\n")
            await settle()
            held.let_go()
            assert [status for status, _ in responses_in(await connection.all())] == [200, 400]


async def test_what_comes_piece_by_piece_while_a_request_waits_is_answered_in_order(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            for _ in range(3):
                for process_id in (b"import-1", b"nobody"):
                    await connection.send(GET % process_id)
                    await held.until_waiting(1)
                    await settle()
            held.let_go()
            assert [(await connection.reply())[0] for _ in range(6)] == [200, 404] * 3


@pytest.mark.parametrize("first", [b"import-1", b"nobody"])
async def test_a_connection_is_not_idle_while_a_request_waits(
    firestore: str, project: str, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        server = running.service.runner.server
        async with raw_connection(running.url) as connection:
            await connection.send(GET % first)
            await connection.reply()
            (opened,) = cast("list[Any]", server.connections)
            held = HeldQueue(monkeypatch)
            await connection.send(GET % b"import-1")
            await held.until_waiting(1)
            opened.arrived_at -= opened.keepalive_timeout_s
            opened._close_if_idle()
            held.let_go()
            assert (await connection.reply())[0] == 200


async def test_half_a_request_that_waits_is_not_waited_for_at_the_end(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0, drain_s=3600) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldQueue(monkeypatch)
            await connection.send((GET % b"import-1")[:-2])
            await held.until_waiting(1)
            async with asyncio.timeout(PATIENCE_S / 4):  # less than the head of a request may take
                await running.service.runner.cleanup()
            assert await connection.all() == b""


@asynccontextmanager
async def many_connections(running: RunningService, count: int) -> AsyncIterator[list[RawConnection]]:
    """To one service, all open."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw_connection(running.url)) for _ in range(count)]


class HeldQueue:
    """No turn takes requests until they are let go, or all served in the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._waiting = list[tuple[FairQueue, Callable[[], None]]]()
        monkeypatch.setattr(FairQueue, "try_acquire", lambda queue, now: False)
        monkeypatch.setattr(FairQueue, "enqueue", lambda queue, serve: self._waiting.append((queue, serve)))
        monkeypatch.setattr(FairQueue, "serve_all", lambda queue: self.let_go())

    async def until_waiting(self, count: int) -> None:
        await until(lambda: len(self._waiting) >= count, f"{count} wait")

    def serve(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, serve in waiting:
            serve()

    def let_go(self) -> None:
        self._patch.undo()
        self.serve()
