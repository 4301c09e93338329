"""Decides when the garbage collector runs a full collection, which blocks the event loop. Lives on the event loop.

A full collection walks every container that the collector tracks. The processes of the model are not tracked
(listeners/gc_untrack.py), so with few waiting clients it takes 20 to 30 ms, with 10,000 waiting clients 50 to 200 ms.
Therefore:

- When memory grows, a full collection runs, whatever the number of waiting clients and of earlier collections.
  Malformed, abandoned and upgraded requests leave cycles, and any client can send them. Full collections take at most
  MOST_OF_THE_TIME. Afterwards glibc is asked to return free memory to the operating system.
- While memory does not grow and more than FEW_WAITING clients wait, no full collection runs.
- With few waiting clients, one runs for every DUE_AFTER smaller collections.
- During the first load none runs, because the tables of the model, and the client library's objects for each document
  (`on_snapshot`), are tracked. When the load is done, its objects are frozen: collections no longer look at them.
  Requests can have left cycles meanwhile. So when memory grows for the first time, the frozen objects are checked too.

Nothing here needs a third generation, which Python 3.14 does not have: `gc.get_stats` counts the collections.
"""

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import NoReturn

from listeners.listener import Clock, ListenerState
from listeners.supervisor import SupervisorObserver

THRESHOLDS = (1_000, 3, 1_000_000)
"""New objects before a collection of the youngest generation, and the number of those before a collection of the next
one. The third number is never reached: `CollectorPolicy.look` runs the full collections. Python 3.14 has two numbers:
each of its collections looks at the new objects, and at no more than twice as many old ones.

The loop waits for each collection. Objects far apart in memory take a microsecond each, so a collection looks at 1,000
or 5,000 of them."""

DUE_AFTER = 6_000
"""Smaller collections before a full one is due: that is, six million more objects were made than freed."""

FEW_WAITING = 50
"""This number of waits and streams makes a full collection a millisecond longer."""

GROWN_BY = 0.25
LEAST_GROWTH_BYTES = 32 * 2**20
"""Memory has grown if it exceeds the size after the last full collection by a quarter, and by at least 32 MiB."""

WAITING_BYTES = 8 * 1024
"""The memory of a waiting client: this growth needs no collection."""

MOST_OF_THE_TIME = 0.05
"""After a full collection, the next one has to wait for 20 times as long as it took."""

LOOK_EVERY_S = 1.0

_STATM = "/proc/self/statm"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def resident_bytes() -> int:
    """The present memory of this process; without /proc, the most that it has ever had.

    A peak never falls, so without /proc growth below an earlier peak is not noticed.
    """
    try:
        with open(_STATM, "rb") as statm:  # noqa: PTH123 - once a second, on the event loop: 10 µs
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT_BYTES


_malloc_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


def smaller_collections() -> int:
    """The number of collections so far that were not full ones, on any version of Python."""
    young, middle = gc.get_stats()[:2]
    return int(young["collections"] + middle["collections"])


class CollectorPolicy:
    """Stands between a supervisor and its observer, and reacts to the listener's states.

    `memory` is in bytes. Tests inject `memory`, `collections` and `clock`.
    """

    def __init__(
        self,
        observer: SupervisorObserver,
        *,
        memory: Callable[[], int] = resident_bytes,
        collections: Callable[[], int] = smaller_collections,
        clock: Clock = perf_counter,
    ) -> None:
        self._observer = observer
        self._memory = memory
        self._collections = collections
        self._clock = clock
        self._had_synced = False
        self._froze_cycles = False
        self._not_before = clock()
        gc.collect()
        gc.freeze()  # the objects that imports have made stay for ever
        gc.set_threshold(*THRESHOLDS)
        self._note_what_is_left()

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """Stop collections during a first load. The listener's timeouts bound its length."""
        if state is ListenerState.SYNCING and not self._had_synced:
            gc.disable()
        else:
            if state is ListenerState.LIVE and not self._had_synced:
                self._had_synced = True
                gc.freeze()
                self._froze_cycles = True
                self._note_what_is_left()
            gc.enable()
        self._observer.state_changed(state, reason)

    def restarted(self, reason: str) -> None:
        """Pass it on."""
        self._observer.restarted(reason)

    async def run(self, waiting: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> NoReturn:
        """Check again and again, until cancelled. `waiting` returns the number of open waits and streams."""
        while True:
            await sleep(LOOK_EVERY_S)
            self.look(waiting())

    def look(self, waiting: int) -> None:
        """Run a full collection if memory has grown, or if one is due and few clients wait."""
        began = self._clock()
        if not gc.isenabled() or began < self._not_before:
            return
        is_due = waiting <= FEW_WAITING and self._collections() - self._collections_then >= DUE_AFTER
        explained = max(0, waiting - self._waiting_then) * WAITING_BYTES
        has_grown = self._memory() - explained >= self._most_memory
        if has_grown or is_due:
            self._collect(with_frozen=has_grown and self._froze_cycles)
            if has_grown and _malloc_trim is not None:
                _malloc_trim(0)
            ended = self._clock()
            self._not_before = ended + (ended - began) / MOST_OF_THE_TIME
            self._note_what_is_left(waiting)

    def _collect(self, *, with_frozen: bool) -> None:
        if with_frozen:
            self._froze_cycles = False
            gc.unfreeze()
        gc.collect()
        if with_frozen:
            gc.freeze()

    def _note_what_is_left(self, waiting: int = 0) -> None:
        self._waiting_then = waiting
        memory = self._memory()
        self._most_memory = memory + max(LEAST_GROWTH_BYTES, GROWN_BY * memory)
        self._collections_then = self._collections()
