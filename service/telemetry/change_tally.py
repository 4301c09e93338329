"""Counts the model's changes in plain numbers, and adds the sums to prometheus_client's series on request.

Between two scrapes there can be hundreds of changes per second. For each of them, prometheus_client's locks would take
a twentieth of the time of the change itself. Lives on the event loop.
"""

import time
from bisect import bisect_left
from collections.abc import Sized
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from listeners.listener import Clock
from service.telemetry.request_tally import add_observations

LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class AppliedBatch(Protocol):
    """One consistent batch of changes that the model has applied."""

    @property
    def upserts(self) -> Sized:
        """Documents that were added or modified; `added` of them are new."""

    @property
    def removed(self) -> Sized:
        """Documents that left the model."""

    @property
    def added(self) -> int:
        """New documents."""


class ChangeTally:
    """The changes since the last `publish`, and the present size and age of the model."""

    def __init__(self, changes: Counter, lag: Histogram, documents: Gauge, confirmed: Gauge, clock: Clock) -> None:
        """`changes` has a label with three values, one per type of change. `clock` is the model's."""
        self._changes = {name: changes.labels(name) for name in ("added", "modified", "removed")}
        self._lag = lag
        self._documents = documents
        self._confirmed = confirmed
        self._clock = clock
        self._held: int | None = None
        self._as_of: float | None = None
        self._applied_at = 0.0
        self._clear()

    def _clear(self) -> None:
        self._added = self._upserts = self._removed = 0
        self._lag_s = 0.0
        self._lags = [0] * (len(LAG_BUCKETS) + 1)

    def applied(self, applied: AppliedBatch, documents: int) -> None:
        """A batch became visible; the model now has this many documents."""
        self._added += applied.added
        self._upserts += len(applied.upserts)
        self._removed += len(applied.removed)
        self._held = documents
        self._applied_at = time.time()

    def became_visible(self, version: int) -> None:
        """Observe how late one change of that batch became visible, by the wall clock."""
        lag_s = self._applied_at - version / 1_000_000
        if lag_s < 0:
            lag_s = 0.0
        self._lag_s += lag_s
        self._lags[bisect_left(LAG_BUCKETS, lag_s)] += 1

    def confirmed(self, as_of: float) -> None:
        """The model equalled Firestore at this instant of the clock."""
        self._as_of = as_of

    def publish(self) -> None:
        """Add the counts since the last call to prometheus_client's series."""
        for name, count in zip(self._changes, (self._added, self._upserts - self._added, self._removed), strict=True):
            self._changes[name].inc(count)
        add_observations(self._lag, self._lags, self._lag_s)
        self._clear()
        if self._held is not None:
            self._documents.set(self._held)
        if self._as_of is not None:
            self._confirmed.set(time.time() - (self._clock() - self._as_of))
