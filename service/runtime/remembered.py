"""A bounded cache for results that depend only on a key."""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(dict[K, V]):
    """`remembered[key]` is `read(key)`, computed once. `weigh` returns the size of an entry. Before the sum of the
    sizes exceeds `limit`, all entries are forgotten. An entry that is larger than `limit` is not kept.

    A hit costs no function call, unlike in cachetools, because every request looks entries up.
    """

    __slots__ = ("_limit", "_read", "_weigh", "_weight")

    def __init__(self, read: Callable[[K], V], limit: int, weigh: Callable[[K, V], int] = lambda _, __: 1) -> None:
        super().__init__()
        self._read = read
        self._limit = limit
        self._weigh = weigh
        self._weight = 0

    def __missing__(self, key: K) -> V:
        value = self._read(key)
        weight = self._weigh(key, value)
        if weight <= self._limit:
            if self._weight + weight > self._limit:
                self.clear()
            self._weight += weight
            self[key] = value
        return value

    def clear(self) -> None:
        """Forget all entries."""
        super().clear()
        self._weight = 0
