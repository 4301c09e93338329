"""The points from which a client of `/events` can resume: the consistent points that this model has reached. Pure.

A client that has seen the ID R knows the state at R. The changes since R are known exactly only if this replica's model
has been at R itself. Otherwise, between two of its points, a process can have come and gone that neither point shows,
although another replica has sent it to the client. Versions show what changed after R. This log keeps the processes
that left the model after R, and those that entered it with an older version.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.model.applied import Applied
from service.schema.compiled import FilterValue

MAX_MOVES = 10_000
"""How many removals, belated upserts and changes of filters are kept."""

MAX_POINTS = 100_000
"""How many points are kept, of 8 bytes each: those of 200 s with 500 changes per second."""


@dataclass(frozen=True, slots=True)
class Moves:
    """The part of a batch that the log keeps; for the fields see Applied."""

    read_time: int
    removed: Mapping[str, bool | None]
    filters_before: Mapping[str, tuple[FilterValue, ...]]
    belated: Sequence[str]

    def __len__(self) -> int:
        return max(len(self.removed), len(self.filters_before)) + len(self.belated)


class BatchLog:
    """Stores references to whole batches, so remembering a large batch costs no more than a small one."""

    def __init__(self, *, max_moves: int = MAX_MOVES, max_points: int = MAX_POINTS) -> None:
        self._max_moves = max_moves
        self._max_points = max_points
        self._points = array("q")
        self._batches: deque[Moves] = deque()
        self._moves = 0

    def __repr__(self) -> str:
        return f"<BatchLog {len(self._points)} points, {self._moves} moves>"

    @property
    def latest(self) -> int:
        """The read time (µs) of the last batch; 0 before the first."""
        return self._points[-1] if self._points else 0

    def add(self, applied: Applied) -> None:
        """Remember a batch. If it is not later than the last one, it is a new beginning: forget everything before."""
        if self._points and applied.read_time <= self._points[-1]:
            self._forget_all()
        self._points.append(applied.read_time)
        if len(self._points) > 2 * self._max_points:
            del self._points[: -self._max_points]
        if applied.removed or applied.filters_before or applied.belated:
            moves = Moves(applied.read_time, applied.removed, applied.filters_before, applied.belated)
            self._batches.append(moves)
            self._moves += len(moves)
        while self._moves > self._max_moves:
            forgotten = self._batches.popleft()
            self._moves -= len(forgotten)
            del self._points[: bisect_left(self._points, forgotten.read_time)]

    def can_resume(self, read_time: int) -> bool:
        """Whether every change after this time is known: it is a point, and nothing after it was forgotten."""
        place = bisect_left(self._points, read_time)
        return place < len(self._points) and self._points[place] == read_time

    def since(self, read_time: int) -> list[Moves]:
        """The batches after `read_time`, oldest first."""
        return [batch for batch in self._batches if batch.read_time > read_time]

    def _forget_all(self) -> None:
        self._points = array("q")
        self._batches.clear()
        self._moves = 0
