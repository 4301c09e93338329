"""Many numbers in ascending order, in 8 bytes each. Pure."""

from array import array
from bisect import bisect_left, insort

CHUNK = 2048
"""Numbers per chunk. Only numbers of one chunk move, which takes a microsecond."""


class SortedNumbers:
    """The numbers in order. A number can be in it several times."""

    __slots__ = ("_chunks", "_count", "_greatest")

    def __init__(self) -> None:
        self._chunks: list[array[float]] = []
        self._greatest: list[float] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> float:
        """The number at this place of the order; negative places are not allowed."""
        for chunk in self._chunks:
            if place < len(chunk):
                return chunk[place]
            place -= len(chunk)
        raise IndexError(place)

    def add(self, number: float) -> None:
        """Add a number."""
        self._count += 1
        if not self._chunks:
            self._chunks.append(array("d", [number]))
            self._greatest.append(number)
            return
        at = min(bisect_left(self._greatest, number), len(self._chunks) - 1)
        chunk = self._chunks[at]
        insort(chunk, number)
        self._greatest[at] = chunk[-1]
        if len(chunk) > CHUNK:
            half = len(chunk) // 2
            self._chunks[at : at + 1] = [chunk[:half], chunk[half:]]
            self._greatest[at : at + 1] = [chunk[half - 1], chunk[-1]]

    def remove(self, number: float) -> None:
        """Remove a number once. It must be there."""
        at = bisect_left(self._greatest, number)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, number)]
        self._count -= 1
        if chunk:
            self._greatest[at] = chunk[-1]
        else:
            del self._chunks[at], self._greatest[at]

    def count_below(self, number: float) -> int:
        """How many numbers are less than this one."""
        at = bisect_left(self._greatest, number)
        if at == len(self._chunks):
            return self._count
        return sum(map(len, self._chunks[:at])) + bisect_left(self._chunks[at], number)
