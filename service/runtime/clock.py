"""The clock of leases and ages: it never goes back, and it also runs while the machine is suspended."""

import time
from functools import partial

boottime = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds on CLOCK_BOOTTIME; where the system has none, on the monotonic clock. Read at every request: no function of
Python's own."""
