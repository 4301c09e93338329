"""Brings an index up to date with one event, and says what that changed. Pure, in steps.

The model has two copies of its index. What a batch changed is noted for the first of them alone.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from service.model.process_index import ProcessIndex
from service.runtime.sharded_set import ShardedSet
from service.schema.compiled import FilterValue, ProcessSummary


@dataclass(slots=True)
class Applied:
    """What one event changed. Never changed once made.

    `removed` says for each ID whether it is known to be deleted (None: unknown).
    `is_first_load` is True for a whole result taken while the model held nothing trusted: its changes are no news.
    `status_before` is the status and `filters_before` are the values of the schema's filters that each of them had
    which was held before, of those alone for which they are others now, or which are held no longer. `belated` are the
    upserts of a version from before the last event: they have moved up into the window, or no event showed their
    change. `changed` is how many have other content, or other values of the filters, than before; `is_reordered`: one
    has another position. `resumed` are those that stalled and were written again; they count as changed, and as
    belated. `entered` are those with another status than before, or that are new: none where a whole result replaces
    another.
    """

    upserts: Sequence[ProcessSummary]
    removed: Mapping[str, bool | None]
    added: int
    read_time: int
    is_first_load: bool = False
    status_before: Mapping[str, str | None] = field(default_factory=dict)
    filters_before: Mapping[str, tuple[FilterValue, ...]] = field(default_factory=dict)
    belated: Sequence[str] = ()
    changed: int = 0
    is_reordered: bool = False
    resumed: Container[str] = ()
    entered: Sequence[ProcessSummary] = ()

    @property
    def is_news(self) -> bool:
        """Whether a client that holds the state before gets anything new."""
        return bool(self.changed or self.removed or self.is_first_load)


@dataclass(slots=True)
class Update:
    """Notes what a batch changes in an index. `read_time`: that of the event before. The other fields are Applied's."""

    read_time: int
    newest_version: int = 0
    added: int = 0
    status_before: dict[str, str | None] = field(default_factory=dict)
    filters_before: dict[str, tuple[FilterValue, ...]] = field(default_factory=dict)
    belated: list[str] = field(default_factory=list)
    resumed: ShardedSet = field(default_factory=ShardedSet)
    entered: list[ProcessSummary] = field(default_factory=list)
    changed: int = 0
    is_reordered: bool = False

    def note_removal(self, gone: ProcessSummary) -> None:
        """The process is no longer in the index."""
        self.status_before[gone.process_id] = gone.status
        if gone.filters:
            self.filters_before[gone.process_id] = gone.filters

    def note(self, replaced: ProcessSummary | None, summary: ProcessSummary) -> None:
        """`summary` has taken the place of `replaced`."""
        if summary.version > self.newest_version:
            self.newest_version = summary.version
        is_changed = replaced is None or summary.is_new_content
        if 0 < self.read_time < summary.version and (replaced is None or replaced.status != summary.status):
            self.entered.append(summary)
        if replaced is None:
            self.added += 1
        else:
            if replaced.status != summary.status:
                self.status_before[summary.process_id] = replaced.status
            if replaced.is_stalled and not summary.is_stalled:
                self.resumed.add(summary.process_id)
                is_changed = True
            if replaced.filters is not summary.filters:
                self.filters_before[summary.process_id] = replaced.filters
                is_changed = True
            if replaced.position is not summary.position:
                self.is_reordered = True
        if is_changed:
            self.changed += 1
            if summary.version <= self.read_time or summary.process_id in self.resumed:
                self.belated.append(summary.process_id)


def bring_up_to_date(
    index: ProcessIndex,
    upserts: Sequence[ProcessSummary],
    removed: Mapping[str, bool | None],
    update: Update | None = None,
) -> Iterator[None]:
    """Remove and put in, a process per step. `update` notes what that changes."""
    for process_id in removed:
        gone = index.discard(process_id)
        if update is not None and gone is not None:
            update.note_removal(gone)
        yield
    for summary in upserts:
        replaced = index.put(summary)
        if update is not None:
            update.note(replaced, summary)
        yield
