"""An ordered set in small chunks, so that a caller can walk through many members without copying all of them.

A copy in one tuple of 10,000 members would live for the whole walk. Each collection of the young generation would visit
all its members, which are scattered in memory: 10 to 25 ms, several times per walk.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

Member = TypeVar("Member")

CHUNK = 128


class ChunkedSet(Generic[Member]):
    """Keeps the order of insertion. Members can come and go while a caller walks through `chunks`."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: list[dict[Member, None]] = []

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def __iter__(self) -> Iterator[Member]:
        for chunk in self.chunks():
            yield from chunk

    def add(self, member: Member) -> None:
        """Append a member that is not in the set yet."""
        if not self._chunks or len(self._chunks[-1]) >= CHUNK:
            self._chunks.append({})
        self._chunks[-1][member] = None

    def discard(self, member: Member) -> None:
        """Remove a member; has no effect if it is not in the set."""
        for number, chunk in enumerate(self._chunks):
            if member in chunk:
                del chunk[member]
                if not chunk:
                    del self._chunks[number]
                return

    def chunks(self) -> Iterator[tuple[Member, ...]]:
        """All members, in chunks.

        A chunk is as it is when the walk reaches it: members added meanwhile can be missing.
        """
        for chunk in tuple(self._chunks):
            yield tuple(chunk)
