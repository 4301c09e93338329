"""Positions in ascending order, and positions by key. Pure.

All positions of one index are in one sequence, ordered by key and then by position. This takes one pointer per process,
even if each process has its own key. The sequence does not contain the keys: each key is read from the process of the
position. The sequence has chunks, so adding a position moves at most one chunk.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TypeAlias

from sortedcontainers import SortedList

from service.api.list_query import Position, StartKey, process_id_at
from service.model.indexes import KeyOf
from service.schema.compiled import ProcessSummary

CHUNK = 256
"""The greatest number of positions in a chunk. Finding a key takes at most eight comparisons in it."""

FEW_CHUNKS = 8

Key: TypeAlias = str | int
Bound = Position | tuple[StartKey]
"""A bound that is only a start comes before all positions with this start."""

_BEFORE_ALL: tuple[()] = ()
_Place = tuple[int, int]
"""The number of a chunk, and an index within the chunk."""


class PositionsByKey:
    """One index: the positions of the listed processes of `by_id` under each key.

    Add a process only while `by_id` holds it, and remove it while `by_id` still holds the same state.
    """

    __slots__ = ("_by_id", "_chunks", "_key_of", "_starts")

    def __init__(self, key_of: KeyOf, by_id: Mapping[str, ProcessSummary]) -> None:
        self._key_of = key_of
        self._by_id = by_id
        self._chunks: list[list[Position]] = []
        self._starts: list[tuple[Key, Bound]] = []
        """One bound per chunk: no position in the chunk comes before it, and all positions of earlier chunks do."""

    def under(self, key: Key) -> "Group":
        """The positions under this key."""
        return Group(self, key)

    def has_moved(self, held: ProcessSummary, summary: ProcessSummary) -> bool:
        """Whether the two states have different places."""
        return held.position != summary.position or self._key_of(held) != self._key_of(summary)

    def add(self, summary: ProcessSummary) -> None:
        """Add the process. Has no effect if it has no position or no key."""
        key, position = self._key_of(summary), summary.position
        if key is None or position is None:
            return
        if not self._chunks:
            self._chunks.append([])
            self._starts.append((key, position))
        at, place = self.place(key, position)
        if at == place == 0 and (key, position) < self._starts[0]:
            self._starts[0] = (key, position)
        chunk = self._chunks[at]
        chunk.insert(place, position)
        if len(chunk) > CHUNK:
            self._split(at)

    def remove(self, summary: ProcessSummary) -> None:
        """Remove the process. Has no effect if it has no position or no key."""
        key, position = self._key_of(summary), summary.position
        if key is None or position is None:
            return
        at, place = self.place(key, position)
        chunk = self._chunks[at]
        del chunk[place]
        if not chunk or (at and len(chunk) + len(self._chunks[at - 1]) < CHUNK // 2):
            if chunk:
                self._chunks[at - 1] += chunk
            del self._chunks[at], self._starts[at]

    def _split(self, at: int) -> None:
        """Split a chunk in its middle or, better, where a key begins or ends: a chunk with one key is the fastest."""
        chunk = self._chunks[at]
        middle = len(chunk) // 2
        key = self._key_at(chunk[middle])
        begin = bisect_left(chunk, key, key=self._key_at)
        end = bisect_right(chunk, key, key=self._key_at)
        cut = begin or (end if end < len(chunk) else middle)
        self._chunks[at : at + 1] = [chunk[:cut], chunk[cut:]]
        self._starts.insert(at + 1, self._pair(chunk[cut]))

    def place(self, key: Key, bound: "Bound | tuple[()]") -> _Place:
        """The place of the first position under the key that is not before the bound, or the place for it."""
        at = max(0, bisect_right(self._starts, (key, bound)) - 1)
        if at >= len(self._chunks):
            return 0, 0
        chunk = self._chunks[at]
        if chunk and self._starts[at][0] == key == self._key_at(chunk[-1]):
            return at, bisect_left(chunk, bound)  # the whole chunk has one key
        return at, bisect_left(chunk, (key, bound), key=self._pair)

    def end(self, key: Key) -> _Place:
        """The place after the last position under the key."""
        at = max(0, bisect_right(self._starts, key, key=itemgetter(0)) - 1)
        if at >= len(self._chunks):
            return 0, 0
        chunk = self._chunks[at]
        return at, bisect_right(chunk, key, key=self._key_at)

    def first(self, key: Key) -> Position | None:
        """The least position under the key."""
        at, place = self.place(key, _BEFORE_ALL)
        if at < len(self._chunks) and place == len(self._chunks[at]):
            at, place = at + 1, 0
        return self._chunks[at][place] if (at, place) < self.end(key) else None

    def chunks(self, begin: _Place, end: _Place) -> Iterator[list[Position]]:
        """The positions between two places, from the last chunk to the first; each chunk is ascending."""
        for at in range(end[0], begin[0] - 1, -1):
            chunk = self._chunks[at] if at < len(self._chunks) else []
            first = begin[1] if at == begin[0] else 0
            last = end[1] if at == end[0] else len(chunk)
            yield chunk[first:last]

    def _key_at(self, position: Position) -> Key:
        return self._key_of(self._by_id[position[1] or process_id_at(position)])  # type: ignore[return-value] # in here

    def _pair(self, position: Position) -> tuple[Key, Position]:
        return self._key_at(position), position


class Group:
    """The positions under one key. Every call reads the present positions."""

    __slots__ = ("_index", "_key")

    def __init__(self, index: PositionsByKey, key: Key) -> None:
        self._index = index
        self._key = key

    @property
    def first(self) -> Position | None:
        """The least position."""
        return self._index.first(self._key)

    @property
    def about(self) -> int:
        """The number of positions; an estimate if they fill more than a few chunks."""
        (first, begin), (last, end) = self._index.place(self._key, _BEFORE_ALL), self._index.end(self._key)
        if last - first > FEW_CHUNKS:
            return (last - first) * CHUNK // 2
        return sum(map(len, self._index.chunks((first, begin), (last, end))))

    def descending(self, least: Bound | None, below: Bound | None) -> Iterator[Position]:
        """See `descending`."""
        index, key = self._index, self._key
        begin = index.place(key, _BEFORE_ALL if least is None else least)
        end = index.end(key) if below is None else index.place(key, below)
        for chunk in index.chunks(begin, end):
            yield from reversed(chunk)


Positions: TypeAlias = "Group | SortedList[Position]"


def descending(positions: Positions, least: Bound | None = None, below: Bound | None = None) -> Iterator[Position]:
    """The positions from the greatest to the least: at or above `least`, and below `below`."""
    if isinstance(positions, Group):
        return positions.descending(least, below)
    found: Iterator[Position] = positions.irange(least, below, inclusive=(True, False), reverse=True)
    return found


def about(positions: Positions) -> int:
    """The number of positions, or an estimate if counting takes time."""
    return positions.about if isinstance(positions, Group) else len(positions)


def first(positions: Positions) -> Position | None:
    """The least position."""
    if isinstance(positions, Group):
        return positions.first
    return positions[0] if positions else None
