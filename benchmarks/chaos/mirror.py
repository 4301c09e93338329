"""A client that mirrors the processes through `/events`, whichever replica it is connected to. Pure.

A batch counts once its ID has come, as its last event brings it: what a broken connection had begun to say is said
again. Between two batches a mirror never goes back in time; only `reset` may take back what was said. In the end,
when nothing is written and every fault is over, each mirror equals Firestore.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from benchmarks.chaos.history import History, Version
from benchmarks.chaos.names import key_of


class Event(NamedTuple):
    """One event: its name and its data."""

    name: str
    data: bytes


class Batch(NamedTuple):
    """The events up to one that carried an ID, as one mirror received them."""

    mirror: int
    replica: str
    event_id: int
    events: tuple[Event, ...]


@dataclass
class Mirror:
    """What one client believes. `status`: its filter."""

    status: str | None
    rows: dict[str, Version] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    """The highest sequence that was said of each process, whether or not it is among the rows."""
    gone: set[str] = field(default_factory=set)
    """Said to be deleted, at their highest sequence."""

    def apply(self, batch: Batch, history: History) -> list[str]:
        """Believe it. Returns what in it contradicts what was said before."""
        faults = [self._apply(event, batch.event_id, history) for event in batch.events]
        return [f"{fault}: {batch}" for fault in faults if fault]

    def _apply(self, event: Event, event_id: int, history: History) -> str:
        if event.name == "reset":
            self.rows.clear()
            self.newest.clear()
            self.gone.clear()
            return ""
        body = orjson.loads(event.data)
        if event.name == "removed":
            return self._remove(key_of(body), body["deleted"] is True, event_id)
        version = history.by_sequence.get(body["products_processed"])
        if version is None or event.data != version.body():
            return "there never was such a version"
        return self._show(version)

    def _remove(self, process_id: str, deleted: bool, event_id: int) -> str:
        row = self.rows.pop(process_id, None)
        if deleted:
            self.gone.add(process_id)
        return "removed before it was written" if row is not None and row.from_us > event_id else ""

    def _show(self, version: Version) -> str:
        process_id, sequence = version.written.process_id, version.written.sequence
        newest = self.newest.get(process_id, 0)
        went_back = sequence < newest or (sequence == newest and process_id in self.gone)
        self.newest[process_id] = max(sequence, newest)
        self.gone.discard(process_id)
        if self.status in (None, version.written.status):
            self.rows[process_id] = version
        else:
            self.rows.pop(process_id, None)
        return f"went back from {newest}" if went_back else ""

    def differences(self, history: History, instant_us: int) -> list[str]:
        """What it believes otherwise than Firestore held then."""
        held = history.window(instant_us)
        there = {key: version for key, version in held.items() if self.status in (None, version.written.status)}
        odd = [each for each in {*there, *self.rows} if there.get(each) is not self.rows.get(each)]
        return [f"{each}: {self.rows.get(each)} where Firestore has {there.get(each)}" for each in sorted(odd)]


@dataclass
class Mirrors:
    """All of them, and what came of their checks."""

    history: History
    statuses: Sequence[str | None]
    batches: int = 0
    resets: int = 0
    contradictions: list[str] = field(default_factory=list)
    each: list[Mirror] = field(init=False)

    def __post_init__(self) -> None:
        self.each = [Mirror(status) for status in self.statuses]

    def apply(self, batch: Batch) -> None:
        """One batch of one of them."""
        self.batches += 1
        self.resets += any(event.name == "reset" for event in batch.events)
        self.contradictions += self.each[batch.mirror].apply(batch, self.history)

    def differences(self, instant_us: int) -> list[str]:
        """Of all of them."""
        found = [(number, mirror.differences(self.history, instant_us)) for number, mirror in enumerate(self.each)]
        return [f"mirror {number}: {what}" for number, differences in found for what in differences]
