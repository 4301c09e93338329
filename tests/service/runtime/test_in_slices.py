"""Long loops give the event loop its turns."""

import asyncio

import pytest

from service.runtime.in_slices import in_slices


@pytest.mark.parametrize(("items", "turns"), [(0, 0), (99, 0), (100, 1), (250, 2), (1000, 10)])
async def test_the_loop_gets_a_turn_after_each_hundred_and_none_is_left_out(items: int, turns: int) -> None:
    async def collect() -> list[int]:
        return [item async for item in in_slices(range(items))]

    task, turned = asyncio.create_task(collect()), -1  # the first turn is the task's start
    while not task.done():
        await asyncio.sleep(0)
        turned += 1
    assert task.result() == list(range(items))
    assert turned == turns
