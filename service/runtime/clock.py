"""The clock of leases and ages, and the interface of timers.

The clock never goes back, and it also runs while the machine is suspended.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

boottime = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds on CLOCK_BOOTTIME; if the system has none, on the monotonic clock. It is no Python function, because every
request calls it."""


class Timer(Protocol):
    """A call that happens later unless it is cancelled."""

    def cancel(self) -> None:
        """Cancel the call; has no effect after it has happened."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""The loop's `call_later`: the seconds, and the function to call then."""
