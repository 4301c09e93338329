"""What holds a loop is seen, by its thread's CPU time and by the clock; and no figure where it was not looked at."""

import asyncio
import threading
import time

import pytest

from benchmarks.refusal import NotMeasured
from benchmarks.turns import FEWEST_TURNS, Turns


def work(cpu_s: float) -> None:
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_the_longest_hold_is_found_among_many_turns() -> None:
    turns = Turns()
    turns.begin()
    await turn(FEWEST_TURNS)
    work(0.05)
    await turn(FEWEST_TURNS)
    work(0.02)
    await turn(1)
    holds = turns.end()
    assert 50 <= holds.cpu_ms < 60
    assert holds.wall_ms >= 50
    assert holds.turns >= 2 * FEWEST_TURNS


async def test_sleep_and_other_threads_are_no_work_of_the_loop() -> None:
    turns, other = Turns(), threading.Thread(target=work, args=(0.05,))
    turns.begin()
    await turn(FEWEST_TURNS)
    other.start()
    other.join()
    time.sleep(0.05)  # noqa: ASYNC251 - what is measured
    await turn(1)
    holds = turns.end()
    assert holds.wall_ms >= 100
    assert holds.cpu_ms < 40


async def test_what_was_before_does_not_count() -> None:
    turns = Turns()
    turns.begin()
    work(0.05)
    await turn(FEWEST_TURNS)
    turns.end()
    await turn(1)
    turns.begin()
    await turn(FEWEST_TURNS)
    assert turns.end().cpu_ms < 40


async def test_a_loop_that_was_hardly_seen_turning_was_not_measured() -> None:
    turns = Turns()
    turns.begin()
    await turn(FEWEST_TURNS // 2)
    with pytest.raises(NotMeasured, match="only"):
        turns.end()


async def test_a_clock_that_is_too_coarse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Coarse:
        resolution = 0.0156

    monkeypatch.setattr(time, "get_clock_info", lambda _: Coarse)
    with pytest.raises(NotMeasured, match=r"15\.6 ms"):
        Turns().begin()
