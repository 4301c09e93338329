"""When a process ended, and how long it took, read from its answer. Pure.

The model does not keep these values, because only changes of ended processes need them.
"""

from collections import deque
from datetime import datetime
from typing import NamedTuple

from orjson import loads

from listeners.times import microseconds
from service.schema.compiled import ProcessSummary
from service.schema.schema_file import SchemaFile


class Finish(NamedTuple):
    """`ended_at` in microseconds. If the document has no end time, it is the time when the answer last changed."""

    ended_at: int
    duration_s: float | None


class Finishes:
    """Reads the keys with the roles `started` and `ended` of one schema."""

    def __init__(self, file: SchemaFile) -> None:
        self.terminal = frozenset(file.status.terminal)
        self._started, self._ended = file.role("started"), file.role("ended")
        self._lately: deque[tuple[ProcessSummary, Finish]] = deque(maxlen=2)
        """The last two results: both copies of the index ask for the old and the new state of each changed process."""

    def has_ended(self, summary: ProcessSummary) -> bool:
        """Whether the status is terminal."""
        return summary.status in self.terminal

    def of(self, summary: ProcessSummary) -> Finish | None:
        """None if the process has not ended. A negative duration counts as unknown."""
        if summary.status not in self.terminal:
            return None
        for known, finish in self._lately:
            if known is summary:
                return finish
        finish = self._read(summary)
        self._lately.append((summary, finish))
        return finish

    def _read(self, summary: ProcessSummary) -> Finish:
        values = loads(summary.body)
        ended = _time(values.get(self._ended))
        if ended is None:
            return Finish(summary.content_version, None)
        started = _time(values.get(self._started))
        duration_s = None if started is None else (ended - started).total_seconds()
        return Finish(microseconds(ended), None if duration_s is None or duration_s < 0 else duration_s)


def _time(text: object) -> datetime | None:
    """A time as answers show it; None for anything else that a key with this role can hold."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
