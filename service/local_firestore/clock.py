"""The clock of a store. Its commit times and read times are always distinguishable."""

import time
from collections.abc import Callable


class Clock:
    """Whole microseconds since the epoch.

    No commit gets a time that `now` has returned: later commits have greater times.
    """

    def __init__(self, source: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._source = source
        self._last_us = 0

    def now(self) -> int:
        """A time at which all present commits are visible. No later commit gets it."""
        self._last_us = max(self._source(), self._last_us)
        return self._last_us

    def next_commit_time(self) -> int:
        self._last_us = max(self._source(), self._last_us + 1)
        return self._last_us
