"""Remembers what is made of keys that come again and again, within a bound."""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(dict[K, V]):
    """`remembered[key]` is `read(key)`, read once. `weigh` says what an entry counts: all are forgotten before they
    weigh more than `limit`, and an entry that does so alone is not kept.

    What is remembered costs no call, unlike in cachetools: it is looked up for every request.
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
        """Forget all."""
        super().clear()
        self._weight = 0
