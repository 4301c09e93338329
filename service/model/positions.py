"""Positions in ascending order, and positions by key. A few are a list, many a SortedList: an owner has a handful of
processes, and a SortedList of them would take more memory than they do. Adding costs at most the move of a short list.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import TypeAlias

from sortedcontainers import SortedList

from service.api.list_query import Position, StartKey
from service.model.indexes import KeyOf
from service.schema.compiled import ProcessSummary

FEW = 500

Positions: TypeAlias = "list[Position] | SortedList[Position]"
Bound = Position | tuple[StartKey]
"""A start alone comes before every position that has it."""

NONE: Positions = []


def descending(positions: Positions, least: Bound | None = None, below: Bound | None = None) -> Iterator[Position]:
    """From the greatest to the least, `least` included and `below` not."""
    if not isinstance(positions, list):
        found: Iterator[Position] = positions.irange(least, below, inclusive=(True, False), reverse=True)
        return found
    begin = 0 if least is None else bisect_left(positions, least)
    end = len(positions) if below is None else bisect_left(positions, below)
    return reversed(positions[begin:end])


class PositionsByKey:
    """One index: the positions of the listed processes under each key."""

    __slots__ = ("_by_key", "_key_of")

    def __init__(self, key_of: KeyOf) -> None:
        self._key_of = key_of
        self._by_key: dict[str | int, Positions] = {}

    def under(self, key: str | int) -> Positions:
        """To be read, never changed."""
        return self._by_key.get(key, NONE)

    def move(self, held: ProcessSummary | None, summary: ProcessSummary | None) -> None:
        """`summary` takes the place of `held`; None: there is none."""
        before, now = self._place(held), self._place(summary)
        if before == now:
            return
        if before is not None:
            self._remove(*before)
        if now is not None:
            self._add(*now)

    def _place(self, summary: ProcessSummary | None) -> tuple[str | int, Position] | None:
        if summary is None or summary.position is None:
            return None
        key = self._key_of(summary)
        return None if key is None else (key, summary.position)

    def _add(self, key: str | int, position: Position) -> None:
        positions = self._by_key.get(key)
        if positions is None:
            self._by_key[key] = [position]
        elif not isinstance(positions, list):
            positions.add(position)
        else:
            insort(positions, position)
            if len(positions) > FEW:
                self._by_key[key] = SortedList(positions)

    def _remove(self, key: str | int, position: Position) -> None:
        positions = self._by_key[key]
        if isinstance(positions, list):
            del positions[bisect_left(positions, position)]
        else:
            positions.remove(position)
        if not positions:
            del self._by_key[key]
