"""Keeps the garbage collector out of the way of answers: a full collection walks every table of what is held.

The documents and processes themselves are out of its sight (listeners/untracked.py). What the client library makes of
each document of a first load (`on_snapshot`) and the tables that all are held in are not, so there are no collections
while the listener synchronises for the first time, and what that has built is put aside, where no collection looks.

Ten thousand clients that wait are not out of its sight either: a full collection among them takes 50 to 100 ms. They
leave no cycles behind, so it can wait until they have gone. Should something else leave cycles, memory grows: then it
waits no longer.
"""

import gc
import resource
from collections.abc import Awaitable, Callable
from typing import NoReturn

from listeners.listener import ListenerState
from listeners.supervisor import SupervisorObserver

THRESHOLDS = (1_000, 3, 1_000_000)
"""Objects between collections of the young; how many of these before those that outlived one are looked at too. The
third is never reached: full collections are made by `collect_if_due`.

The loop waits for each: what lies in memory far apart takes a microsecond an object, so these look at 1,000 and 5,000.
With 10,000 and 60,000, as it was, it took 8 to 25 ms again and again while ten thousand clients came to wait. No object
is looked at more often for it."""

DUE_AFTER = 1_500
"""Collections of those that outlived one before a full one is due: six million objects more than have gone."""

FEW_WAITING = 50
"""So many waits and streams make a full collection a millisecond longer."""

OVERDUE_AFTER = 20 * DUE_AFTER
"""However many wait, where memory has grown: at a thousand waits a second that is an hour."""

GROWN = 1.25
"""Times the most memory that the process has ever had, when the last full collection was made."""

LOOK_EVERY_S = 5.0


def peak_memory() -> int:
    """KiB on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class CollectorPolicy:
    """Stands between a supervisor and its observer, and acts on the listener's states.

    `peak_memory`: the most that the process has ever had, in whatever unit.
    """

    def __init__(self, observer: SupervisorObserver, *, peak_memory: Callable[[], int] = peak_memory) -> None:
        self._observer = observer
        self._peak_memory = peak_memory
        self._had_synced = False
        gc.collect()
        gc.freeze()  # what imports have made stays
        gc.set_threshold(*THRESHOLDS)
        self._peak_then = peak_memory()

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """Collections stop while a first load is under way, which the listener's timeouts bound."""
        if state is ListenerState.SYNCING and not self._had_synced:
            gc.disable()
        else:
            if state is ListenerState.LIVE and not self._had_synced:
                self._had_synced = True
                gc.freeze()
                self._peak_then = self._peak_memory()
            gc.enable()
        self._observer.state_changed(state, reason)

    def restarted(self, reason: str) -> None:
        """Passed on."""
        self._observer.restarted(reason)

    async def run(self, waiting: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> NoReturn:
        """Until cancelled. `waiting`: how many waits and streams are open."""
        while True:
            await sleep(LOOK_EVERY_S)
            self.collect_if_due(waiting(), gc.get_count()[2])

    def collect_if_due(self, waiting: int, collections: int) -> None:
        """A full collection, after so many smaller ones since the last, where it holds up few or can't wait."""
        if not gc.isenabled() or collections < DUE_AFTER:
            return
        if waiting <= FEW_WAITING or (collections >= OVERDUE_AFTER and self._has_grown()):
            gc.collect()
            self._peak_then = self._peak_memory()

    def _has_grown(self) -> bool:
        return self._peak_memory() >= GROWN * self._peak_then
