"""Opens and closes long polls and event streams. All of them are watchers, and their number is bounded.

Lives on the event loop. A watcher gets every change that becomes visible after it was added. So a client misses nothing
if it adds its watcher first and looks at the present state second. Waiters cost no task, deliveries run in slices, and
the backlog of every client is bounded. Changes that come while the lease has lapsed are delivered after the lapse.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from time import time
from typing import Protocol

from service.api.caller import Caller, seconds_left
from service.api.list_query import Filters
from service.errors import WatchRefused
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.model.stalled import IsDue
from service.runtime.clock import CallLater, Timer
from service.runtime.slicer import Slicer
from service.schema.compiled import ProcessSummary, Schema
from service.watch.comments import Comments
from service.watch.containment import contain
from service.watch.deliveries import ChangeSources, Deliveries, DeliveryObserver, FollowsDocuments, LearnsStates
from service.watch.event_stream import EventStream
from service.watch.model_stream import ModelStream
from service.watch.model_streams import ModelStreams
from service.watch.process_stream import ProcessStream
from service.watch.watched_process import Followed, Watcher


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The operator's settings."""

    max_watchers: int
    schema: Schema
    share: float = 1.0
    """The share of `max_watchers` that one caller can use."""


class WatchObserver(DeliveryObserver, Protocol):
    """Metrics callbacks, called on the event loop."""

    def watching(self, count: int) -> None:
        """This many waits and streams are open."""


class Watchers:
    """Adds and removes watchers, refuses too many, and ends all of them when the server stops."""

    def __init__(
        self,
        model: ReadModel,
        documents: FollowsDocuments,
        reads: LearnsStates,
        slicer: Slicer,
        options: WatchOptions,
        *,
        call_later: CallLater,
        observer: WatchObserver,
        rng: Random,
        epoch_clock: Callable[[], float] = time,
    ) -> None:
        """`epoch_clock`: seconds since the epoch, for the expiry of callers."""
        self._slicer = slicer
        self._failures = slicer.failures
        self._max_watchers = options.max_watchers
        self._has_shares = options.share < 1
        self._max_of_a_caller = max(1, int(options.max_watchers * options.share))
        self._by_caller: Counter[str] = Counter()
        self._call_later = call_later
        self._observer = observer
        self._rng = rng
        self._epoch_clock = epoch_clock
        self._expiries: dict[EventStream, Timer] = {}
        self.count = 0
        self.is_stopping = False
        self.wake_ups = slicer.lane()
        """Spreads out completed waits that wake a task: each wake-up costs the loop some 50 µs in its next turn."""
        sources = ChangeSources(model, documents, reads, options.schema)
        self._deliveries = Deliveries(sources, slicer, call_later=call_later, observer=observer)
        self.changes = self._deliveries.changes
        self._model_streams = ModelStreams(model, slicer, options.schema.identity)
        self._comments = Comments(call_later, slicer)
        model.subscribe(self._on_applied)
        model.subscribe_to_stalls(self._on_stalled)

    def __repr__(self) -> str:
        return f"<Watchers {self.count} open, of {len(self._deliveries.processes)} processes>"

    def _on_applied(self, applied: Applied) -> None:
        """Called in the step in which the batch becomes visible: remember it, deliver it later."""
        self._model_streams.applied(applied)
        self._deliveries.applied(applied)

    def _on_stalled(self, summaries: Sequence[ProcessSummary]) -> None:
        self._model_streams.stalled(summaries)
        self._deliveries.stalled(summaries)

    def check_followed(self, is_due: IsDue) -> None:
        """Deliver which followed documents stall by now."""
        self._deliveries.check_followed(is_due)

    # -- one process

    def add(self, process_id: str, watcher: Watcher) -> None:
        """Deliver the process's changes to the watcher from now on. `leave` must follow. Raises: WatchRefused."""
        self._enter(watcher.caller)
        self._deliveries.process(process_id).watchers.add(watcher)

    def stream(self, process_id: str, caller: Caller, *, follows: bool = False) -> ProcessStream:
        """Add a stream of one process. `leave` must follow. Raises: WatchRefused."""
        stream = ProcessStream(caller, follows=follows)
        self.add(process_id, stream)
        self._open(stream, caller)
        return stream

    def leave(self, process_id: str, watcher: Watcher) -> None:
        """Remove the watcher and everything that belongs to it."""
        process = self._deliveries.processes[process_id]
        process.watchers.discard(watcher)
        self._left(watcher.caller)
        try:
            watcher.close()
        except Exception as error:  # noqa: BLE001 - contained
            contain(self._failures, watcher, "close", error)
        if isinstance(watcher, ProcessStream):
            self._close(watcher)
        if not process.watchers:
            self._deliveries.abandoned(process)

    def keep_current(self, process_id: str) -> None:
        """The process exists and is watched: follow its document if it is not in the model."""
        self._deliveries.keep_current(process_id)

    def followed(self, process_id: str) -> Followed | None:
        """The last known state of a followed document."""
        return self._deliveries.followed(process_id)

    def finish_in(self, watcher: Watcher, seconds: float) -> Timer:
        """Call the watcher's `finish` after this many seconds, unless the timer is cancelled."""
        return self._call_later(max(0.0, seconds), lambda: self._finish(watcher))

    # -- every process

    def stream_model(self, filters: Filters, caller: Caller, since: int | None) -> ModelStream:
        """Add a stream of every matching process of the model. `leave_model` must follow. Raises: WatchRefused."""
        self._enter(caller)
        stream = self._model_streams.open(filters, caller, since)
        self._open(stream, caller)
        return stream

    def leave_model(self, filters: Filters, caller: Caller, stream: ModelStream) -> None:
        """Remove the stream and everything that belongs to it."""
        self._model_streams.close(filters, caller, stream)
        self._close(stream)
        self._left(caller)

    # -- streams of both kinds

    def _open(self, stream: EventStream, caller: Caller) -> None:
        self._comments.add(stream)
        remaining_s = self.seconds_left(caller)
        if remaining_s < inf:
            self._expiries[stream] = self._call_later(remaining_s, lambda: self._expire(stream))

    def _close(self, stream: EventStream) -> None:
        self._comments.discard(stream)
        expiry = self._expiries.pop(stream, None)
        if expiry is not None:
            expiry.cancel()

    def _expire(self, stream: EventStream) -> None:
        try:
            stream.expire()
        except Exception as error:  # noqa: BLE001 - contained
            contain(self._failures, stream, "expire", error)

    def seconds_left(self, caller: Caller) -> float:
        """How long a wait or a stream of this caller can last, because of its token's expiry."""
        return seconds_left(caller, self._epoch_clock())

    def retry_ms(self) -> int:
        """The pause before a stream's client reconnects.

        It has jitter, because all streams of a server end together.
        """
        return self._rng.randrange(1_000, 5_000)

    # -- the number of watchers, and their end

    def stop(self) -> None:
        """Refuse new watchers, and end all present ones, in slices."""
        self.is_stopping = True
        self._comments.stop()
        self._deliveries.stop()
        self._slicer.add(self._finish_all())

    def _enter(self, caller: Caller) -> None:
        if self.is_stopping:
            raise WatchRefused("This server is stopping; try again", 0)
        has_share = self._has_shares and caller.name
        if self.count >= self._max_watchers or (has_share and self._by_caller[caller.name] >= self._max_of_a_caller):
            raise WatchRefused("Too many open waits and event streams; try again later", 5)
        if has_share:
            self._by_caller[caller.name] += 1
        self.count += 1
        self._observer.watching(self.count)

    def _left(self, caller: Caller) -> None:
        self.count -= 1
        if self._by_caller[caller.name] > 1:
            self._by_caller[caller.name] -= 1
        else:
            del self._by_caller[caller.name]
        self._observer.watching(self.count)

    def _finish(self, watcher: Watcher | ModelStream) -> None:
        try:
            watcher.finish()
        except Exception as error:  # noqa: BLE001 - contained
            contain(self._failures, watcher, "finish", error)

    def _finish_all(self) -> Iterator[None]:
        """End all watchers. New ones are already refused, so the list made here is complete."""
        processes = self._deliveries.processes.values()
        for watcher in [watcher for process in processes for watcher in process.watchers]:
            self._finish(watcher)
            yield
        for stream in self._model_streams.every():
            self._finish(stream)
            yield
