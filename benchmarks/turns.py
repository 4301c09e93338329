"""What lies between two turns of an event loop, in the loop's own process: how long it was held, and what that cost.

The loop is kept turning: a callback that schedules itself again runs once a turn and reads two clocks, so no turn is
missed and none is spent asleep. The CPU time is the loop's thread's alone: other threads, other processes and a
machine that is busy elsewhere lengthen the wall time only. The callback itself costs some 2 µs a turn, and is in it.
"""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.refusal import NotMeasured

COARSEST_CLOCK_S = 50e-6
FEWEST_TURNS = 100


@dataclass(frozen=True)
class Holds:
    """The longest, by each clock, of so many turns."""

    cpu_ms: float
    wall_ms: float
    turns: int


class Turns:
    """Watches the running loop from `begin` to `end`."""

    def __init__(self) -> None:
        self._is_watching = False
        self._turns = 0
        self._cpu_ns = self._wall_ns = 0
        self._longest_cpu_ns = self._longest_wall_ns = 0

    def begin(self) -> None:
        """Watch from the next turn on. Raises: NotMeasured where the thread's CPU time is not told finely enough."""
        resolution_s = time.get_clock_info("thread_time").resolution
        if resolution_s > COARSEST_CLOCK_S:
            raise NotMeasured(f"this machine tells a thread's CPU time in steps of {resolution_s * 1000:g} ms")
        self._loop = asyncio.get_running_loop()
        self._is_watching = True
        self._turns = self._longest_cpu_ns = self._longest_wall_ns = 0
        self._cpu_ns, self._wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        self._longest_cpu_ns = max(self._longest_cpu_ns, cpu_ns - self._cpu_ns)
        self._longest_wall_ns = max(self._longest_wall_ns, wall_ns - self._wall_ns)
        self._cpu_ns, self._wall_ns = cpu_ns, wall_ns
        self._turns += 1
        if self._is_watching:
            self._loop.call_soon(self._turn)

    def end(self) -> Holds:
        """Raises: NotMeasured where the loop was hardly seen turning."""
        self._is_watching = False
        if self._turns < FEWEST_TURNS:
            raise NotMeasured(f"the loop was seen turning only {self._turns} times")
        return Holds(self._longest_cpu_ns / 1e6, self._longest_wall_ns / 1e6, self._turns)
