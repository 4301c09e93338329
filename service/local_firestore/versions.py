"""A document's recent versions, and the log that bounds the number of superseded ones."""

from collections import deque
from collections.abc import Callable

from service.local_firestore.messages import DocumentMessage


class Record:
    """The versions of one document, oldest first; None is a deletion."""

    __slots__ = ("_times_us", "_versions", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._times_us: list[int] = []
        self._versions: list[DocumentMessage | None] = []

    @property
    def latest(self) -> DocumentMessage | None:
        return self._versions[-1]

    @property
    def changed_us(self) -> int:
        return self._times_us[-1]

    @property
    def is_only_a_deletion(self) -> bool:
        return len(self._versions) == 1 and self._versions[0] is None

    def __len__(self) -> int:
        return len(self._versions)

    def document_at(self, at_us: int) -> DocumentMessage | None:
        for time_us, version in zip(reversed(self._times_us), reversed(self._versions), strict=True):
            if time_us <= at_us:
                return version
        return None

    def append(self, time_us: int, version: DocumentMessage | None) -> None:
        self._times_us.append(time_us)
        self._versions.append(version)

    def forget_oldest(self) -> None:
        del self._times_us[0], self._versions[0]


class VersionLog:
    """Records when versions were superseded. Drops the oldest that exceed the retention or the count."""

    def __init__(self, retention_us: int, max_versions: int, on_gone: Callable[[Record], None]) -> None:
        self.horizon_us = 0
        """Reads at or after this time find every version that they need."""
        self._retention_us = retention_us
        self._max_versions = max_versions
        self._on_gone = on_gone
        self._superseded: deque[tuple[int, Record]] = deque()

    def add(self, record: Record, time_us: int, version: DocumentMessage | None) -> None:
        if len(record):
            self._superseded.append((time_us, record))
        record.append(time_us, version)

    def prune(self, now_us: int) -> None:
        oldest_us = now_us - self._retention_us
        superseded = self._superseded
        while superseded and (len(superseded) > self._max_versions or superseded[0][0] < oldest_us):
            self.horizon_us, record = superseded.popleft()
            record.forget_oldest()
            if record.is_only_a_deletion:
                self._on_gone(record)
