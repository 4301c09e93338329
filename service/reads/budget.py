"""A limit on direct reads, at once and per second: requests for invented IDs cannot run up the bill."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from listeners.listener import Clock
from service.errors import BudgetExhausted


class Budget:
    """A token bucket that holds one second of `rate` document reads, and a limit on reads under way."""

    def __init__(
        self, concurrency: int, rate: float, *, clock: Clock, on_refusal: Callable[[], None] = lambda: None
    ) -> None:
        self._concurrency = concurrency
        self._rate = rate
        self._clock = clock
        self._on_refusal = on_refusal
        self._under_way = 0
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._filled_at = clock()

    @property
    def under_way(self) -> int:
        """Direct reads that have begun and not ended."""
        return self._under_way

    @contextmanager
    def one_read(self) -> Iterator[None]:
        """Hold a place for one read. Raises: BudgetExhausted, at once: no read waits for its turn."""
        self._refill()
        if self._tokens < 1 or self._under_way >= self._concurrency:
            self._on_refusal()
            raise BudgetExhausted(max(1.0, (1 - self._tokens) / self._rate))
        self._tokens -= 1
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def charge(self, documents: int) -> None:
        """Take what a read cost beyond its first document; the bucket can go below empty and recovers with time."""
        self._refill()
        self._tokens -= documents

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
