"""How old is a consistent point of `on_snapshot`? No probe can prove it, so two clocks give two estimates.

The wall clock shows the age if this machine's clock is right. The other estimate needs no wall clock. A point cannot
arrive before its read time. So on the listener's own clock, which never jumps, Firestore's clock is ahead by at least
`read_time - now`. The greatest such difference comes from the point that arrived fastest. A later point's age is how
much later it arrives, compared with that point; the travel time of that point is not included. The greater age of the
two estimates counts. If the wall clock jumps back, no point becomes too young; if it jumps ahead, all points become
old, so the lease lapses. Both jumps are logged.
"""

import logging
from collections.abc import Callable

from listeners.listener import Clock

_log = logging.getLogger(__name__)

DRIFT = 0.001
"""Seconds per second that the two clocks can drift apart: twice what NTP is allowed to slew a clock."""

JUMP_S = 1.0
"""More than slewing can change a clock between two points."""

BEHIND_S = 1.0
"""If a read time is this far in the wall clock's future, the wall clock is wrong, and not just coarse."""


class Ages:
    """`clock` is the listener's, in seconds; `wall_clock` is in seconds since the epoch. Lives through all runs."""

    def __init__(self, clock: Clock, wall_clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._ahead_s = float("-inf")  # Firestore's clock minus the listener's: a lower bound
        self._seen_at = 0.0
        self._offset_s: float | None = None  # the wall clock minus the listener's, at the last point
        self._is_behind = False

    def as_of(self, read_time: int) -> float:
        """`read_time` (microseconds) on the listener's clock, even if the point waited long in a socket or a queue.

        The listener's clock is read first: a freeze between the two readings makes the result too old, never too fresh.
        """
        now = self._clock()
        wall = self._wall_clock()
        seconds = read_time / 1_000_000
        self._notice(wall - now, seconds - wall)
        ahead_s = max(seconds - now, self._ahead_s - DRIFT * (now - self._seen_at))
        self._ahead_s, self._seen_at = ahead_s, now
        return now - max(0.0, wall - seconds, now + ahead_s - seconds)

    def _notice(self, offset_s: float, behind_s: float) -> None:
        """Log it if the wall clock has jumped, or is behind Firestore's: then the ages that it shows are wrong."""
        if self._offset_s is not None and abs(jump_s := offset_s - self._offset_s) > JUMP_S:
            _log.warning("the wall clock has jumped by %+.1f s: ages now follow the listener's own clock too", jump_s)
        self._offset_s = offset_s
        if behind_s > BEHIND_S and not self._is_behind:
            _log.warning("the wall clock is %.1f s behind Firestore's: set this machine's clock", behind_s)
        self._is_behind = behind_s > BEHIND_S
