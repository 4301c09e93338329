"""Waits and streams by themselves: hand-made changes, a clock and timers that stand still, a loop turned by hand."""

import asyncio
import json
from collections.abc import Callable, Iterator
from random import Random

import pytest

from listeners.events import Changed, Document, Removal, Replaced
from listeners.following import OnDocument
from service.api.list_query import Filters
from service.errors import WatchRefused
from service.model.read_model import ReadModel
from service.runtime.crowd import GROUP
from service.runtime.failure_log import FailureLog
from service.runtime.slices import SLICE, Slices
from service.schema.compiled import ProcessSummary
from service.watch.event_frames import Frame
from service.watch.event_stream import StreamState
from service.watch.model_streams import PIECE_BYTES, STEPS_A_PIECE
from service.watch.watched_process import Change
from service.watch.watchers import LINGER_S, Watchers, WatchOptions
from tests.service.schemas import schema
from tests.service.virtual_time import Clock, settle

PROCESS = "import-1"


def every_change(_: Change) -> bool:
    return True


def last_change(change: Change) -> bool:
    return change.is_last


class Timer:
    """A timer that a test lets go off."""

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Timers:
    """The loop's `call_later`, on the test's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: list[Timer] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self._clock() + seconds, callback)
        self._timers.append(timer)
        return timer

    @property
    def pending(self) -> int:
        return sum(timer.callback is not None for timer in self._timers)

    async def advance(self, seconds: float) -> None:
        """Let the time pass, in order of what is due in it."""
        end = self._clock() + seconds
        while due := [timer for timer in self._timers if timer.callback is not None and timer.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            self._clock.now = max(self._clock.now, first.at)
            callback, first.callback = first.callback, None
            assert callback is not None
            callback()
            await settle()
        self._clock.now = end


class Documents:
    """Follows documents as the test tells it to."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.followed: dict[str, OnDocument] = {}
        self.released: list[str] = []

    def follow(self, process_id: str, on_document: OnDocument) -> "Documents.Following | None":
        if len(self.followed) >= self.limit:
            return None
        assert process_id not in self.followed, "followed once, for all its watchers"
        self.followed[process_id] = on_document
        return Documents.Following(self, process_id)

    class Following:
        def __init__(self, documents: "Documents", process_id: str) -> None:
            self._documents, self._process_id = documents, process_id

        def release(self) -> None:
            del self._documents.followed[self._process_id]
            self._documents.released.append(self._process_id)


class Observer:
    """Counts watchers; whatever else the model announces is not this test's matter."""

    def __init__(self) -> None:
        self.count = 0

    def watching(self, count: int) -> None:
        self.count = count

    def malformed(self, *_: object) -> None: ...

    def applied(self, *_: object) -> None: ...

    def became_visible(self, version: int) -> None: ...

    def confirmed(self, *_: object) -> None: ...


class Reads:
    """The cache of direct reads: what it has learned, in order."""

    def __init__(self) -> None:
        self.learned: list[tuple[str, int | None]] = []

    def learn(self, process_id: str, summary: ProcessSummary | None, read_time: int, as_of: float) -> None:
        self.learned.append((process_id, None if summary is None else summary.version))


class Reader:
    """A client of a stream. `room`: how many frames its connection takes before it has to drain."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.frames: list[Frame] = []
        self.room = room
        self.is_aborted = False

    def send(self, frame: Frame) -> bool:
        self.frames.append(frame)
        self.room -= 1
        return self.room > 0

    def abort(self) -> None:
        self.is_aborted = True

    @property
    def text(self) -> str:
        return b"".join(frame.plain for frame in self.frames).decode()


class Watched:
    """A model, its watchers, and the means to move both."""

    def __init__(self, *, window_size: int = 0, max_watchers: int = 10_000, limit: int = 100) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.documents = Documents(limit)
        self.observer = Observer()
        self.reads = Reads()
        self.model = ReadModel(
            window_size=window_size,
            schema=schema("string"),
            lease_s=15,
            clock=self.clock,
            observer=self.observer,
        )
        self.turns: list[Callable[[], None]] = []
        self.watchers = Watchers(
            self.model,
            self.documents,
            self.reads,
            Slices(self.turns.append),
            WatchOptions(max_watchers, schema("string", terminal=("completed",))),
            call_later=self.timers.call_later,
            observer=self.observer,
            rng=Random(1),
        )

    def turn(self) -> None:
        """One turn of the loop."""
        turns, self.turns[:] = self.turns[:], []
        for callback in turns:
            callback()

    def run(self) -> int:
        """Turns until nothing is left to do. Returns how many."""
        count = 0
        while self.turns:
            self.turn()
            count += 1
        return count

    async def load(self, *documents: Document, read_time: int = 100) -> "Watched":
        await self.model.apply(Replaced(list(documents), read_time, self.clock()))
        self.run()
        return self

    async def change(self, *documents: Document, read_time: int = 0, gone: tuple[Removal, ...] = ()) -> None:
        read_time = read_time or max(document.update_time for document in documents)
        await self.model.apply(Changed(list(documents), gone, read_time, self.clock()))
        self.run()

    def waiting(
        self, key: int = 100, *, accepts: Callable[[Change], bool] = lambda change: True, process_id: str = PROCESS
    ) -> "asyncio.Future[Change | None]":
        wait = self.watchers.wait(PROCESS)
        return wait.change_after(key, accepts=accepts, end=self.watchers.end_in(wait, 10))


def heard(future: "asyncio.Future[Change | None]") -> Change:
    """What a wait has been told."""
    change = future.result()
    assert change is not None
    return change


def process(version: int, status: str = "running", process_id: str = PROCESS) -> Document:
    return Document(process_id, version, {"status": status, "start_time": "2026"})


async def test_a_wait_is_told_the_first_version_after_the_one_it_knows_and_nothing_older() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(100)

    watched.run()
    assert not wait.done()
    await watched.change(process(101))

    assert heard(wait).key == 101


async def test_what_becomes_visible_between_the_look_and_the_wait_is_not_missed() -> None:
    watched = await Watched().load(process(100))
    wait = watched.watchers.wait(PROCESS)
    await watched.change(process(105))

    future = wait.change_after(100, accepts=every_change, end=watched.watchers.end_in(wait, 10))

    assert future.done()
    assert heard(future).key == 105


async def test_what_happens_between_two_waits_of_the_same_client_is_not_missed() -> None:
    watched = await Watched().load(process(100))
    wait = watched.watchers.wait(PROCESS)
    first = wait.change_after(100, accepts=every_change, end=watched.watchers.end_in(wait, 10))
    await watched.change(process(101))
    await watched.change(process(102, "completed"))
    assert heard(first).key == 101

    second = wait.change_after(101, accepts=last_change, end=watched.watchers.end_in(wait, 10))

    assert heard(second).key == 102


async def test_a_wait_for_the_end_sleeps_through_every_other_status() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(100, accepts=last_change)

    await watched.change(process(101))
    assert not wait.done()
    await watched.change(process(102, "completed"))

    assert heard(wait).key == 102


async def test_a_deletion_wakes_whoever_waits() -> None:
    watched = await Watched().load(process(100))
    waits = [watched.waiting(100), watched.waiting(100, accepts=last_change)]

    await watched.change(read_time=200, gone=(Removal(PROCESS, True),))

    assert [heard(wait).summary for wait in waits] == [None, None]


async def test_a_removal_older_than_what_the_client_knows_is_no_news_to_it() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(300)

    await watched.change(read_time=200, gone=(Removal(PROCESS, True),))

    assert not wait.done()


async def test_a_wait_ends_with_its_time_and_leaves_no_timer() -> None:
    watched = await Watched().load(process(100))
    wait = watched.watchers.wait(PROCESS)
    future = wait.change_after(100, accepts=every_change, end=watched.watchers.end_in(wait, 10))

    await watched.timers.advance(9.9)
    assert not future.done()
    await watched.timers.advance(0.1)

    assert future.result() is None
    watched.watchers.leave(PROCESS, wait)
    assert (watched.observer.count, watched.timers.pending) == (0, 0)


async def test_ten_thousand_are_woken_in_slices_in_the_order_they_came() -> None:
    watched = await Watched().load(process(100))
    waits = [watched.waiting(100) for _ in range(10_000)]
    await watched.model.apply(Changed([process(101)], (), 101, watched.clock()))

    done = 0
    while watched.turns:
        watched.turn()
        woken = sum(wait.done() for wait in waits[done : done + SLICE + 1])
        assert woken <= SLICE
        done += woken

    assert done == 10_000


async def test_an_event_is_rendered_once_for_all_streams() -> None:
    watched = await Watched().load(process(100))
    readers = [Reader() for _ in range(3)]
    for reader in readers:
        stream = watched.watchers.stream(PROCESS)
        held = watched.model.get(PROCESS)
        assert held is not None
        stream.begin(reader, watched.watchers.changes.upsert(held), None)

    await watched.change(process(101))

    first, *others = (reader.frames[-1] for reader in readers)
    assert all(frame is first for frame in others)
    assert first.chunk == b"%x\r\n%b\r\n" % (len(first.plain), first.plain)


async def test_a_stream_that_has_to_drain_is_told_the_newest_version_only() -> None:
    watched = await Watched().load(process(100))
    stream, reader = watched.watchers.stream(PROCESS), Reader(room=1)
    held = watched.model.get(PROCESS)
    assert held is not None
    stream.begin(reader, watched.watchers.changes.upsert(held), None)
    assert stream.state is StreamState.STUCK

    for version in range(101, 200):
        await watched.change(process(version))
    assert len(reader.frames) == 1
    reader.room = 10
    stream.drained()

    assert [frame.plain.split(b"\n")[1] for frame in reader.frames] == [b"id: 100", b"id: 199"]


async def test_who_comes_back_is_told_of_what_moved_up_into_the_window_meanwhile_however_old_it_is() -> None:
    watched = await Watched(window_size=2).load(process(20, process_id="a"), process(30, process_id="b"))
    await watched.change(process(10, process_id="c"), read_time=110, gone=(Removal("b", deleted=True),))
    stream, reader = watched.watchers.stream_model(None, 100), Reader()
    stream.begin(reader)
    told = [line for line in reader.text.splitlines() if line.startswith(("event:", "id:"))]
    assert told == ["event: removed", "id: 0", "event: status", "id: 110"]
    assert '"process_id":"c"' in reader.text
    seen, later = watched.watchers.stream_model(None, 110), Reader()
    seen.begin(later)
    assert later.frames == []


async def test_a_stream_of_all_that_does_not_drain_is_dropped_and_others_do_not_notice() -> None:
    watched = await Watched().load(process(100))
    slow, quick = Reader(room=1), Reader()
    slow_stream, quick_stream = (watched.watchers.stream_model(None, None) for _ in range(2))
    slow_stream.begin(slow)
    quick_stream.begin(quick)

    version = 100
    while slow_stream.state is not StreamState.DROPPED:
        version += 1
        assert version < 20_000
        await watched.change(process(version))

    assert (len(slow.frames), slow.is_aborted) == (1, True)
    assert len(quick.frames) == version - 99
    assert await slow_stream.wait() is StreamState.DROPPED
    watched.watchers.leave_model(None, slow_stream)
    assert watched.observer.count == 1


async def test_comments_come_every_fifteen_seconds_to_each_stream() -> None:
    watched = await Watched().load(process(100))
    reader = Reader()
    stream = watched.watchers.stream_model(None, None)
    stream.begin(reader)
    for _ in range(45):
        await watched.timers.advance(1)
        watched.run()

    assert reader.text.count(": nothing new") == 3
    watched.watchers.leave_model(None, stream)
    assert watched.timers.pending == 0


async def test_past_the_limit_nobody_is_let_in_until_somebody_leaves() -> None:
    watched = await Watched(max_watchers=2).load(process(100))
    wait, _ = watched.watchers.wait(PROCESS), watched.watchers.stream_model(None, None)

    for open_another in (lambda: watched.watchers.wait("x"), lambda: watched.watchers.stream("x")):
        with pytest.raises(WatchRefused, match="Too many"):
            open_another()
    watched.watchers.leave(PROCESS, wait)

    watched.watchers.stream("x")
    assert watched.observer.count == 2


async def test_a_process_outside_the_window_is_followed_once_and_let_go_a_while_after_its_last_watcher() -> None:
    watched = await Watched(window_size=1).load(process(100, process_id="other"))
    waits = [watched.watchers.wait(PROCESS) for _ in range(3)]
    for _ in waits:
        watched.watchers.keep_current(PROCESS)
    future = waits[0].change_after(50, accepts=every_change, end=watched.watchers.end_in(waits[0], 10))

    watched.documents.followed[PROCESS](process(60), 70, 1000.0)
    watched.run()
    assert heard(future).key == 60
    for wait in waits:
        watched.watchers.leave(PROCESS, wait)
    await watched.timers.advance(LINGER_S - 1)
    assert watched.documents.released == []
    again = watched.watchers.wait(PROCESS)
    await watched.timers.advance(LINGER_S)
    assert watched.documents.released == []
    watched.watchers.leave(PROCESS, again)
    await watched.timers.advance(LINGER_S)

    assert watched.documents.released == [PROCESS]
    assert watched.timers.pending == 0


async def test_a_watched_process_pushed_out_of_the_window_is_followed_from_there() -> None:
    watched = await Watched(window_size=1).load(process(100))
    wait = watched.waiting(100)

    await watched.change(process(150, process_id="newer"), gone=(Removal(PROCESS, None),))
    assert not wait.done()
    watched.documents.followed[PROCESS](process(100), 151, 1000.0)
    watched.run()
    assert not wait.done()
    watched.documents.followed[PROCESS](None, 160, 1000.0)
    watched.run()

    assert heard(wait).summary is None


async def test_a_followed_document_tells_nothing_while_the_model_holds_the_process() -> None:
    watched = await Watched(window_size=1).load(process(100, process_id="other"))
    wait = watched.waiting(50)
    watched.watchers.keep_current(PROCESS)
    watched.documents.followed[PROCESS](process(50), 100, 1000.0)
    watched.run()
    await watched.change(process(60), gone=(Removal("other", None),))
    assert heard(wait).key == 60
    later = watched.waiting(60)
    watched.documents.followed[PROCESS](process(70), 75, 1000.0)
    watched.run()
    assert not later.done(), "the model answers plain requests, and holds 60"
    await watched.change(process(100, process_id="other"), read_time=110, gone=(Removal(PROCESS, None),))
    assert heard(later).key == 70
    assert watched.reads.learned == [(PROCESS, 50), (PROCESS, 70)]


async def test_nothing_is_followed_before_the_model_has_synced() -> None:
    watched = Watched(window_size=10)
    wait = watched.waiting(90)
    watched.watchers.keep_current(PROCESS)
    assert watched.documents.followed == {}

    await watched.load(process(100, process_id="other"))

    assert list(watched.documents.followed) == [PROCESS]
    assert not wait.done()


async def test_stopping_ends_every_wait_and_stream_and_lets_nobody_in() -> None:
    watched = await Watched(window_size=1).load(process(100))
    wait, reader = watched.waiting(100), Reader()
    stream = watched.watchers.stream_model(None, None)
    stream.begin(reader)
    outside = watched.watchers.wait("outside")
    watched.watchers.keep_current("outside")
    watched.watchers.leave("outside", outside)

    watched.watchers.stop()
    watched.run()

    assert wait.result() is None
    assert stream.state is StreamState.ENDED
    assert "stopping" in reader.text
    assert watched.documents.released == ["outside"]
    with pytest.raises(WatchRefused, match="stopping"):
        watched.watchers.wait(PROCESS)


async def test_a_stream_of_all_begins_with_no_look_at_what_is_held_and_goes_on_a_piece_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = await Watched().load(*(process(1, "running", f"p{number:05}") for number in range(5_000)))
    looked_at = 0
    walk = ReadModel.walk

    def counted(model: ReadModel, filters: Filters) -> Iterator[ProcessSummary | None]:
        nonlocal looked_at
        for summary in walk(model, filters):
            looked_at += 1
            yield summary

    monkeypatch.setattr(ReadModel, "walk", counted)
    monkeypatch.delattr(ReadModel, "held")  # which is all of it at once
    watched.watchers._model_streams._log._points.insert(0, 0)
    for status, since in ((None, None), ("failed", None), ("running", None), (None, 0), (None, 100)):
        looked_at = before = 0
        stream, reader = watched.watchers.stream_model(status, since), Reader()
        assert looked_at == 0
        stream.begin(reader)
        while stream.state is StreamState.STUCK or looked_at > before:
            assert looked_at - before <= STEPS_A_PIECE
            assert len(reader.frames[-1].plain if reader.frames else b"") < 2 * PIECE_BYTES
            before = looked_at
            stream.drained()
        told = reader.text.count("event: status")
        assert told == (0 if status == "failed" or since == 100 else 5_000)
        ids = [line for line in reader.text.splitlines() if line.startswith("id: ")]
        assert ids == (["id: 0", "id: 100"] if told else []), "cut off in between, it begins anew"


async def test_a_version_that_comes_while_the_present_state_is_told_is_told_once_and_in_its_place() -> None:
    watched = await Watched().load(*(process(1, "running", f"p{number:05}") for number in range(5_000)))
    stream, reader = watched.watchers.stream_model(None, None), Reader()
    stream.begin(reader)
    await watched.change(process(150, "failed", "p00001"), process(150, "failed", "p04999"), read_time=150)
    while stream.state is StreamState.STUCK:
        stream.drained()
    events = [json.loads(line.removeprefix("data: ")) for line in reader.text.splitlines() if line[:5] == "data:"]
    told = {name: [each["status"] for each in events if each["process_id"] == name] for name in ("p00001", "p04999")}
    assert told["p00001"] == ["failed"]  # its turn had not come
    assert told["p04999"] == ["running", "failed"]
    assert [event["process_id"] for event in events][-2:] == ["p00001", "p04999"]
    assert len(events) == 5_001


async def test_a_filtered_stream_is_told_of_what_leaves_its_filter_and_of_nothing_else() -> None:
    watched = await Watched().load(process(1, "failed", "a"), process(1, "running", "b"), process(1, "failed", "c"))
    stream, reader = watched.watchers.stream_model("failed", None), Reader()
    stream.begin(reader)
    reader.frames.clear()
    await watched.change(process(150, "running", "a"), process(150, "completed", "b"))
    await watched.change(read_time=160, gone=(Removal("a", True), Removal("c", True)))
    told = [json.loads(line.removeprefix("data: ")) for line in reader.text.splitlines() if line[:5] == "data:"]
    assert [(each["process_id"], each.get("status")) for each in told] == [("a", "running"), ("c", None)]


async def test_no_more_than_a_group_is_taken_in_hand_to_tell_ten_thousand() -> None:
    watched = await Watched().load(process(1))
    for _ in range(1_000):
        watched.waiting()
    topic = watched.watchers._topics[PROCESS]
    telling = topic.tell(watched.watchers.changes.upsert(schema("string").summarize(PROCESS, 150, {})[0]), FailureLog())
    next(telling)
    in_hand = [len(held) for held in telling.gi_frame.f_locals.values() if isinstance(held, tuple)]  # type: ignore[attr-defined]
    assert in_hand == [GROUP]
