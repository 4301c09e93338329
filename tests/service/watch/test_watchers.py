"""Watchers by themselves: their number, what is followed for them, and their end."""

import pytest

from listeners.events import Removal
from service.api.caller import SEES_EVERYTHING, Caller
from service.errors import WatchRefused
from service.runtime.chunked_set import CHUNK
from service.runtime.failure_log import FailureLog
from service.watch.deliveries import LINGER_S
from service.watch.event_stream import StreamState
from tests.service.schemas import schema
from tests.service.watch.watched import PROCESS, Reader, Wait, Watched, process


async def test_past_the_limit_new_watchers_are_refused_until_one_leaves() -> None:
    watched = await Watched(max_watchers=2).load(process(100))
    wait, _ = watched.add(), watched.watchers.stream_model({}, SEES_EVERYTHING, None)

    for open_another in (lambda: watched.add(process_id="x"), lambda: watched.watchers.stream("x", SEES_EVERYTHING)):
        with pytest.raises(WatchRefused, match="Too many"):
            open_another()
    watched.watchers.leave(PROCESS, wait)

    watched.watchers.stream("x", SEES_EVERYTHING)
    assert watched.observer.count == 2


async def test_a_process_outside_the_window_is_followed_once_and_lingers() -> None:
    watched = await Watched(window_size=1).load(process(100, process_id="other"))
    waits = [watched.add() for _ in range(3)]
    for _ in waits:
        watched.watchers.keep_current(PROCESS)
    future = Wait(waits[0], 50)

    watched.documents.followed[PROCESS](process(60), 70, 1000.0)
    watched.run()
    assert future.change.key == 60
    for wait in waits:
        watched.watchers.leave(PROCESS, wait)
    await watched.timers.advance(LINGER_S - 1)
    assert watched.documents.released == []
    again = watched.add()
    await watched.timers.advance(LINGER_S)
    assert watched.documents.released == []
    watched.watchers.leave(PROCESS, again)
    await watched.timers.advance(LINGER_S)

    assert watched.documents.released == [PROCESS]
    assert watched.timers.pending == 0


async def test_a_watched_process_that_leaves_the_window_is_followed() -> None:
    watched = await Watched(window_size=1).load(process(100))
    wait = watched.waiting(100)

    await watched.change(process(150, process_id="newer"), gone=(Removal(PROCESS, None),))
    assert not wait.is_over
    watched.documents.followed[PROCESS](process(100), 151, 1000.0)
    watched.run()
    assert not wait.is_over
    watched.documents.followed[PROCESS](None, 160, 1000.0)
    watched.run()

    assert wait.change.summary is None


async def test_the_model_takes_precedence_over_a_followed_document() -> None:
    watched = await Watched(window_size=1).load(process(100, process_id="other"))
    wait = watched.waiting(50)
    watched.watchers.keep_current(PROCESS)
    watched.documents.followed[PROCESS](process(50), 100, 1000.0)
    watched.run()
    await watched.change(process(60), gone=(Removal("other", None),))
    assert wait.change.key == 60
    later = watched.waiting(60)
    watched.documents.followed[PROCESS](process(70), 75, 1000.0)
    watched.run()
    assert not later.is_over, "the model answers plain requests, and holds 60"
    await watched.change(process(100, process_id="other"), read_time=110, gone=(Removal(PROCESS, None),))
    assert later.change.key == 70
    assert watched.reads.learned == [(PROCESS, 50), (PROCESS, 70)]


async def test_nothing_is_followed_before_the_model_has_synced() -> None:
    watched = Watched(window_size=10)
    wait = watched.waiting(90)
    watched.watchers.keep_current(PROCESS)
    assert watched.documents.followed == {}

    await watched.load(process(100, process_id="other"))

    assert list(watched.documents.followed) == [PROCESS]
    assert not wait.is_over


async def test_stopping_ends_all_watchers_and_refuses_new_ones() -> None:
    watched = await Watched(window_size=1).load(process(100))
    wait, reader = watched.waiting(100), Reader()
    stream = watched.watchers.stream_model({}, SEES_EVERYTHING, None)
    stream.begin(reader)
    outside = watched.add(process_id="outside")
    watched.watchers.keep_current("outside")
    watched.watchers.leave("outside", outside)

    watched.watchers.stop()
    watched.run()

    assert wait.is_over
    assert wait.waiter.change is None
    assert stream.state is StreamState.ENDED
    assert "stopping" in reader.text
    assert watched.documents.released == ["outside"]
    with pytest.raises(WatchRefused, match="stopping"):
        watched.add()


async def test_a_delivery_copies_at_most_one_chunk_of_watchers() -> None:
    watched = await Watched().load(process(1))
    for _ in range(1_000):
        watched.waiting()
    watched_process = watched.watchers._deliveries.processes[PROCESS]
    change = watched.watchers.changes.upsert(schema("string").summarize(PROCESS, 150, {})[0])
    delivery = watched_process.deliver(change, watched.model.sight, FailureLog())
    next(delivery)
    in_hand = [len(held) for held in delivery.gi_frame.f_locals.values() if isinstance(held, tuple)]  # type: ignore[attr-defined]
    assert in_hand == [CHUNK]


async def test_one_caller_has_a_share_of_the_watchers_and_gets_it_back() -> None:
    watched = await Watched(max_watchers=4, share=0.5).load(process(1))
    watchers, ann, bob = watched.watchers, Caller("ann"), Caller("bob")
    first, second = watchers.stream("x", ann), watchers.stream_model({}, ann, None)
    for open_another in (lambda: watchers.stream("x", ann), lambda: watchers.stream_model({}, ann, None)):
        with pytest.raises(WatchRefused, match="Too many"):
            open_another()
    watchers.stream("x", bob)
    watchers.leave("x", first)
    watchers.leave_model({}, ann, second)
    assert watchers.stream("x", ann)
    watched.add()
    watched.add()
    with pytest.raises(WatchRefused, match="Too many"):
        watched.add()
