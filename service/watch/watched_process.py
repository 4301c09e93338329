"""One process that somebody watches: the clients that wait for it, and those it is streamed to.

What is told of a process is ordered by `Change.key`; every watcher remembers the key it has seen and ignores what is
not newer, so it does not matter from how many sources, or how late, a change is heard.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from service.api.parameters import TERMINAL, Wanted
from service.runtime.crowd import Crowd
from service.runtime.failure_log import FailureLog
from service.runtime.slices import Handle
from service.schema.compiled import ProcessSummary
from service.watch.containment import CanFail, contain
from service.watch.event_frames import RESET, Frame, frame, removed_block, status_block
from service.watch.event_stream import Client, EventStream, StreamState

TOLD_A_STEP = 4
"""Writing to a connection costs some 12 µs, a quarter of what ending a wait costs."""


class Change:
    """What a process has become. `summary` is None where it was deleted; `is_last`: its streams end with this.

    `key` is the version, for a deletion the read time (µs) of the consistent point that told of it: a later version
    of the same process is greater, an earlier one less.
    """

    __slots__ = ("_frame", "is_last", "key", "process_id", "summary")

    def __init__(self, process_id: str, key: int, summary: ProcessSummary | None, *, is_last: bool) -> None:
        self.process_id = process_id
        self.key = key
        self.summary = summary
        self.is_last = is_last
        self._frame: Frame | None = None

    def __repr__(self) -> str:
        return f"<Change {self.process_id} {self.key}{'' if self.summary else ' deleted'}>"

    @property
    def frame(self) -> Frame:
        """Its event, rendered once for all streams."""
        if self._frame is None:
            if self.summary is None:
                self._frame = frame(removed_block(self.process_id, True, None))
            else:
                self._frame = frame(status_block(self.summary.body, self.key))
        return self._frame


class Changes:
    """Makes Change objects: knows which statuses are terminal."""

    def __init__(self, terminal_statuses: Collection[str]) -> None:
        self._terminal = frozenset(terminal_statuses)

    def is_terminal(self, summary: ProcessSummary) -> bool:
        """Whether the process has ended."""
        return summary.status in self._terminal

    def is_wanted(self, summary: ProcessSummary, wanted: Wanted) -> bool:
        """Whether the status is one that a wait ends with; where it names none, every one is."""
        until = wanted.until
        return not until or summary.status in until or (TERMINAL in until and self.is_terminal(summary))

    def upsert(self, summary: ProcessSummary) -> Change:
        return Change(summary.process_id, summary.version, summary, is_last=self.is_terminal(summary))

    def deletion(self, process_id: str, read_time: int) -> Change:
        return Change(process_id, read_time, None, is_last=True)


class Watcher(CanFail, Protocol):
    """Who is told of a process's changes."""

    def take(self, change: Change) -> None:
        """Something has become of the process, perhaps nothing new."""

    def settle(self) -> None:
        """Everybody has been told: now is the time for whatever else a change causes."""

    def farewell(self) -> None:
        """The server stops."""

    def close(self) -> None:
        """Nothing more is told."""


class Wait:
    """One client that waits for one change. Told from its creation on, so that nothing is missed before the wait."""

    __slots__ = ("_accepts", "_base", "_failure", "_future", "_latest", "_timer", "_told")

    def __init__(self) -> None:
        self._told: Change | None = None
        self._latest: Change | None = None
        self._failure: Exception | None = None
        self._future: asyncio.Future[Change | None] | None = None
        self._timer: Handle | None = None
        self._base = 0
        self._accepts: Callable[[Change], bool]

    def take(self, change: Change) -> None:
        """See Watcher."""
        if self._future is None or self._future.done() or self._told is not None:
            if self._latest is None or change.key > self._latest.key:
                self._latest = change
        elif self._is_awaited(change):
            self._told = change

    def settle(self) -> None:
        """See Watcher."""
        if self._told is not None and self._future is not None and not self._future.done():
            self._future.set_result(self._told)

    def change_after(
        self, key: int, *, accepts: Callable[[Change], bool], end: Handle
    ) -> "asyncio.Future[Change | None]":
        """The first change after `key` that `accepts` is true of; None after `farewell`.

        `end` is the timer that calls `farewell`.
        """
        self._base, self._accepts, self._told = key, accepts, None
        self._cancel_timer()
        self._timer = end
        future = self._future = asyncio.get_running_loop().create_future()
        if self._failure is not None:
            future.set_exception(self._failure)
        elif self._latest is not None and self._is_awaited(self._latest):
            future.set_result(self._latest)
        self._latest = None
        return future

    def farewell(self) -> None:
        """Wait no longer."""
        if self._future is not None and not self._future.done():
            self._future.set_result(self._told)

    def close(self) -> None:
        """Nobody waits any more."""
        self._cancel_timer()
        self._future = None

    def fail(self, error: Exception) -> None:
        """See CanFail: the request that waits is answered with an error."""
        self._failure = error
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)

    def _is_awaited(self, change: Change) -> bool:
        return change.key > self._base and self._accepts(change)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ProcessStream(EventStream):
    """The changes of one process. A client that lags is told the newest version, not each one between.

    `follows`: a terminal status does not end it; a deletion does.
    """

    __slots__ = ("_follows", "_key", "_waiting")

    def __init__(self, *, follows: bool = False) -> None:
        super().__init__()
        self._follows = follows
        self._key = 0
        self._waiting: Change | None = None

    def begin(self, client: Client, present: Change | None, since: int | None, *, is_reset: bool = False) -> None:
        """Send the present state, unless it is the one seen; from now on changes follow.

        `present` is None where the client has seen a version that this replica has not come to: what it has seen, or
        older, is not told. `is_reset`: what the client has seen means nothing, and it is told so first.
        """
        self._client = client
        if self.is_over:
            return
        self.state = StreamState.FLOWING
        if is_reset:
            self._send(RESET)
        if present is None:
            self._key = since or 0
        elif present.key == since:
            self._key = present.key
            if self._is_last(present):
                self._enter(StreamState.ENDED)
        else:
            self.take(present)
        if self.state is StreamState.FLOWING:
            self._send_waiting()

    def take(self, change: Change) -> None:
        """See Watcher."""
        if change.key <= self._key or self.is_over:
            if change.key == self._key and self._is_last(change) and not self.is_over:
                self._enter(StreamState.ENDED)  # the client has seen this end already, at another replica
            return
        if self.state is not StreamState.FLOWING:
            if self._waiting is None or change.key > self._waiting.key:
                self._waiting = change
            return
        self._key = change.key
        self._send(change.frame)
        if self._is_last(change):
            self._enter(StreamState.ENDED)

    def _is_last(self, change: Change) -> bool:
        return change.summary is None if self._follows else change.is_last

    def settle(self) -> None:
        """See Watcher."""

    def close(self) -> None:
        """See Watcher."""

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.take(waiting)


class WatchedProcess:
    """All watchers of one process, in the order they came."""

    __slots__ = ("process_id", "watchers")

    def __init__(self, process_id: str) -> None:
        self.process_id = process_id
        self.watchers: Crowd[Watcher] = Crowd()

    def __repr__(self) -> str:
        return f"<WatchedProcess {self.process_id}, {len(self.watchers)} watchers>"

    def tell(self, change: Change, failures: FailureLog) -> Iterator[None]:
        """Tell everybody, a few a step; what else follows from it comes after, so that nobody has to wait for it."""
        told = 0
        for group in self.watchers.groups():
            for watcher in group:
                try:
                    watcher.take(change)
                except Exception as error:  # noqa: BLE001 - contained
                    contain(failures, watcher, "take", error)
                told += 1
                if told % TOLD_A_STEP == 0:
                    yield
        for group in self.watchers.groups():
            for watcher in group:
                try:
                    watcher.settle()
                except Exception as error:  # noqa: BLE001 - contained
                    contain(failures, watcher, "settle", error)
                yield
