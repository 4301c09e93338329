"""Long work leaves the event loop its turns, in order where that is asked for; failures end alone."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.runtime.failure_log import FailureLog
from service.runtime.slicer import STEPS_PER_SLICE, Slicer, finish, sliced
from tests.service.virtual_time import Clock


@pytest.mark.parametrize(("items", "turns"), [(0, 0), (31, 0), (32, 1), (80, 2), (320, 10)])
async def test_sliced_gives_the_loop_a_turn_after_each_32_items(items: int, turns: int) -> None:
    async def collect() -> list[int]:
        return [item async for item in sliced(range(items))]

    task, turned = asyncio.create_task(collect()), -1  # the first turn is the task's start
    while not task.done():
        await asyncio.sleep(0)
        turned += 1
    assert task.result() == list(range(items))
    assert turned == turns


@pytest.mark.parametrize(("steps", "turns"), [(0, 0), (31, 0), (32, 1), (80, 2), (320, 10)])
async def test_a_job_leaves_the_loop_a_turn_after_each_32_steps(steps: int, turns: int) -> None:
    done = list[int]()

    def work() -> Iterator[None]:
        for step in range(steps):
            done.append(step)
            yield

    task, turned = asyncio.create_task(finish(work())), -1
    while not task.done():
        await asyncio.sleep(0)
        turned += 1
    assert done == list(range(steps))
    assert turned == turns


def test_jobs_take_turns_of_one_slice_and_end() -> None:
    turns, done = list[Callable[[], None]](), list[str]()

    def work(name: str) -> Iterator[None]:
        for _ in range(2 * STEPS_PER_SLICE):
            done.append(name)
            yield

    slicer = Slicer(turns.append)
    slicer.add(work("a"))
    slicer.add(work("b"))
    while turns:
        assert len(turns) == 1, "asked for once per turn"
        turns.pop()()
    assert done == [name for name in "abab" for _ in range(STEPS_PER_SLICE)]
    assert repr(slicer) == "<Slicer 0 jobs>"


def test_jobs_of_a_lane_run_one_after_the_other() -> None:
    turns, done = list[Callable[[], None]](), list[str]()

    def work(name: str, steps: int) -> Iterator[None]:
        for _ in range(steps):
            done.append(name)
            yield

    lane = Slicer(turns.append).lane()
    for name, steps in (("a", 3 * STEPS_PER_SLICE), ("b", 0), ("c", 1)):
        lane.add(work(name, steps))
    while turns:
        turns.pop()()
    lane.add(work("d", 1))
    while turns:
        turns.pop()()
    assert done == [*("a" * 3 * STEPS_PER_SLICE), "c", "d"]


def test_a_failing_job_ends_alone_in_a_lane_and_outside_one(caplog: pytest.LogCaptureFixture) -> None:
    turns = list[Callable[[], None]]()
    slicer = Slicer(turns.append, failures=FailureLog(Clock()))
    done: list[int] = []

    def work(number: int) -> Any:
        if number == 0:
            raise ValueError("a job")
        yield
        done.append(number)

    lane = slicer.lane()
    for number in range(3):
        slicer.add(work(number))
        lane.add(work(number))
    while turns:
        turns.pop(0)()

    assert sorted(done) == [1, 1, 2, 2]
    assert len([line for line in caplog.records if line.exc_info]) == 2
