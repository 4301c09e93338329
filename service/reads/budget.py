"""The budget of direct reads: reads per second and reads at a time. Requests for invented IDs cannot run up the bill.

One caller gets at most a share of it, so it cannot keep other callers from their reads.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from listeners.listener import Clock
from service.api.caller import Caller
from service.errors import BudgetExhausted

MOST_CALLERS = 1_000
"""Callers to remember. Beyond this number the budget forgets callers whose share is unused."""


class _Allowance:
    """A token bucket that holds one second of `rate` document reads, and a limit on concurrent reads."""

    def __init__(self, concurrency: int, rate: float, clock: Clock) -> None:
        self._concurrency = concurrency
        self._rate = rate
        self._clock = clock
        self.under_way = 0
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._filled_at = clock()

    @property
    def is_untouched(self) -> bool:
        """Whether it equals a new one."""
        self._refill()
        return not self.under_way and self._tokens >= self._capacity

    @property
    def has_room(self) -> bool:
        """Whether another read can begin now."""
        self._refill()
        return self._tokens >= 1 and self.under_way < self._concurrency

    @property
    def retry_after_s(self) -> float:
        """The time after which another read can possibly begin."""
        return max(1.0, (1 - self._tokens) / self._rate)

    @contextmanager
    def one_read(self) -> Iterator[None]:
        """Hold a place for one read."""
        self._tokens -= 1
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def charge(self, documents: int) -> None:
        """Take this many tokens. The bucket can fall below zero, and recovers with time."""
        self._refill()
        self._tokens -= documents

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now


class Budget:
    """The allowance of all callers together, and a `share` of it for each caller with a name."""

    def __init__(
        self,
        concurrency: int,
        rate: float,
        *,
        share: float = 1.0,
        clock: Clock,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._concurrency = max(1, int(concurrency * share))
        self._rate = rate * share
        self._has_shares = share < 1
        self._clock = clock
        self._on_refusal = on_refusal
        self._together = _Allowance(concurrency, rate, clock)
        self._by_caller: dict[str, _Allowance] = {}

    @property
    def under_way(self) -> int:
        """The number of direct reads that have begun and not ended."""
        return self._together.under_way

    @contextmanager
    def one_read(self, caller: Caller) -> Iterator[None]:
        """Hold a place for one read. Raises BudgetExhausted at once if there is none: reads never queue."""
        with ExitStack() as held:
            allowances = self._of(caller)
            for allowance in allowances:
                if not allowance.has_room:
                    self._on_refusal()
                    raise BudgetExhausted(allowance.retry_after_s)
            for allowance in allowances:
                held.enter_context(allowance.one_read())
            yield

    def charge(self, documents: int, caller: Caller) -> None:
        """Charge the documents that a read returned beyond its first one."""
        for allowance in self._of(caller):
            allowance.charge(documents)

    def _of(self, caller: Caller) -> list[_Allowance]:
        if not caller.name or not self._has_shares:
            return [self._together]
        own = self._by_caller.get(caller.name)
        if own is None:
            if len(self._by_caller) >= MOST_CALLERS:
                self._by_caller = {name: each for name, each in self._by_caller.items() if not each.is_untouched}
            own = self._by_caller[caller.name] = _Allowance(self._concurrency, self._rate, self._clock)
        return [own, self._together]
