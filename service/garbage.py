"""Keeps the garbage collector out of the way of answers: a full collection walks every table of what is held.

The documents and processes themselves are out of its sight (listeners/untracked.py). What the client library makes of
each document of a first load (`on_snapshot`) and the tables that all are held in are not, so there are no collections
while the listener synchronises for the first time, and what that has built is put aside, where no collection looks.
"""

import gc

from listeners.listener import ListenerState
from listeners.supervisor import SupervisorObserver

YOUNG_THRESHOLD = 10_000
"""Objects between collections of the young: a request makes few that live on, a change about ten."""


class CollectorPolicy:
    """Stands between a supervisor and its observer, and acts on the listener's states."""

    def __init__(self, observer: SupervisorObserver) -> None:
        self._observer = observer
        self._had_synced = False
        gc.collect()
        gc.freeze()  # what imports have made stays
        gc.set_threshold(YOUNG_THRESHOLD, 5, 100)

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
