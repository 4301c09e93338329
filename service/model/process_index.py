"""The indexes over the processes held. Pure, and holds each string and each position once.

A process's ID is in both keys and values, its position in two lists: a version that replaces another takes over its
predecessor's, so that memory does not grow with the number of changes.
"""

from sortedcontainers import SortedList

from service.api.list_query import Position
from service.schema.compiled import ProcessSummary


class ProcessIndex:
    """Processes by ID, and by position overall and per status; the IDs of those that have none are `unlisted`."""

    __slots__ = ("by_id", "by_position", "by_status", "unlisted")

    def __init__(self) -> None:
        self.by_id: dict[str, ProcessSummary] = {}
        self.by_position: SortedList[Position] = SortedList()
        self.by_status: dict[str, SortedList[Position]] = {}
        self.unlisted: SortedList[str] = SortedList()

    def put(self, summary: ProcessSummary) -> ProcessSummary | None:
        """Add or replace. Returns what was held before."""
        held = self.by_id.get(summary.process_id)
        if held is None:
            self._link(summary, everywhere=True)
        else:
            summary.process_id = held.process_id  # the indexes keep the first version's string and, while it
            if summary.position == held.position:  # does not move, its position: one of each, however many versions
                summary.position = held.position
            self._move(held, summary)
        self.by_id[summary.process_id] = summary
        return held

    def discard(self, process_id: str) -> ProcessSummary | None:
        """Remove, where it is held. Returns what was."""
        held = self.by_id.pop(process_id, None)
        if held is not None:
            self._unlink(held, everywhere=True)
        return held

    def _move(self, held: ProcessSummary, summary: ProcessSummary) -> None:
        has_moved = held.position != summary.position
        if has_moved or held.status != summary.status:
            self._unlink(held, everywhere=has_moved)
            self._link(summary, everywhere=has_moved)

    def _link(self, summary: ProcessSummary, *, everywhere: bool) -> None:
        """Among the processes of its status, and `everywhere`: among all."""
        if summary.position is None:
            if everywhere:
                self.unlisted.add(summary.process_id)
            return
        if everywhere:
            self.by_position.add(summary.position)
        if summary.status is not None:
            self.by_status.setdefault(summary.status, SortedList()).add(summary.position)

    def _unlink(self, summary: ProcessSummary, *, everywhere: bool) -> None:
        if summary.position is None:
            if everywhere:
                self.unlisted.remove(summary.process_id)
            return
        if everywhere:
            self.by_position.remove(summary.position)
        if summary.status is not None:
            positions = self.by_status[summary.status]
            positions.remove(summary.position)
            if not positions:
                del self.by_status[summary.status]
