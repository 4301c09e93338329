"""Updates an index with one event, and notes what the event changed. Pure, in steps.

The model has two copies of its index. The changes of a batch are noted only for the first copy.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from service.model.process_index import ProcessIndex
from service.runtime.sharded_set import ShardedSet
from service.schema.compiled import FilterValue, ProcessSummary


@dataclass(slots=True)
class Applied:
    """The changes that one event made. Immutable.

    `removed` says for each ID whether it is known to be deleted (None: unknown). `is_first_load`: a whole result that
    was taken while the model held nothing trusted. Its changes are no news. `status_before` has the previous status of
    each process whose status has changed, or which was removed. `filters_before` has, in the same way, the previous
    values of the schema's filters. `belated` are upserts whose version is not newer than the previous event (they have
    moved up into the window, or no event has shown their change), and the `resumed` ones. `resumed` are processes that
    stalled and were written again; they count as changed. `changed` is the number of processes whose content or filter
    values have changed. `is_reordered`: the position of at least one process has changed. `entered` are processes that
    are new or have another status, by a version newer than the previous event. It is empty if a whole result replaces
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
        """Whether a client that has the previous state gets anything new."""
        return bool(self.changed or self.removed or self.is_first_load)


@dataclass(slots=True)
class Update:
    """Notes what a batch changes in an index. `read_time` is that of the previous event; for the others see Applied."""

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
        """The process `gone` is no longer in the index."""
        self.status_before[gone.process_id] = gone.status
        if gone.filters:
            self.filters_before[gone.process_id] = gone.filters

    def note(self, replaced: ProcessSummary | None, summary: ProcessSummary) -> None:
        """`summary` has replaced `replaced`."""
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
    """Remove and add processes, one per step. `update` notes the changes."""
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
