"""Removals and contradictions during reads, so that a late read does not bring an old state back. Pure.

A tombstone is needed only while a read that began earlier is under way, or on its way to its waiters. It is kept
exactly that long; the clock does not matter.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager


class Tombstones:
    """Tombstones by process ID. Each has the Firestore time of the removal or the newer state."""

    def __init__(self) -> None:
        self._under_way: OrderedDict[int, None] = OrderedDict()
        self._begun = 0
        self._buried: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buried)

    @property
    def are_needed(self) -> bool:
        """Whether a read is under way."""
        return bool(self._under_way)

    @contextmanager
    def read_under_way(self) -> Iterator[None]:
        """While this context is open, tombstones are kept that were made during it, or during another open one."""
        self._begun += 1
        number = self._begun
        self._under_way[number] = None
        try:
            yield
        finally:
            del self._under_way[number]
            self._drop()

    def bury(self, process_id: str, read_time: int) -> None:
        """The process is known to have changed at this time: reads under way that Firestore served earlier are
        outdated.
        """
        if self.are_needed:
            self._buried[process_id] = (read_time, self._begun)
            self._buried.move_to_end(process_id)

    def outdate(self, process_id: str, read_time: int) -> bool:
        """Whether a read that Firestore served at this time is older than the tombstone."""
        buried = self._buried.get(process_id)
        return buried is not None and buried[0] > read_time

    def _drop(self) -> None:
        oldest = next(iter(self._under_way), self._begun + 1)
        while self._buried:
            process_id, (_, begun) = next(iter(self._buried.items()))
            if begun >= oldest:
                break
            del self._buried[process_id]
