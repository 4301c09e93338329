"""When a process has ended, and how long it took: read out of its answer, where it has ended. Pure.

Nothing of it is held with the process: only changes of processes that have ended need it.
"""

from collections import deque
from datetime import datetime
from typing import NamedTuple

from orjson import loads

from listeners.times import microseconds
from service.schema.compiled import ProcessSummary
from service.schema.schema_file import SchemaFile


class Finish(NamedTuple):
    """`ended_at` in microseconds: where the document does not tell, the last change of the answer."""

    ended_at: int
    duration_s: float | None


class Finishes:
    """Reads the roles `started` and `ended` of one schema."""

    def __init__(self, file: SchemaFile) -> None:
        self.terminal = frozenset(file.status.terminal)
        self._started, self._ended = file.role("started"), file.role("ended")
        self._lately: deque[tuple[ProcessSummary, Finish]] = deque(maxlen=2)
        """Both copies of the index ask for the same: what a change replaces, and what it brings."""

    def has_ended(self, summary: ProcessSummary) -> bool:
        """Whether the status is terminal."""
        return summary.status in self.terminal

    def of(self, summary: ProcessSummary) -> Finish | None:
        """None where the process has not ended. A duration below zero is none."""
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
    """As answers show times; a key with this role can hold anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
