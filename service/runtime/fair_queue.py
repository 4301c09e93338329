"""Limits the requests' share of each turn of the event loop, so that request load cannot starve the listener.

The loop reads one message of Firestore per turn. Ten thousand polls in one turn would take a hundred milliseconds. Then
the model would fall behind until its lease lapses, requests would cost more, turns would take even longer, and the
listener would never catch up. So when the requests of a turn have used TURN_S, the other requests queue for the next
turn, in their order.

Queuing adds a fifth to the cost of a request. While only requests need the loop, they get four times as much of each
turn: this is enough for two hundred busy connections without a queue. The first message of Firestore ends this.

Lives on the event loop.
"""

import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter

from listeners.listener import Clock

TURN_S = 0.0005
"""The requests' share of a turn, some fifty polls; it can take up to twice as long. The loop itself uses a twentieth of
this time per turn."""

QUIET_TURN_S = 0.002
"""The share when the last call of `shorten` was more than QUIET_AFTER_S ago."""

QUIET_AFTER_S = 0.05
"""With about twenty changes per second, turns are always short."""

HANDLER_S = 0.0001
"""The time of a request that a handler answers in a task of its own."""

log = logging.getLogger(__name__)


class FairQueue:
    """A request calls `try_acquire`; if that returns False, it calls `enqueue`."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], *, clock: Clock = perf_counter) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._queue: deque[Callable[[], None]] = deque()
        self._quiet_from = float("inf")  # no call of `shorten` yet, so the loop is not known to be quiet
        self._has_scheduled = False
        """Whether the next turn is scheduled. Scheduling costs 2 µs, too much for each of many short turns."""
        self.ends_at = 0.0
        """Requests are served until this time: in this turn and, if it is short, in the next. The hot path reads it
        instead of calling `try_acquire`. It is in the past while requests are queued.
        """

    def __repr__(self) -> str:
        return f"<FairQueue, {len(self._queue)} queued>"

    def try_acquire(self, now: float) -> bool:
        """Whether this turn has time left."""
        if self._queue:
            return False
        if now >= self.ends_at:
            if self._has_scheduled:
                return False
            self._schedule()
            self._begin(now)
        return True

    def enqueue(self, serve: Callable[[], None]) -> None:
        """Call `serve` in a later turn. Allowed only after `try_acquire` has returned False."""
        self._queue.append(serve)

    def shorten(self) -> None:
        """Shorten this turn and those soon after it. Called when a message of Firestore or another event arrives."""
        now = self._clock()
        self._quiet_from = now + QUIET_AFTER_S
        self.ends_at = min(self.ends_at, now + TURN_S)

    def charge(self, seconds: float) -> None:
        """Take more time from the present turn: one of its requests needs more than expected."""
        self.ends_at -= seconds

    def serve_all(self) -> None:
        """Serve all queued requests. A failure of one does not stop the others."""
        while self._queue:
            try:
                self._queue.popleft()()
            except Exception:
                log.exception("a queued request failed")

    def _begin(self, now: float) -> None:
        self.ends_at = now + (TURN_S if now < self._quiet_from else QUIET_TURN_S)

    def _schedule(self) -> None:
        self._has_scheduled = True
        self._call_soon(self._next)

    def _next(self) -> None:
        self._has_scheduled = False
        if not self._queue:
            return
        self._schedule()
        self._begin(self._clock())
        try:
            while self._queue:
                self._queue.popleft()()
                if self._clock() >= self.ends_at:
                    break
        finally:  # also after a failure: a new request never overtakes queued ones
            if self._queue:
                self.ends_at = 0.0
