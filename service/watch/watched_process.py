"""One process that has watchers: its long polls and its event streams."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from service.api.caller import Caller
from service.model.sight import Sight
from service.runtime.chunked_set import ChunkedSet
from service.runtime.clock import Timer
from service.runtime.failure_log import FailureLog
from service.schema.compiled import ProcessSummary
from service.watch.changes import Change
from service.watch.containment import CanFail, contain

WATCHERS_PER_STEP = 4
"""Watchers per step of a slicer's job: writing to a connection takes some 12 µs, waking a task four times as long."""


class Watcher(CanFail, Protocol):
    """Gets the changes of one process, as its caller sees them."""

    @property
    def caller(self) -> Caller:
        """The caller of this wait or stream."""

    @property
    def has_seen(self) -> bool:
        """Whether an event has said that the process exists."""

    def on_change(self, change: Change) -> None:
        """The process has changed. The client may know this change, or a newer one, already."""

    def finish(self) -> None:
        """End the wait or the stream: its time is over, or the server stops."""

    def close(self) -> None:
        """The watcher has been removed: free what it holds."""


class Following(Protocol):
    """A document outside the window that the listener follows."""

    def release(self) -> None:
        """Stop following the document; no call of `on_document` comes after this."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The last known state of a followed document. `as_of` is on the injected clock."""

    summary: ProcessSummary | None
    read_time: int
    as_of: float


class WatchedProcess:
    """The watchers of a process in the order in which they came, and the followed document outside the model."""

    __slots__ = ("exists", "followed", "following", "linger", "process_id", "watchers")

    def __init__(self, process_id: str) -> None:
        self.process_id = process_id
        self.watchers: ChunkedSet[Watcher] = ChunkedSet()
        self.exists = False
        """Whether the document exists. If not, it is not followed: a new document enters the window."""
        self.followed: Followed | None = None
        self.following: Following | None = None
        self.linger: Timer | None = None
        """Runs while the document is still followed although its last watcher has left."""

    def __repr__(self) -> str:
        return f"<WatchedProcess {self.process_id}, {len(self.watchers)} watchers>"

    def deliver(self, change: Change, sight: Sight, failures: FailureLog) -> Iterator[None]:
        """Give the change to every watcher, WATCHERS_PER_STEP in each step.

        For watchers whose caller no longer sees the process, the change is a deletion.
        """
        delivered = 0
        for chunk in self.watchers.chunks():
            for watcher in chunk:
                try:
                    is_seen = watcher.caller.owner is None or sight.shows(watcher.caller, change.summary)
                    watcher.on_change(change if is_seen else change.out_of_sight)
                except Exception as error:  # noqa: BLE001 - contained
                    contain(failures, watcher, "on_change", error)
                delivered += 1
                if delivered % WATCHERS_PER_STEP == 0:
                    yield
