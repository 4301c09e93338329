"""The clock of leases and ages: it never goes back, and it also runs while the machine is suspended."""

import time


def boottime() -> float:
    """Seconds on CLOCK_BOOTTIME; where the system has none, on the monotonic clock."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
