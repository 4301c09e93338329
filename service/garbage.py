"""Keeps the garbage collector out of the way of answers: a full collection walks every table of what is held.

The documents and processes themselves are out of its sight (listeners/untracked.py). What the client library makes of
each document of a first load (`on_snapshot`) and the tables that all are held in are not, so there are no collections
while the listener synchronises for the first time, and what that has built is put aside, where no collection looks.

Ten thousand clients that wait are not out of its sight either: a full collection among them takes 200 ms. They leave no
cycles behind, so it can wait until they have gone; what does leave cycles is bounded by the latest time for it.
"""

import gc
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
"""However many wait: at a thousand waits a second that is an hour."""

LOOK_EVERY_S = 5.0


class CollectorPolicy:
    """Stands between a supervisor and its observer, and acts on the listener's states."""

    def __init__(self, observer: SupervisorObserver) -> None:
        self._observer = observer
        self._had_synced = False
        gc.collect()
        gc.freeze()  # what imports have made stays
        gc.set_threshold(*THRESHOLDS)

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """Collections stop while a first load is under way, which the listener's timeouts bound."""
        if state is ListenerState.SYNCING and not self._had_synced:
            gc.disable()
        else:
            if state is ListenerState.LIVE and not self._had_synced:
                self._had_synced = True
                gc.freeze()
            gc.enable()
        self._observer.state_changed(state, reason)

    def restarted(self, reason: str) -> None:
        """Passed on."""
        self._observer.restarted(reason)

    async def run(self, waiting: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> NoReturn:
        """Until cancelled. `waiting`: how many waits and streams are open."""
        while True:
            await sleep(LOOK_EVERY_S)
            collect_if_due(waiting(), gc.get_count()[2])


def collect_if_due(waiting: int, collections: int) -> None:
    """A full collection, after so many smaller ones since the last, where it would not hold up many or can't wait."""
    if gc.isenabled() and (collections >= OVERDUE_AFTER or (collections >= DUE_AFTER and waiting <= FEW_WAITING)):
        gc.collect()
