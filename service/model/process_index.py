"""The processes in memory, by ID and in the order of lists. Pure; never changes a process.

Two of these objects share their processes and positions. A new version takes over the ID of the version that it
replaces, and also its position if that has not changed. So memory does not grow with the number of changes.
"""

from collections.abc import Iterator

from sortedcontainers import SortedList

from service.api.list_query import STALLED, Filters, Position, process_id_at
from service.model.finishes import Finishes
from service.model.indexes import Indexes, fits
from service.model.positions import Bound, Positions, PositionsByKey, about, descending
from service.model.statistics import Statistics
from service.schema.compiled import ProcessSummary


class ProcessIndex:
    """Processes by ID, and by position: overall and under each key. `unlisted` has the IDs without a position."""

    __slots__ = ("_by_key", "_indexes", "_stalled", "by_id", "by_position", "statistics", "unlisted")

    def __init__(self, indexes: Indexes, finishes: Finishes) -> None:
        self._indexes: Indexes = {**indexes, STALLED: lambda summary: summary.is_stalled}
        self.by_id: dict[str, ProcessSummary] = {}
        self._stalled: SortedList[Position] = SortedList()
        self._by_key = {name: PositionsByKey(key_of, self.by_id) for name, key_of in indexes.items()}
        self.statistics = Statistics(finishes, self._by_key.get("status"))
        self.by_position: SortedList[Position] = SortedList()
        self.unlisted: SortedList[str] = SortedList()

    def put(self, summary: ProcessSummary) -> ProcessSummary | None:
        """Add or replace a process. Returns the previous state."""
        process_id = summary.process_id
        held = self.by_id.get(process_id)
        if held is None:
            self.by_id[process_id] = summary
            self._link(summary)
            for positions in self._by_key.values():
                positions.add(summary)
            self.statistics.move(None, summary)
        elif _stands_alike(held, summary):
            self.by_id[process_id] = summary
            self.statistics.rewrite(held, summary)
        else:
            self._move(held, summary)
        return held

    def _move(self, held: ProcessSummary, summary: ProcessSummary) -> None:
        """Move a process. The indexes by key read `by_id`, so it must hold the old state until they have removed it."""
        left = [positions for positions in self._by_key.values() if positions.has_moved(held, summary)]
        for positions in left:
            positions.remove(held)
        self.by_id[summary.process_id] = summary
        for positions in left:
            positions.add(summary)
        if held.position != summary.position:
            self._unlink(held)
            self._link(summary)
        elif held.is_stalled is not summary.is_stalled:
            self._unmark(held)
            self._mark(summary)
        self.statistics.move(held, summary)

    def discard(self, process_id: str) -> ProcessSummary | None:
        """Remove the process, if it is in the index. Returns its state."""
        held = self.by_id.get(process_id)
        if held is not None:
            self._unlink(held)
            for positions in self._by_key.values():
                positions.remove(held)
            del self.by_id[process_id]
            self.statistics.move(held, None)
        return held

    def listed(
        self, filters: Filters, least: Bound | None = None, below: Bound | None = None
    ) -> Iterator[tuple[Position, ProcessSummary | None]]:
        """The processes of the shortest list among these filters, greatest position first; None for one that others
        exclude.
        """
        positions, others = self._narrowest(filters)
        for position in descending(positions, least, below):
            summary = self.by_id[position[1] or process_id_at(position)]
            yield position, summary if not others or self.fits(summary, others) else None

    def fits(self, summary: ProcessSummary, filters: Filters) -> bool:
        """Whether the process has all these keys."""
        return fits(self._indexes, summary, filters)

    def _narrowest(self, filters: Filters) -> tuple[Positions, Filters]:
        """The shortest sequence of positions that has all matches, and the filters that remain to be checked."""
        if not filters:
            return self.by_position, filters
        found = {name: self._under(name, key) for name, key in filters.items()}
        narrowest = min(found, key=lambda name: about(found[name])) if len(found) > 1 else next(iter(found))
        others = {name: key for name, key in filters.items() if name != narrowest or key is False}
        return found[narrowest], others

    def _under(self, name: str, key: str | int) -> Positions:
        """The positions under a key. Nearly all processes do not stall, so there is no index of those."""
        if name != STALLED:
            return self._by_key[name].under(key)
        return self._stalled if key else self.by_position

    def _link(self, summary: ProcessSummary) -> None:
        if summary.position is None:
            self.unlisted.add(summary.process_id)
            return
        self.by_position.add(summary.position)
        self._mark(summary)

    def _unlink(self, summary: ProcessSummary) -> None:
        if summary.position is None:
            self.unlisted.remove(summary.process_id)
            return
        self.by_position.remove(summary.position)
        self._unmark(summary)

    def _mark(self, summary: ProcessSummary) -> None:
        if summary.is_stalled and summary.position is not None:
            self._stalled.add(summary.position)

    def _unmark(self, summary: ProcessSummary) -> None:
        if summary.is_stalled and summary.position is not None:
            self._stalled.remove(summary.position)


def _stands_alike(held: ProcessSummary, summary: ProcessSummary) -> bool:
    """Whether the two states have the same place in every list, as with nearly all changes.

    Equal parts are mostly shared.
    """
    return (
        held.position is summary.position
        and held.status is summary.status
        and held.filters is summary.filters
        and held.is_stalled is summary.is_stalled
    )
