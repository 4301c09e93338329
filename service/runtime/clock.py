"""The clock of leases and ages, and what timers look like.

The clock never goes back, and it also runs while the machine is suspended.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

boottime = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds on CLOCK_BOOTTIME; where the system has none, on the monotonic clock. Every request reads it, so it is no
Python function."""


class Timer(Protocol):
    """A call that happens later unless it is cancelled."""

    def cancel(self) -> None:
        """Without effect once the call has happened."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""The loop's `call_later`: seconds, and what to call then."""
