"""One client that waits for one process, without a task of its own.

A waiter is in one of four states. LOOKING: the present state is being looked up; the waiter remembers the newest
change, so that it misses none before the wait. WAITING: the first change that meets the condition completes it, or
`finish` does. COMPLETED: `on_complete` has been called; newer changes are remembered, and `wait` can be called again.
CLOSED: the waiter has been removed. Deliveries can still reach a closed waiter for a short while; it ignores them.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from service.api.caller import Caller
from service.api.list_query import STALLED
from service.api.waits import Wanted
from service.reads.answers import Answer
from service.runtime.clock import Timer
from service.runtime.slicer import Lane
from service.watch.changes import Change


@dataclass(frozen=True, slots=True)
class WaitCondition:
    """What `caller` waits for: see Wanted. `if_none_match` has all versions that the client knows, also that of
    `after`. `children`: the children that the answer includes.

    `seconds` is the remaining time: 0 if the client has waited long enough before.
    """

    caller: Caller
    seconds: float
    wanted: Wanted
    if_none_match: str
    children: tuple[str, ...] = ()


OnComplete = Callable[[Answer | None], None]
"""Gets the answer in the step in which the wait ends; None if nothing in memory proves one, so Firestore is read."""


class WaitState(Enum):
    """What a change does to the waiter."""

    LOOKING = "looking"
    WAITING = "waiting"
    COMPLETED = "completed"
    CLOSED = "closed"


class WaitHost(Protocol):
    """The part of LongPolls that a waiter uses."""

    def accepts(self, change: Change, condition: WaitCondition) -> bool:
        """Whether this change, which is new to the client, meets the condition."""

    def answer(self, waiter: "LongPollWaiter") -> Answer | None:
        """The answer to `waiter.change`; if that is None, the answer to a wait whose time is over."""

    def finish_in(self, waiter: "LongPollWaiter", seconds: float) -> Timer:
        """Call the waiter's `finish` after this many seconds."""

    def remove(self, waiter: "LongPollWaiter") -> None:
        """The waiter gets no more changes."""


class LongPollWaiter:
    """A watcher of the process. `change` is the change that completed the last wait; None if its time ended or it
    failed.

    If `on_complete` raises, it has already closed the connection of its client.
    """

    __slots__ = ("_host", "_missed", "_on_complete", "_timer", "change", "condition", "process_id", "seen", "state")

    def __init__(self, host: WaitHost, process_id: str, condition: WaitCondition) -> None:
        self.process_id = process_id
        self.condition = condition
        self.state = WaitState.LOOKING
        self.seen = 0
        """The version that the client knows."""
        self.change: Change | None = None
        self._host = host
        self._missed: Change | None = None
        self._on_complete: OnComplete
        self._timer: Timer | None = None

    @property
    def caller(self) -> Caller:
        """See Watcher."""
        return self.condition.caller

    @property
    def has_seen(self) -> bool:
        """See Watcher."""
        return self.seen > 0

    def __repr__(self) -> str:
        return f"<LongPollWaiter {self.process_id} {self.state.value}>"

    def wait(self, seen: int, seconds: float, on_complete: OnComplete) -> None:
        """Wait for a change after the version `seen`. `on_complete` is called once, perhaps before this returns."""
        self._cancel_timer()
        self.seen, self._on_complete, self.change = seen, on_complete, None
        missed, self._missed = self._missed, None
        self.state = WaitState.WAITING
        if missed is not None:
            self.on_change(missed)
        if self.state is WaitState.WAITING:
            self._timer = self._host.finish_in(self, seconds)

    def completion(self, seen: int, seconds: float, wake_ups: Lane) -> "asyncio.Future[None]":
        """The same for a handler: a future that ends with the wait. `wake_ups` spreads many wake-ups over slices."""
        completed = asyncio.get_running_loop().create_future()
        self.wait(seen, seconds, lambda _: wake_ups.add(_wake(completed)))
        return completed

    def on_change(self, change: Change) -> None:
        """See Watcher. The end of a process is no news to a client that waits for this process to begin."""
        if self.state is WaitState.WAITING:
            if change.summary is None and not self.seen:
                return
            if change.key <= self.seen and not self._is_stall(change):
                return
            is_known = not self.condition.children and change.tells_nothing_new(self.seen)
            if is_known and not self._is_stall(change):
                self.seen = change.key
            elif self._host.accepts(change, self.condition):
                self._complete(change)
        elif self.state is not WaitState.CLOSED and (self._missed is None or change.key >= self._missed.key):
            self._missed = change

    def _is_stall(self, change: Change) -> bool:
        """Whether the client waits for a stall and the process stalls, perhaps in a version that the client knows."""
        return change.is_stalled and STALLED in self.condition.wanted.until and change.key >= self.seen

    def finish(self) -> None:
        """See Watcher."""
        if self.state is WaitState.WAITING:
            self._complete(None)

    def fail(self, _: Exception) -> None:
        """See CanFail. The client's answer is then read from Firestore."""
        if self.state is WaitState.WAITING:
            self.change, self.state = None, WaitState.COMPLETED
            self._on_complete(None)

    def leave(self) -> None:
        """Remove the waiter. Must be called exactly once, however the wait has ended."""
        self._host.remove(self)

    def close(self) -> None:
        """See Watcher."""
        self.state = WaitState.CLOSED
        self._cancel_timer()

    def _complete(self, change: Change | None) -> None:
        self.change = change
        answer = self._host.answer(self)
        self.state = WaitState.COMPLETED
        self._on_complete(answer)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _wake(completed: "asyncio.Future[None]") -> Iterator[None]:
    if not completed.done():
        completed.set_result(None)
    yield
