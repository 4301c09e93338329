"""Finds the processes that begin to stall, at the moment when they do. Lives on the event loop.

A process stalls when it has not ended and Firestore has seen no write of it for STALLED_AFTER_S, by Firestore's clock.
Every write counts, even if no answer shows it. The model ends a stall: a new version replaces the marked one.

A process is checked once per STALLED_AFTER_S, even if it is written often. The schedule has it under the time of the
write that was its last one at that moment; if it has been written since, the check moves it to a later place. While the
lease has lapsed no process begins to stall, because there could be writes that have not arrived.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from heapq import heappop, heappush

from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.runtime.sharded_set import ShardedSet
from service.runtime.slicer import Slicer, sliced
from service.schema.compiled import ProcessSummary

CHECK_INTERVAL_S = 0.25
MARKED_AT_ONCE = 25
"""Processes marked in one go, a third of a millisecond. Then other work gets its turn, such as the listener's changes.
"""

WATCHED_PER_STEP = 8
_PLACE_US = 250_000

IsDue = Callable[[ProcessSummary], bool]


class Schedule:
    """Processes by the time of a write, in places of _PLACE_US each. A process is in at most one place. Pure."""

    def __init__(self) -> None:
        self._places: dict[int, list[str]] = {}
        self._order: list[int] = []
        self._present = ShardedSet()

    def __len__(self) -> int:
        return len(self._present)

    def add(self, process_id: str, version: int) -> None:
        """Add the process. Has no effect if the schedule has it already, whatever its place."""
        if process_id in self._present:
            return
        self._present.add(process_id)
        number = version // _PLACE_US
        place = self._places.get(number)
        if place is None:
            place = self._places[number] = []
            heappush(self._order, number)
        place.append(process_id)

    def take(self, cutoff: int) -> Iterator[str]:
        """Remove and return all processes whose place ends before `cutoff` (µs), one per step. Others can be added
        meanwhile.
        """
        while self._order and self._order[0] < cutoff // _PLACE_US:
            place = self._places.pop(heappop(self._order))
            while place:
                process_id = place.pop()
                self._present.discard(process_id)
                yield process_id


class Stalls:
    """Marks processes in the model. Subscribers get the test itself, for processes that the model does not hold."""

    def __init__(self, model: ReadModel, slicer: Slicer, *, stalled_after_s: float) -> None:
        """With `stalled_after_s` 0 no process ever stalls."""
        self._model = model
        self._stalled_after_us = round(stalled_after_s * 1_000_000)
        self._schedule = Schedule()
        self._watching = slicer.lane()
        self._subscribers: list[Callable[[IsDue], None]] = []
        if self.are_found:
            model.subscribe(self._on_applied)

    def __repr__(self) -> str:
        return f"<Stalls {len(self._schedule)} unfinished processes>"

    @property
    def are_found(self) -> bool:
        """Whether processes can stall at all."""
        return self._stalled_after_us > 0

    def subscribe(self, subscriber: Callable[[IsDue], None]) -> None:
        """Call `subscriber` at each check with a function that says whether a process stalls by now."""
        self._subscribers.append(subscriber)

    async def run(self, sleep: Callable[[float], Awaitable[object]]) -> None:
        """Check for ever."""
        while True:
            await sleep(CHECK_INTERVAL_S)
            await self.check()

    async def check(self) -> None:
        """Mark all processes that stall by now."""
        now = self._model.firestore_time
        if now is None or not self.are_found:
            return
        cutoff = now - self._stalled_after_us
        due: list[str] = []
        others: list[ProcessSummary] = []
        async for process_id in sliced(self._schedule.take(cutoff)):
            held = self._model.get(process_id)
            if held is not None and self._is_due(held, cutoff):
                due.append(process_id)
                if len(due) == MARKED_AT_ONCE:
                    others += await self._marked(due, cutoff)
                    due = []
            elif held is not None:
                others.append(held)
        others += await self._marked(due, cutoff)
        async for held in sliced(others):  # only now: the loop above would take them out again
            self._watch(held)
        for subscriber in self._subscribers:
            subscriber(lambda summary: self._is_due(summary, cutoff))

    async def _marked(self, process_ids: Sequence[str], cutoff: int) -> list[ProcessSummary]:
        """Mark them. Returns those that could not be marked: they were written meanwhile, or the lease has lapsed."""
        if process_ids:
            await self._model.stall(process_ids, lambda held: self._is_due(held, cutoff))
            await asyncio.sleep(0)
        found = [self._model.get(process_id) for process_id in process_ids]
        return [held for held in found if held is not None and not held.is_stalled]

    def _is_due(self, summary: ProcessSummary, cutoff: int) -> bool:
        return summary.version <= cutoff and self._can_stall(summary) and self._model.is_trusted()

    def _can_stall(self, summary: ProcessSummary) -> bool:
        return not self._model.finishes.has_ended(summary) and not summary.is_stalled

    def _watch(self, summary: ProcessSummary) -> None:
        if self._can_stall(summary):
            self._schedule.add(summary.process_id, summary.version)

    def _on_applied(self, applied: Applied) -> None:
        if len(applied.upserts) > WATCHED_PER_STEP:
            self._watching.add(self._watch_all(applied.upserts))
            return
        for summary in applied.upserts:
            self._watch(summary)

    def _watch_all(self, summaries: Sequence[ProcessSummary]) -> Iterator[None]:
        for number, summary in enumerate(summaries, 1):
            self._watch(summary)
            if number % WATCHED_PER_STEP == 0:
                yield
