"""A waiter by itself: which change completes it, when, and that it misses none."""

import asyncio

from listeners.events import Changed, Removal
from service.api.waits import TERMINAL
from service.runtime.slicer import STEPS_PER_SLICE
from service.watch.long_poll_waiter import WaitState
from tests.service.watch.watched import PROCESS, Wait, Watched, process


async def test_a_wait_gets_the_first_version_after_the_known_one() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(100)

    watched.run()
    assert not wait.is_over
    await watched.change(process(101))

    assert wait.change.key == 101
    assert [answer and answer.version for answer in wait.answers] == [101]


async def test_a_change_between_the_look_and_the_wait_is_not_missed() -> None:
    watched = await Watched().load(process(100))
    waiter = watched.add(100)
    await watched.change(process(105))

    wait = Wait(waiter, 100)

    assert wait.change.key == 105
    assert watched.timers.pending == 0


async def test_a_change_between_two_waits_of_a_client_is_not_missed() -> None:
    watched = await Watched().load(process(100))
    waiter = watched.add(100, until=(TERMINAL, "paused"))
    first = Wait(waiter, 100)
    await watched.change(process(101, "paused"))
    await watched.change(process(102, "completed"))
    assert first.change.key == 101

    second = Wait(waiter, 101)

    assert second.change.key == 102
    assert len(first.answers) == 1


async def test_a_wait_for_the_end_sleeps_through_other_statuses() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(100, until=(TERMINAL,))

    await watched.change(process(101))
    assert not wait.is_over
    await watched.change(process(102, "completed"))

    assert wait.change.key == 102


async def test_a_deletion_ends_every_wait() -> None:
    watched = await Watched().load(process(100))
    waits = [watched.waiting(100), watched.waiting(100, until=(TERMINAL,))]

    await watched.change(read_time=200, gone=(Removal(PROCESS, True),))

    assert [wait.change.summary for wait in waits] == [None, None]


async def test_a_removal_older_than_the_known_version_is_ignored() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(300)

    await watched.change(read_time=200, gone=(Removal(PROCESS, True),))

    assert not wait.is_over


async def test_a_wait_ends_with_its_time_and_leaves_no_timer() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(100)

    await watched.timers.advance(9.9)
    assert not wait.is_over
    await watched.timers.advance(0.1)

    assert [answer and answer.version for answer in wait.answers] == [100]
    assert wait.waiter.change is None
    wait.waiter.leave()
    assert (watched.observer.count, watched.timers.pending) == (0, 0)


async def test_a_waiter_that_has_left_ignores_later_changes() -> None:
    watched = await Watched().load(process(100))
    waits = [watched.waiting(100) for _ in range(10)]
    await watched.model.apply(Changed([process(101)], (), 101, watched.clock()))
    waits[7].waiter.leave()

    watched.run()

    assert [wait.is_over for wait in waits] == [number != 7 for number in range(10)]
    assert waits[7].waiter.state is WaitState.CLOSED


async def test_ten_thousand_tasks_are_woken_in_slices_and_in_order() -> None:
    watched = await Watched().load(process(100))
    wake_ups = watched.watchers.wake_ups
    waits = [watched.add(100).completion(100, 10, wake_ups) for _ in range(10_000)]
    await watched.model.apply(Changed([process(101)], (), 101, watched.clock()))

    done = 0
    while watched.turns:
        watched.turn()
        woken = sum(wait.done() for wait in waits[done : done + STEPS_PER_SLICE + 1])
        assert woken <= STEPS_PER_SLICE
        done += woken

    assert done == 10_000


async def test_a_handler_that_is_cancelled_is_not_woken() -> None:
    watched = await Watched().load(process(100))
    completed: asyncio.Future[None] = watched.add(100).completion(100, 10, watched.watchers.wake_ups)
    await watched.model.apply(Changed([process(101)], (), 101, watched.clock()))
    completed.cancel()

    watched.run()

    assert completed.cancelled()
    assert watched.watchers.wake_ups._slicer.failures.count == 0
