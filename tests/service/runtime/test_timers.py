"""A name has one timer, which calls back once; none is left after stop_all."""

import asyncio

from service.runtime.timers import Timers
from tests.waiting import until


async def test_a_timer_calls_back_once_and_is_gone() -> None:
    timers, fired = Timers(asyncio.get_running_loop()), list[str]()
    timers.start("a", 0.001, lambda: fired.append("a"))
    assert timers.is_running("a")
    await until(lambda: fired, "it has called back")
    assert (fired, timers.is_running("a")) == (["a"], False)


async def test_a_timer_that_is_replaced_or_stopped_never_calls_back() -> None:
    timers, fired = Timers(asyncio.get_running_loop()), list[str]()
    for name in ("replaced", "stopped", "at the end"):
        timers.start(name, 0.001, lambda name=name: fired.append(name))  # type: ignore[misc]
    timers.start("replaced", 3600, lambda: fired.append("the new one"))
    timers.stop("stopped")
    timers.stop("never started")
    timers.start("later", 0.002, lambda: fired.append("later"))
    await until(lambda: "later" in fired or len(fired) > 1, "the others would have called back")
    timers.stop_all()
    assert not any(timers.is_running(name) for name in ("replaced", "stopped", "at the end", "later"))
    assert fired == ["at the end", "later"]


async def test_a_timer_can_be_started_again_by_its_own_callback() -> None:
    timers, fired = Timers(asyncio.get_running_loop()), list[int]()

    def tick() -> None:
        fired.append(1)
        if len(fired) < 3:
            timers.start("a", 0.001, tick)

    tick()
    await until(lambda: len(fired) == 3, "it has called back twice")
    assert not timers.is_running("a")
