"""Requests have a part of each turn of the event loop, whoever waits has the next."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from service import turns
from service.turns import OTHER_S, TURN_S, Turns
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import RawConnection, raw_connection
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time import Clock
from tests.waiting import until

GET = b"GET /status/%b HTTP/1.1\r\nHost: service\r\n\r\n"


class Loop:
    """What Turns asks to be called soon is called when the test takes a turn."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.soon = list[Callable[[], None]]()
        self.turns = Turns(self.soon.append, clock=self.clock)
        self.served = list[str]()

    def turn(self) -> None:
        due, self.soon[:] = list(self.soon), []
        for callback in due:
            callback()

    def wait(self, name: str, takes_s: float = 0.0) -> None:
        def serve() -> None:
            self.served.append(name)
            self.clock.advance(takes_s)

        self.turns.wait(serve)


def test_a_turn_takes_requests_until_its_time_is_used_up() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    assert loop.turns.takes(loop.clock.now + 0.9 * TURN_S)
    assert not loop.turns.takes(loop.clock.now + TURN_S)


def test_a_request_with_a_task_of_its_own_uses_up_what_it_is_going_to_take() -> None:
    loop = Loop()
    taken = [loop.turns.takes(loop.clock.now, for_s=OTHER_S) for _ in range(7)]
    assert (taken[:5], taken[6]) == ([True] * 5, False)


def test_the_next_turn_has_its_own_time() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    loop.clock.advance(TURN_S)
    assert not loop.turns.takes(loop.clock.now)
    loop.turn()
    assert loop.turns.takes(loop.clock.now)


def test_whoever_waits_is_served_in_order_and_before_whoever_comes() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    for name in ("a", "b", "c"):
        loop.wait(name, takes_s=TURN_S / 2)
    assert not loop.turns.takes(loop.clock.now)
    loop.turn()
    assert loop.served == ["a", "b"]
    assert loop.turns.ends_at <= loop.clock.now
    assert not loop.turns.takes(loop.clock.now)
    loop.turn()
    assert loop.served == ["a", "b", "c"]
    assert loop.turns.takes(loop.clock.now)


def test_however_long_one_takes_every_turn_serves_one() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    for name in ("a", "b"):
        loop.wait(name, takes_s=10 * TURN_S)
    loop.turn()
    assert loop.served == ["a"]
    loop.turn()
    assert loop.served == ["a", "b"]


def test_one_that_fails_keeps_nobody_waiting() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    loop.turns.wait(lambda: 1 / 0)  # type: ignore[arg-type]
    loop.wait("a")
    with pytest.raises(ZeroDivisionError):
        loop.turn()
    loop.turn()
    assert loop.served == ["a"]


def test_without_requests_no_turn_is_asked_for() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    loop.turn()
    assert loop.soon == []


async def test_one_that_has_gone_away_uses_up_no_time() -> None:
    loop = Loop()
    assert loop.turns.takes(loop.clock.now)
    waiting = [asyncio.create_task(loop.turns.turn()) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:15]:
        task.cancel()
    await asyncio.sleep(0)
    loop.turn()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)


# -- in the service


@pytest.fixture
def firestore(local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch) -> str:
    host: str = local_firestore.host
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    return host


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
    monkeypatch.setattr(turns, "TURN_S", 1e-9)  # one request
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with many_connections(running, 40) as connections:
            count = Counted()
            await asyncio.gather(*(each.send(GET % process_id) for each in connections))
            answers = [await each.reply() for each in connections]
            count.stop()
    assert {status for status, _ in answers} == {200 if process_id == b"import-1" else 404}
    assert count.turns >= 40


async def test_what_comes_while_a_request_waits_is_answered_after_it(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldTurns(monkeypatch)
            await connection.send(GET % b"import-1" + (GET % b"nobody")[:20])
            await held.until_waiting(1)
            await connection.send((GET % b"nobody")[20:])
            await connection.send(GET % b"import-1")
            held.let_go()
            assert [(await connection.reply())[0] for _ in range(3)] == [200, 404, 200]


async def test_a_client_that_sends_on_and_on_while_it_waits_is_left_to_aiohttp(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with raw_connection(running.url) as connection:
            held = HeldTurns(monkeypatch)
            await connection.send(GET % b"import-1")
            await held.until_waiting(1)
            sending = asyncio.create_task(connection.send((GET % b"import-1") * 2_000))
            await held.until_waiting(2)  # aiohttp, with the first request
            held.let_go()
            assert {(await connection.reply())[0] for _ in range(2_001)} == {200}
            await sending


async def test_a_client_that_has_gone_away_while_it_waited_is_no_request(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        held = HeldTurns(monkeypatch)
        async with raw_connection(running.url) as connection:
            await connection.send(GET % b"import-1")
            await held.until_waiting(1)
        server = running.service.runner.server
        assert server is not None
        await until(lambda: not server.connections, "the connection is gone")
        held.let_go()
        assert await running.metric("http_requests_total", route="/status/{process_id}") == 0


async def test_requests_that_wait_are_answered_before_the_end(
    firestore: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore, project, listener="stream", window_size=0) as running:
        await running.synced()
        async with many_connections(running, 20) as connections:
            held = HeldTurns(monkeypatch)
            for number, each in enumerate(connections):
                await each.send(GET % (b"nobody" if number % 2 else b"import-1"))
            await held.until_waiting(20)
            await running.service.runner.cleanup()
            statuses = [int((await each.all())[9:12]) for each in connections]
    assert statuses == [200, 404] * 10


@asynccontextmanager
async def many_connections(running: RunningService, count: int) -> AsyncIterator[list[RawConnection]]:
    """To one service, all open."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw_connection(running.url)) for _ in range(count)]


class HeldTurns:
    """No turn takes requests until they are let go, or all served in the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._waiting = list[tuple[Turns, Callable[[], None]]]()
        monkeypatch.setattr(Turns, "takes", lambda turns, now, *, for_s=0.0: False)
        monkeypatch.setattr(Turns, "wait", lambda turns, serve: self._waiting.append((turns, serve)))
        monkeypatch.setattr(Turns, "serve_all", lambda turns: self.let_go())

    async def until_waiting(self, count: int) -> None:
        await until(lambda: len(self._waiting) >= count, f"{count} wait")

    def let_go(self) -> None:
        self._patch.undo()
        for _, serve in self._waiting:
            serve()
