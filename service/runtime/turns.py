"""How much of a turn of the event loop goes to requests, so that the listener has its own however many there are.

Firestore's messages come in one a turn. Ten thousand polls a turn would make it a hundred milliseconds long, and the
model older and older until its lease lapses; then every request is dearer, the turn longer still, and the listener
never catches up. So once the requests of this turn have had TURN_S, the others wait for the next, in their order.

To wait costs a request a fifth of what it takes. While only requests need the loop, they get four times as much of a
turn: then two hundred busy connections are read without a wait. The first message of Firestore ends that.

Lives on the event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter

from listeners.listener import Clock

TURN_S = 0.0005
"""What requests may have of a turn, at most twice: some fifty polls. The loop itself takes a twentieth of it a turn."""

QUIET_TURN_S = 0.002
"""The same when the last call of `hurry` was more than QUIET_AFTER_S ago."""

QUIET_AFTER_S = 0.05
"""A listener of some twenty changes a second has short turns all the time."""

OTHER_S = 0.0001
"""What a request is going to take that is answered by a task of its own."""


_log = logging.getLogger(__name__)


class Turns:
    """A fair queue. A request calls `takes`; when that returns False, it queues: by `wait`, or by `turn`."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], *, clock: Clock = perf_counter) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._quiet_from = float("inf")  # without any call of `hurry` nothing proves that it is quiet
        self._is_asked_for = False
        """Whether the next turn is: that costs 2 µs, too much for each of many short turns."""
        self.ends_at = 0.0
        """Until then requests are served: in this turn and, if it is short, in the next. The hot path reads it instead
        of calling `takes`. It lies in the past while others are queued.
        """

    def __repr__(self) -> str:
        return f"<Turns, {len(self._waiting)} waiting>"

    def takes(self, now: float, *, for_s: float = 0.0) -> bool:
        """Whether this turn has time left; then `for_s` of it are taken at once."""
        if self._waiting:
            return False
        if now >= self.ends_at:
            if self._is_asked_for:
                return False
            self._ask_for_the_next()
            self._begin(now)
        self.ends_at -= for_s
        return True

    def hurry(self) -> None:
        """Shorten this turn and those soon after it. Called when a message of Firestore or another event arrives."""
        now = self._clock()
        self._quiet_from = now + QUIET_AFTER_S
        self.ends_at = min(self.ends_at, now + TURN_S)

    def spend(self, seconds: float) -> None:
        """A request that this turn has taken is going to take longer than was known."""
        self.ends_at -= seconds

    def wait(self, serve: Callable[[], None]) -> None:
        """Call it when its turn has come. Only after `takes` has said no."""
        self._waiting.append(serve)

    async def turn(self) -> None:
        """Return when the turn of a request has come that is answered by a task of its own. Only after `takes` too."""
        has_come = asyncio.get_running_loop().create_future()

        def serve() -> None:
            if not has_come.done():
                has_come.set_result(None)
                self.spend(OTHER_S)

        self.wait(serve)
        await has_come

    def serve_all(self) -> None:
        """Serve everything that is queued. A failure of one does not stop the others."""
        while self._waiting:
            try:
                self._waiting.popleft()()
            except Exception:  # noqa: BLE001 - it is logged, and the others are served
                _log.exception("a request that waited for its turn failed")

    def _begin(self, now: float) -> None:
        self.ends_at = now + (TURN_S if now < self._quiet_from else QUIET_TURN_S)

    def _ask_for_the_next(self) -> None:
        self._is_asked_for = True
        self._call_soon(self._next)

    def _next(self) -> None:
        self._is_asked_for = False
        if not self._waiting:
            return
        self._ask_for_the_next()
        self._begin(self._clock())
        try:
            while self._waiting:
                self._waiting.popleft()()
                if self._clock() >= self.ends_at:
                    break
        finally:  # a new request never overtakes queued ones, also after a failure
            if self._waiting:
                self.ends_at = 0.0
