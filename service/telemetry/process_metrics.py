"""Metrics about the processes: their number, the stalled ones, the oldest unfinished one, and their transitions.

Every replica and every worker sees the same processes. So queries must join the gauges of one service with `max`. Only
one of several workers counts transitions: the one with a lock in PROMETHEUS_MULTIPROC_DIR, which the system releases
when the worker ends. Statuses are bounded: the first MOST_STATUSES have labels of their own, all others are `other`.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MOST_STATUSES = 20
OTHER = "other"
NO_STATUS = "none"
"""The label of processes without a readable status."""

DURATION_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600)


class ProcessCounts(Protocol):
    """The values of the gauges."""

    @property
    def by_status(self) -> Mapping[str | None, int]:
        """All processes in the model."""

    @property
    def stalled(self) -> int:
        """The stalled processes."""

    @property
    def oldest_unfinished_s(self) -> float:
        """The Unix time at which the oldest unfinished process began; 0 if there is none."""


class ProcessMetrics:
    """Reads the counts at each scrape; `entered_status` is called for each transition. Lives on the event loop."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._counts: Callable[[], ProcessCounts | None] = lambda: None
        self._labels: dict[str | None, str] = {}
        self._lock_path: Path | None = None
        self._lock: int | None = None
        self._processes = Gauge(
            f"{prefix}_processes",
            "Processes in the model, by status; the same in every replica",
            ["status"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._stalled = Gauge(
            f"{prefix}_processes_stalled",
            "Unfinished processes that were not written for STALLED_AFTER_S",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._oldest = Gauge(
            f"{prefix}_processes_oldest_unfinished_timestamp_seconds",
            "Unix time when the oldest unfinished process began; 0 if there is none",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._transitions = Counter(
            f"{prefix}_process_transitions", "Processes seen to enter a status", ["status"], registry=registry
        )
        self._durations = Histogram(
            f"{prefix}_process_duration_seconds",
            "Time from start to end of processes seen to end",
            ["status"],
            registry=registry,
            buckets=DURATION_BUCKETS,
        )

    def observe(
        self,
        counts: Callable[[], ProcessCounts | None],
        terminal_statuses: Iterable[str],
        *,
        multiprocess_dir: str = "",
    ) -> None:
        """Use these counts (None: there are none yet). Terminal statuses have series before the first process ends.

        `multiprocess_dir` is the directory that several workers share; "" for one worker.
        """
        self._counts = counts
        self._lock_path = Path(multiprocess_dir) / "transitions.lock" if multiprocess_dir else None
        for status in terminal_statuses:
            self._transitions.labels(self._label(status))
            self._durations.labels(self._label(status))

    def entered_status(self, status: str | None, duration_s: float | None) -> None:
        """A process has entered this status.

        `duration_s`: if this status ended the process, and the duration is known.
        """
        if not self._is_counting():
            return
        label = self._label(status)
        self._transitions.labels(label).inc()
        if duration_s is not None:
            self._durations.labels(label).observe(duration_s)

    def publish(self) -> None:
        """Set the gauges."""
        counts = self._counts()
        if counts is None:
            return
        by_label = dict.fromkeys(self._labels.values(), 0)
        for status, count in counts.by_status.items():
            label = self._label(status)
            by_label[label] = by_label.get(label, 0) + count
        for label, count in by_label.items():
            self._processes.labels(label).set(count)
        self._stalled.set(counts.stalled)
        self._oldest.set(counts.oldest_unfinished_s)

    def close(self) -> None:
        """Release the lock, so that another worker counts from now on."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _label(self, status: str | None) -> str:
        label = self._labels.get(status)
        if label is None:
            if len(self._labels) >= MOST_STATUSES:
                return OTHER
            label = self._labels[status] = status or NO_STATUS
        return label

    def _is_counting(self) -> bool:
        if self._lock_path is None or self._lock is not None:
            return True
        lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True
