"""A model with watchers, moved by hand: made-up changes, a clock and timers that stand still, a loop turned by hand."""

from collections.abc import Callable
from random import Random

from listeners.events import Changed, Confirmed, Document, Removal, Replaced
from listeners.following import OnDocument
from service.api.caller import SEES_EVERYTHING
from service.api.waits import Wanted
from service.model.read_model import ReadModel
from service.model.stalled import Stalls
from service.reads.answers import Answer, Answers
from service.runtime.slicer import Slicer
from service.schema.compiled import ProcessSummary, Schema
from service.watch.changes import Change
from service.watch.event_frames import Frame
from service.watch.long_poll_waiter import LongPollWaiter, WaitCondition
from service.watch.long_polls import LongPolls
from service.watch.process_stream import ProcessStream
from service.watch.watchers import Watchers, WatchOptions
from tests.service.schemas import schema
from tests.service.scripted_firestore import Parts, ScriptedListener
from tests.service.virtual_time import Clock, settle

PROCESS = "import-1"
STALLED_AFTER_S = 900


class Timer:
    """A timer that fires when the test says so."""

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
    """Follows documents; the test delivers their states."""

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
    """Counts watchers and ignores everything else."""

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

    def known(self, process_id: str) -> ProcessSummary | None:
        return None

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

    def __init__(
        self,
        *,
        window_size: int = 0,
        max_watchers: int = 10_000,
        share: float = 1.0,
        limit: int = 100,
        in_force: Schema | None = None,
    ) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.documents = Documents(limit)
        self.observer = Observer()
        self.reads = Reads()
        self.model = ReadModel(
            window_size=window_size,
            schema=in_force or schema("string"),
            lease_s=15,
            clock=self.clock,
            observer=self.observer,
        )
        self.turns: list[Callable[[], None]] = []
        slicer = Slicer(self.turns.append)
        self.watchers = Watchers(
            self.model,
            self.documents,
            self.reads,
            slicer,
            WatchOptions(max_watchers, in_force or schema("string", terminal=("completed",)), share),
            call_later=self.timers.call_later,
            observer=self.observer,
            rng=Random(1),
        )
        self.stalls = Stalls(self.model, slicer, stalled_after_s=STALLED_AFTER_S)
        self.stalls.subscribe(self.watchers.check_followed)
        answers = Answers(
            self.model, Parts().reads, ScriptedListener(), clock=self.clock, stale_if_error_s=0, timeout_s=5
        )
        self.polls = LongPolls(answers, self.watchers, self.model, clock=self.clock, lease_s=15)

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

    async def pass_without_writes(self, seconds: float) -> None:
        """Firestore's clock goes on, the listener confirms that nothing was written, and the stalls are checked."""
        self.clock.advance(seconds)
        await self.model.apply(Confirmed(self.model.read_time + round(seconds * 1_000_000), self.clock()))
        await self.stalls.check()
        self.run()

    def add(self, key: int = 100, *, until: tuple[str, ...] = (), process_id: str = PROCESS) -> LongPollWaiter:
        """A waiter that does not wait yet, of a client that knows the version `key`."""
        waiter = LongPollWaiter(
            self.polls, process_id, WaitCondition(SEES_EVERYTHING, 10, Wanted(frozenset(until)), f'"v{key}"')
        )
        self.watchers.add(process_id, waiter)
        return waiter

    def waiting(self, key: int = 100, *, until: tuple[str, ...] = (), process_id: str = PROCESS) -> "Wait":
        """A client that knows the version `key` and waits for ten seconds."""
        return Wait(self.add(key, until=until, process_id=process_id), key)

    def streaming(self, reader: Reader, process_id: str = PROCESS) -> ProcessStream:
        """A stream of one process that has begun."""
        stream = self.watchers.stream(process_id, SEES_EVERYTHING)
        held = self.model.get(process_id)
        assert held is not None
        stream.begin(reader, self.watchers.changes.upsert(held), None)
        return stream


class Wait:
    """One wait of a waiter: what it was completed with."""

    def __init__(self, waiter: LongPollWaiter, seen: int) -> None:
        self.waiter = waiter
        self.answers: list[Answer | None] = []
        waiter.wait(seen, 10, self.answers.append)

    @property
    def is_over(self) -> bool:
        assert len(self.answers) <= 1, "completed once"
        return bool(self.answers)

    @property
    def change(self) -> Change:
        """The change that completed it."""
        assert self.is_over
        assert self.waiter.change is not None
        return self.waiter.change


def process(version: int, status: str = "running", process_id: str = PROCESS) -> Document:
    """One version, whose content no other has."""
    return Document(process_id, version, {"status": status, "start_time": "2026", "products_processed": version})
