"""Finds the processes that begin to stall, at the moment at which they do. Lives on the event loop.

A process stalls when it has not ended and Firestore has seen no write of it for STALLED_AFTER_S, by Firestore's clock:
every write counts, whether an answer shows it or not. The end of a stall is the model's matter: a new version replaces
the one that is marked.

A process is looked at once per STALLED_AFTER_S, however often it is written: it waits in the schedule under the write
that was its last then, and goes on to a later place where it has been written since. While the lease has lapsed nothing
begins to stall, because there could be writes that have not arrived.
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
"""Processes that are marked before all else gets a turn, the listener's changes too: a third of a millisecond."""

WATCHED_PER_STEP = 8
_PLACE_US = 250_000

IsDue = Callable[[ProcessSummary], bool]


class Schedule:
    """Processes by the time of their last write, in places of _PLACE_US. Each is in one place at most. Pure."""

    def __init__(self) -> None:
        self._places: dict[int, list[str]] = {}
        self._order: list[int] = []
        self._present = ShardedSet()

    def __len__(self) -> int:
        return len(self._present)

    def add(self, process_id: str, version: int) -> None:
        """Without effect where the process is there already, under whichever write."""
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
        """Take out all whose place is over at `cutoff` (µs), one per step; others can be added meanwhile."""
        while self._order and self._order[0] < cutoff // _PLACE_US:
            place = self._places.pop(heappop(self._order))
            while place:
                process_id = place.pop()
                self._present.discard(process_id)
                yield process_id


class Stalls:
    """Marks them in the model, and tells subscribers what is due, for processes that the model does not hold."""

    def __init__(self, model: ReadModel, slicer: Slicer, *, stalled_after_s: float) -> None:
        """`stalled_after_s`: 0 means that nothing ever stalls."""
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
        """Whether any process ever stalls."""
        return self._stalled_after_us > 0

    def subscribe(self, subscriber: Callable[[IsDue], None]) -> None:
        """Call `subscriber` at each check, with the test whether a process stalls by now."""
        self._subscribers.append(subscriber)

    async def run(self, sleep: Callable[[float], Awaitable[object]]) -> None:
        """Check for ever."""
        while True:
            await sleep(CHECK_INTERVAL_S)
            await self.check()

    async def check(self) -> None:
        """Mark all that stall by now."""
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
        async for held in sliced(others):  # now, because what is due but not marked would be taken again above
            self._watch(held)
        for subscriber in self._subscribers:
            subscriber(lambda summary: self._is_due(summary, cutoff))

    async def _marked(self, process_ids: Sequence[str], cutoff: int) -> list[ProcessSummary]:
        """Mark them. Returns those that were written, or for which the lease has lapsed, before they were marked."""
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
