"""Many watchers in the order they came, in small groups.

A single tuple of all of them is ten thousand objects. Each collection of the young generation has to look at all of
them: 10 to 25 ms, several times per notification.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

Member = TypeVar("Member")

GROUP = 128


class Crowd(Generic[Member]):
    """An ordered set. `groups` may be gone through while members come and go."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: list[dict[Member, None]] = []

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __iter__(self) -> Iterator[Member]:
        for group in self.groups():
            yield from group

    def add(self, member: Member) -> None:
        """At the end."""
        if not self._groups or len(self._groups[-1]) >= GROUP:
            self._groups.append({})
        self._groups[-1][member] = None

    def discard(self, member: Member) -> None:
        """Nothing of it remains."""
        for number, group in enumerate(self._groups):
            if member in group:
                del group[member]
                if not group:
                    del self._groups[number]
                return

    def groups(self) -> Iterator[tuple[Member, ...]]:
        """All members. Each group is read when it is reached; members added after the first step can be missing."""
        for group in tuple(self._groups):
            yield tuple(group)
