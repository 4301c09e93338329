"""Decides when the garbage collector runs a full collection, which holds the event loop. Lives on the event loop.

A full collection walks every container that the collector tracks. Processes held are not tracked
(listeners/gc_untrack.py), so with few clients waiting it takes 20 to 30 ms, with 10,000 waiting 50 to 200 ms. Hence:

- Memory that grows is collected, however many clients wait and however few collections there were. Malformed, abandoned
  and upgraded requests leave cycles, and anyone can send them. Full collections take at most MOST_OF_THE_TIME.
  What they free goes back to the operating system, which glibc has to be asked for.
- While memory is flat and more than FEW_WAITING clients wait there is no full collection.
- With few clients waiting there is one for every DUE_AFTER smaller ones.
- During the first load there is none: what the client library makes of each document (`on_snapshot`) and the tables of
  the model are tracked. What the load has built is then frozen, where no collection looks. Requests can have left
  cycles meanwhile, so the first time that memory grows after it, what is frozen is looked at too.

Nothing here depends on a third generation, which Python 3.14 does not have: collections are counted by `gc.get_stats`.
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
"""New objects before a collection of the young; how many of these before a collection of those that survived one. The
third is never reached: `CollectorPolicy.look` runs the full collections. Python 3.14 has two: each of its collections
looks at the new objects, and at no more than twice as many old ones.

The loop waits for each. What is far apart in memory takes a microsecond per object, so they look at 1,000 and 5,000."""

DUE_AFTER = 6_000
"""Smaller collections before a full one is due: six million objects more than were freed."""

FEW_WAITING = 50
"""This many waits and streams make a full collection a millisecond longer."""

GROWN_BY = 0.25
LEAST_GROWTH_BYTES = 32 * 2**20
"""Memory has grown if it exceeds what the last full collection left by a quarter, and by at least 32 MiB."""

WAITING_BYTES = 8 * 1024
"""Of each client that waits: this growth needs no collection to explain it."""

MOST_OF_THE_TIME = 0.05
"""After a full collection none follows until 20 times as long as it took has passed."""

LOOK_EVERY_S = 1.0

_STATM = "/proc/self/statm"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def resident_bytes() -> int:
    """Memory that this process has now; where /proc is missing, the most that it has ever had.

    A peak never falls, so growth below an earlier peak goes unseen; growth beyond it is seen.
    """
    try:
        with open(_STATM, "rb") as statm:  # noqa: PTH123 - once a second, on the event loop: 10 µs
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT_BYTES


_malloc_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


def smaller_collections() -> int:
    """Collections so far that were not full ones, on any version of Python."""
    young, middle = gc.get_stats()[:2]
    return int(young["collections"] + middle["collections"])


class CollectorPolicy:
    """Stands between a supervisor and its observer, and acts on the listener's states.

    `memory` in bytes, `collections` and `clock` are injected by tests.
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
        gc.freeze()  # what imports have made stays
        gc.set_threshold(*THRESHOLDS)
        self._note_what_is_left()

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """Collections stop while a first load is under way, which the listener's timeouts bound."""
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
        """Passed on."""
        self._observer.restarted(reason)

    async def run(self, waiting: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> NoReturn:
        """Look again and again, until cancelled. `waiting`: how many waits and streams are open."""
        while True:
            await sleep(LOOK_EVERY_S)
            self.look(waiting())

    def look(self, waiting: int) -> None:
        """Run a full collection, where memory has grown, or where one is due and holds up few."""
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
