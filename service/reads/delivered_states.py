"""States outside the model that waits and streams have delivered, for as long as the cache can hold older ones.

After a delivery no plain request must be answered with an older state. The read-through cache gets the state itself.
This module keeps it for the lists in that cache whose rows were read before the delivery. Lives on the event loop.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from service.api.list_query import ListQuery
from service.model.indexes import Indexes, fits
from service.schema.compiled import ProcessSummary

MAX_DELIVERED = 1_000
"""Processes to keep. When the oldest is dropped, no list that was read before it is answered again."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivery. `summary` is None for a deletion; `at` is an instant of the injected clock."""

    summary: ProcessSummary | None
    at: float


class DeliveredStates:
    """The last delivered state of each process, oldest first. Forgets states older than `keep_s`."""

    def __init__(self, keep_s: float, indexes: Indexes) -> None:
        self._keep_s = keep_s
        self._indexes = indexes
        self._delivered: OrderedDict[str, Delivered] = OrderedDict()
        self._lists_from = float("-inf")

    def __len__(self) -> int:
        return len(self._delivered)

    def add(self, process_id: str, summary: ProcessSummary | None, now: float) -> None:
        """A client gets this state now."""
        self._delivered[process_id] = Delivered(summary, now)
        self._delivered.move_to_end(process_id)
        while self._delivered:
            oldest = next(iter(self._delivered.values()))
            if len(self._delivered) <= MAX_DELIVERED and oldest.at >= now - self._keep_s:
                break
            self._lists_from = oldest.at
            self._delivered.popitem(last=False)

    def contradict(self, query: ListQuery, rows: Sequence[ProcessSummary], as_of: float) -> bool:
        """Whether a list that was read at `as_of` lacks a state that has been delivered since."""
        if as_of <= self._lists_from:
            return True
        later = [(process_id, each.summary) for process_id, each in self._delivered.items() if each.at >= as_of]
        if not later:
            return False
        versions = {row.process_id: row.version for row in rows}
        for process_id, delivered in later:
            shown = versions.get(process_id)
            if delivered is None:
                is_older = shown is not None
            elif shown is None:
                is_older = _would_show(query, rows, delivered, self._indexes)
            else:
                is_older = shown < delivered.content_version
            if is_older:
                return True
        return False


def _would_show(query: ListQuery, rows: Sequence[ProcessSummary], summary: ProcessSummary, indexes: Indexes) -> bool:
    """Whether the process belongs among these rows."""
    position = summary.position
    if position is None or not fits(indexes, summary, query.filters):
        return False
    start = (position[0],)
    is_within = (
        (query.after is None or position < query.after)
        and (query.lower is None or start >= (query.lower,))
        and (query.upper is None or start < (query.upper,) or (query.upper_inclusive and start == (query.upper,)))
    )
    last = rows[-1].position if len(rows) == query.limit else None
    return is_within and (last is None or position > last)
