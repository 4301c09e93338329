"""Long work on the event loop, in slices: after each slice all other work on the loop gets a turn.

A *job* is an iterator whose steps take a few microseconds each. A coroutine waits for a job with `finish`, or walks
through items with `sliced`. The `Slicer` runs jobs for which no coroutine waits; jobs whose order matters share a
`Lane`. If such a job fails, the failure is logged and only this job ends.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from service.runtime.failure_log import FailureLog

Item = TypeVar("Item")

ITEMS_PER_SLICE = 32
"""An item of `sliced` is a document to decode or to index: this many take about half a millisecond."""

STEPS_PER_SLICE = 16
"""A step of a job can wake a waiting request. This costs the loop another 50 µs in the next turn."""

_OVER = object()


async def finish(job: Iterator[None]) -> None:
    """Run all steps of the job. The loop gets a turn after each ITEMS_PER_SLICE. A job with one step costs little."""
    while next(islice(job, ITEMS_PER_SLICE - 1, None), _OVER) is None:  # noqa: ASYNC110 - it waits for nothing else
        await asyncio.sleep(0)


async def sliced(items: Iterable[Item]) -> AsyncIterator[Item]:
    """All items in their order. The loop gets a turn after each ITEMS_PER_SLICE."""
    for number, item in enumerate(items, 1):
        yield item
        if number % ITEMS_PER_SLICE == 0:
            await asyncio.sleep(0)


class Slicer:
    """Runs jobs to their end: one slice per turn of the loop, and the jobs take turns.

    `call_soon` is the loop's; `failures` logs the jobs that fail.
    """

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], *, failures: FailureLog | None = None
    ) -> None:
        self._call_soon = call_soon
        self.failures = failures or FailureLog()
        self._jobs: deque[Iterator[None]] = deque()
        self._is_scheduled = False

    def __repr__(self) -> str:
        return f"<Slicer {len(self._jobs)} jobs>"

    def add(self, job: Iterator[None]) -> None:
        """Start the job at the loop's next turn."""
        self._jobs.append(job)
        self._schedule()

    def lane(self) -> "Lane":
        """A lane for jobs that must run one after the other."""
        return Lane(self)

    def _schedule(self) -> None:
        if self._jobs and not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._run_slice)

    def _run_slice(self) -> None:
        self._is_scheduled = False
        job = self._jobs.popleft()
        try:
            for _ in range(STEPS_PER_SLICE):
                next(job)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001 - reported; the other jobs must go on
            self.failures.report("a job on the event loop", error)
        else:
            self._jobs.append(job)
        finally:
            self._schedule()


class Lane:
    """Jobs that run one after the other: the next one starts when the previous one has ended or failed."""

    def __init__(self, slicer: Slicer) -> None:
        self._slicer = slicer
        self._jobs: deque[Iterator[None]] = deque()
        self._is_running = False

    def __repr__(self) -> str:
        return f"<Lane {len(self._jobs)} jobs>"

    def add(self, job: Iterator[None]) -> None:
        """Run the job after all jobs that this lane already has."""
        self._jobs.append(job)
        if not self._is_running:
            self._is_running = True
            self._slicer.add(self._run())

    def _run(self) -> Iterator[None]:
        try:
            while self._jobs:
                try:
                    yield from self._jobs.popleft()
                except Exception as error:  # noqa: BLE001 - reported; the jobs behind it must go on
                    self._slicer.failures.report("a job of a lane on the event loop", error)
        finally:
            self._is_running = False
