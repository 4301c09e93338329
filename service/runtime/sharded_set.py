"""A set of very many strings in shards, because a single table of 100,000 strings takes 3 ms to grow. Pure."""

from collections import defaultdict
from collections.abc import Iterator

SHARDS = 64


class ShardedSet:
    """`drain` frees the strings one by one: freeing all of them at once would block the loop for
    several milliseconds.
    """

    def __init__(self) -> None:
        self._shards: defaultdict[int, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._shards.values()))

    def __contains__(self, text: object) -> bool:
        return text in self._shard(text)

    def add(self, text: str) -> None:
        """Add a string."""
        self._shard(text).add(text)

    def discard(self, text: str) -> None:
        """Remove a string, if it is in the set."""
        self._shard(text).discard(text)

    def drain(self) -> Iterator[None]:
        """Remove one string per step until none is left."""
        for shard in list(self._shards.values()):
            while shard:
                shard.pop()
                yield

    def _shard(self, text: object) -> set[str]:
        return self._shards[hash(text) >> 32 & SHARDS - 1]  # high bits: the shard's own table uses the low ones
