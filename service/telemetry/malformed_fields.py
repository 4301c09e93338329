"""Counts and logs the unreadable fields of documents. Its memory is bounded for any number of such documents."""

import logging
from collections import OrderedDict

from prometheus_client import Counter

from listeners.collection_path import readable
from listeners.listener import Clock

WARN_EVERY_S = 60.0
"""The shortest time between two warnings about one field."""

_REMEMBERED_VERSIONS = 10_000

log = logging.getLogger(__name__)


class MalformedFields:
    """Counts each field once per version of a document, of the last _REMEMBERED_VERSIONS versions."""

    def __init__(self, counter: Counter, clock: Clock) -> None:
        self._counter = counter
        self._clock = clock
        self._versions: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._warned_at: dict[str, float] = {}

    def report(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """Count the unreadable fields of a version, and log those without a warning in the last WARN_EVERY_S."""
        key = (process_id, version)
        if key in self._versions:
            return
        self._versions[key] = None
        if len(self._versions) > _REMEMBERED_VERSIONS:
            self._versions.popitem(last=False)
        for field in fields:
            self._counter.labels(field).inc()
        self._warn(process_id, fields)

    def _warn(self, process_id: str, fields: tuple[str, ...]) -> None:
        now = self._clock()
        due = [field for field in fields if now - self._warned_at.get(field, float("-inf")) >= WARN_EVERY_S]
        if not due:
            return
        self._warned_at.update(dict.fromkeys(due, now))
        log.warning(
            "document %r has fields that can't be read and are answered as null: %s"
            " (at most one warning per field in %.0f s; process_status_malformed_fields_total counts all)",
            readable(process_id),
            ", ".join(due),
            WARN_EVERY_S,
        )
