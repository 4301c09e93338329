"""The clock of a store: commit times and read times that can never be confused."""

import time
from collections.abc import Callable


class Clock:
    """Whole microseconds since the epoch.

    A time handed out by `now` is never again given to a commit: whatever commits later has a greater time.
    """

    def __init__(self, source: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._source = source
        self._last_us = 0

    def now(self) -> int:
        """A time at which everything committed is visible and nothing will ever be added."""
        self._last_us = max(self._source(), self._last_us)
        return self._last_us

    def next_commit_time(self) -> int:
        self._last_us = max(self._source(), self._last_us + 1)
        return self._last_us
