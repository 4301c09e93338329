"""Counts of processes, updated with each change, for `/stats` and the metrics. Pure.

Each copy of the index has its own counts, so they change together with the lists. A change costs only a few comparisons
if status and position stay the same, and the process does not begin or cease to stall.
"""

from sortedcontainers import SortedList

from service.api.list_query import Position
from service.model.finishes import Finish, Finishes
from service.model.positions import Positions, PositionsByKey, first
from service.runtime.sorted_numbers import SortedNumbers
from service.schema.compiled import ProcessSummary


class Statistics:
    """The counts of all processes that were added. `revision` changes with every change."""

    __slots__ = ("_by_status", "_finishes", "_unfinished", "by_status", "durations", "ended", "revision", "stalled")

    def __init__(self, finishes: Finishes, by_status: PositionsByKey | None = None) -> None:
        """`by_status`: an index of the same processes by status, if there is one."""
        self._finishes = finishes
        self._by_status = by_status
        self._unfinished: SortedList[Position] = SortedList()  # only processes that are not in `by_status`
        self.by_status: dict[str | None, int] = {}
        self.ended: dict[str, SortedNumbers] = {}
        """The end times of processes in microseconds, by terminal status."""
        self.durations: dict[str, SortedNumbers] = {}
        """The durations in seconds, of processes with a known duration."""
        self.stalled = 0
        self.revision = 0

    def __len__(self) -> int:
        return sum(self.by_status.values())

    @property
    def oldest_unfinished(self) -> Position | None:
        """The position of the oldest process that has not ended."""
        found: list[Positions] = [self._unfinished]
        if self._by_status is not None:
            statuses = self.by_status.keys() - self._finishes.terminal
            found += [self._by_status.under(each) for each in statuses if each is not None]
        return min((least for positions in found if (least := first(positions)) is not None), default=None)

    def _is_unfinished_alone(self, summary: ProcessSummary) -> bool:
        """Whether the process has not ended and is not in an index by status."""
        is_indexed = self._by_status is not None and summary.status is not None
        return not is_indexed and summary.position is not None and not self._finishes.has_ended(summary)

    def move(self, held: ProcessSummary | None, summary: ProcessSummary | None) -> None:
        """`summary` replaces `held`. None: there is none."""
        self.revision += 1
        if held is not None:
            self._count(held, -1)
            if self._is_unfinished_alone(held):
                self._unfinished.remove(held.position)
        if summary is not None:
            self._count(summary, 1)
            if self._is_unfinished_alone(summary):
                self._unfinished.add(summary.position)

    def rewrite(self, held: ProcessSummary, summary: ProcessSummary) -> None:
        """Like `move`, for a process whose status, position and stall have not changed."""
        if held.body is summary.body or not self._finishes.has_ended(summary):
            return
        before, now = self._finishes.of(held), self._finishes.of(summary)
        if before == now:
            return
        self.revision += 1
        self._count_finish(held, before, -1)
        self._count_finish(summary, now, 1)

    def _count(self, summary: ProcessSummary, by: int) -> None:
        status = summary.status
        count = self.by_status.get(status, 0) + by
        if count:
            self.by_status[status] = count
        else:
            del self.by_status[status]
        self.stalled += by * summary.is_stalled
        self._count_finish(summary, self._finishes.of(summary), by)

    def _count_finish(self, summary: ProcessSummary, finish: Finish | None, by: int) -> None:
        status = summary.status
        if finish is not None and status is not None:
            _put(self.ended, status, finish.ended_at, by)
            if finish.duration_s is not None:
                _put(self.durations, status, finish.duration_s, by)


def _put(numbers: dict[str, SortedNumbers], status: str, number: float, by: int) -> None:
    found = numbers.get(status)
    if by > 0:
        if found is None:
            found = numbers[status] = SortedNumbers()
        found.add(number)
    elif found is not None:
        found.remove(number)
        if not found:
            del numbers[status]
