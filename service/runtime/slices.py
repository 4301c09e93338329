"""Former names of `service.runtime.slicer`, which service/http uses until it has moved."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from service.runtime.slicer import Slicer as Slices

__all__ = ["InOrder", "Slices"]

Item = TypeVar("Item")


class InOrder(Generic[Item]):
    """A lane whose jobs are made of items."""

    def __init__(self, slices: Slices, work: Callable[[Item], Iterator[None]]) -> None:
        self._lane = slices.lane()
        self._work = work

    def add(self, item: Item) -> None:
        """Run the item's job after all others."""
        self._lane.add(self._work(item))
