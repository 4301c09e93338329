"""Long work on the event loop, a slice at each of its turns, so that nothing holds it for long.

A job is an iterator: each step of it is a few microseconds' work. Jobs take turns; the steps of one keep their order.
A job that fails is logged and ends alone; all others go on.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from service.runtime.failure_log import FailureLog

Item = TypeVar("Item")

SLICE = 16
"""Steps before the loop gets its turn. A step that wakes a waiting request costs the loop some 50 µs right after."""


class Handle(Protocol):
    """Something that will happen unless it is called off."""

    def cancel(self) -> None:
        """Without effect once it has happened."""


CallLater = Callable[[float, Callable[[], None]], Handle]
"""The loop's `call_later`: seconds, and what to call then."""


class Slices:
    """Runs jobs to their end. `call_soon` is the loop's; `failures` logs the jobs that fail."""

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        *,
        size: int = SLICE,
        failures: FailureLog | None = None,
    ) -> None:
        self._call_soon = call_soon
        self.failures = failures or FailureLog()
        self._size = size
        self._jobs: deque[Iterator[None]] = deque()
        self._is_scheduled = False

    def __repr__(self) -> str:
        return f"<Slices {len(self._jobs)} jobs>"

    def add(self, job: Iterator[None]) -> None:
        """Begin at the loop's next turn."""
        self._jobs.append(job)
        self._schedule()

    def _schedule(self) -> None:
        if self._jobs and not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        job = self._jobs.popleft()
        try:
            for _ in range(self._size):
                next(job)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001 - reported; the other jobs must go on
            self.failures.report("a job on the event loop", error)
        else:
            self._jobs.append(job)
        finally:
            self._schedule()


class InOrder(Generic[Item]):
    """Works off items one after the other: the next is begun when `work` has ended with the one before, or failed."""

    def __init__(self, slices: Slices, work: Callable[[Item], Iterator[None]]) -> None:
        self._slices = slices
        self._work = work
        self._waiting: deque[Item] = deque()
        self._is_working = False

    def add(self, item: Item) -> None:
        """Its turn comes after all that were added before."""
        self._waiting.append(item)
        if not self._is_working:
            self._is_working = True
            self._slices.add(self._work_off())

    def _work_off(self) -> Iterator[None]:
        try:
            while self._waiting:
                try:
                    yield from self._work(self._waiting.popleft())
                except Exception as error:  # noqa: BLE001 - reported; the items behind it must go on
                    self._slices.failures.report("an item of work on the event loop", error)
        finally:
            self._is_working = False
