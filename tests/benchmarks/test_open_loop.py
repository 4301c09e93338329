"""The open loop: what is owed by when, and what counts where the server does not keep up."""

import asyncio

import pytest

from benchmarks.load.open_loop import OpenLoop, Pace
from benchmarks.load.target import Target
from service.demo.google_emulator import free_port
from tests.benchmarks.servers import OK, serving
from tests.waiting import until


def load_of(port: int, per_second: float, seconds: float, *, connections: int = 4, timeout_s: float = 30) -> OpenLoop:
    target = Target.of(f"http://127.0.0.1:{port}/status/import-1")
    return OpenLoop(target, target.requests([]), Pace(per_second, seconds, connections, timeout_s))


async def test_a_stall_is_charged_to_every_request_that_had_to_wait_for_it() -> None:
    """The server holds its first answer until the 60th of 100 requests is due, 295 ms after the first.

    So request k of the first sixty takes (59 - k) * 5 ms at least: 25 of 100 take more than 170 ms. Counted from when
    they were really sent, one alone would have been slow.
    """
    loads: list[OpenLoop] = []

    async def stall(_: bytes) -> bytes:
        await until(lambda: loads[0].outcome.begun >= 60, "sixty requests are due")
        return OK

    async with serving(stall) as port:
        loads.append(load_of(port, 200, 0.5, connections=1))
        await loads[0].run()
    outcome = loads[0].outcome
    assert (outcome.begun, outcome.answered) == (100, 100)
    assert outcome.latencies.percentile_ms(100) > 290
    assert outcome.latencies.percentile_ms(75) > 165
    assert outcome.latencies.percentile_ms(60) > 90


async def test_codes_and_sources_are_counted_and_errors_are_no_latency() -> None:
    answers = iter([OK, OK.replace(b"HIT", b"MISS"), b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", OK])

    async def answer(_: bytes) -> bytes:
        return next(answers)

    async with serving(answer) as port:
        load = load_of(port, 100, 0.04, connections=1)
        await load.run()
    assert load.outcome.answers == {200: 3, 429: 1}
    assert load.outcome.x_cache == {"HIT": 2, "MISS": 1}
    assert len(load.outcome.latencies) == 3
    assert not load.outcome.lost


async def test_a_request_that_is_never_answered_is_lost_and_counts_with_the_time_it_waited() -> None:
    forever = asyncio.Event()

    async def hang(_: bytes) -> bytes:
        await forever.wait()
        return b""

    async with serving(hang) as port:
        load = load_of(port, 100, 0.03, connections=1, timeout_s=0.2)
        await load.run()
        forever.set()
    assert load.outcome.lost.total() == 3
    assert load.outcome.answered == 0
    assert load.outcome.latencies.percentile_ms(0) > 150


async def test_a_server_that_closes_each_connection_is_asked_on_another() -> None:
    async def answer_once(_: bytes) -> bytes:
        return OK.replace(b"\r\nX-", b"\r\nConnection: close\r\nX-")

    async with serving(answer_once) as port:
        load = load_of(port, 100, 0.1, connections=2)
        await load.run()
    assert load.outcome.answers == {200: 10}


async def test_a_connection_that_breaks_costs_its_one_request() -> None:
    answers = iter([OK, b"", OK, OK])

    async def answer(_: bytes) -> bytes:
        return next(answers)

    async with serving(answer) as port:
        load = load_of(port, 100, 0.04, connections=1)
        await load.run()
    assert load.outcome.answers == {200: 3}
    assert load.outcome.lost == {"connection lost": 1}


@pytest.mark.parametrize("nonsense", [b"SSH-2.0\r\n\r\n", OK + OK])
async def test_what_is_no_answer_is_none(nonsense: bytes) -> None:
    async def answer(_: bytes) -> bytes:
        return nonsense

    async with serving(answer) as port:
        load = load_of(port, 100, 0.01, connections=1)
        await load.run()
    assert load.outcome.lost.total() + load.outcome.answered == 1


async def test_nobody_listening_is_told() -> None:
    load = load_of(free_port(), 100, 0.02)
    await load.run()
    assert load.outcome.lost == {"can't connect: Connection refused": 2}


async def test_what_is_there_when_it_is_ended_early_is_kept() -> None:
    async def answer(_: bytes) -> bytes:
        return OK

    async with serving(answer) as port:
        load = load_of(port, 200, 3600)
        running = asyncio.create_task(load.run())
        await until(lambda: load.outcome.answered >= 5, "some are answered")
        running.cancel()
        await asyncio.wait({running})
    outcome = load.outcome
    assert outcome.ended_at > outcome.started_at
    assert outcome.answered + outcome.lost.total() == outcome.begun
