"""Counts requests in plain numbers, and hands the sums to prometheus_client on request. On the event loop's thread.

A plain number costs a small part of prometheus_client's lock and label lookup, whose cost would slow down polls from
the model.
"""

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Histogram

REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
QUICK_S = REQUEST_BUCKETS[0]


class RequestTally:
    """The requests of one kind since the last `publish`: their number and their duration.

    The hot path avoids the call of `add`: it adds to `seconds`, and to `quick` if a request took at most QUICK_S.
    If `lookups` is given, each request counts there too.
    """

    __slots__ = ("_answered", "_durations", "_lookups", "_published", "_slower", "quick", "seconds")

    def __init__(self, answered: Counter, durations: Histogram, lookups: Counter | None = None) -> None:
        self._answered = answered
        self._durations = durations
        self._lookups = lookups
        self._published = 0
        self._clear()

    def _clear(self) -> None:
        self.seconds = 0.0
        self.quick = 0
        self._slower = [0] * len(REQUEST_BUCKETS)

    @property
    def count(self) -> int:
        """All requests since the start."""
        return self._published + self._unpublished

    @property
    def _unpublished(self) -> int:
        return self.quick + sum(self._slower)

    def add(self, seconds: float) -> None:
        """Count one request."""
        self.seconds += seconds
        if seconds <= QUICK_S:
            self.quick += 1
        else:
            self._slower[bisect_left(REQUEST_BUCKETS, seconds) - 1] += 1

    def publish(self) -> None:
        """Add the sums to prometheus_client's series."""
        count = self._unpublished
        self._published += count
        self._answered.inc(count)
        if self._lookups is not None:
            self._lookups.inc(count)
        add_observations(self._durations, [self.quick, *self._slower], self.seconds)
        self._clear()


def add_observations(histogram: Histogram, counts: Sequence[int], total: float) -> None:
    """Add these counts per bucket, and their sum. prometheus_client has no public way to observe
    many values at once.
    """
    histogram._sum.inc(total)
    for bucket, observed in zip(histogram._buckets, counts, strict=True):
        if observed:
            bucket.inc(observed)
