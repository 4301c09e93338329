"""What one target's consumer holds, and what has changed since: the bookkeeping behind every event. Pure.

Holds ID → update time as Firestore has told it so far, and what that was at the last consistent point for those that
have changed since. Every operation but `drop_pending` costs the same whatever is held and however much is pending, so
that none holds the event loop; what can't, `Difference.steps` does a slice at a time. Documents are held until a
difference is asked for, and then they are its: whoever asks may let go of them one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from listeners.events import Changed, Confirmed, Document, Event, Removal, Replaced
from listeners.stream.snapshot_tracker import SnapshotTracker

SLICE = 1000
"""Documents looked at in one step: a fifth of a millisecond's work."""


@dataclass(slots=True)
class Difference:
    """From what was taken last to now. `is_whole`: there was nothing to differ from, the upserts are everything."""

    upserts: list[Document]
    removals: list[Removal]
    is_whole: bool
    _steps: Iterator[None] = field(repr=False)

    def steps(self) -> Iterator[None]:
        """What is left to do until it is right, a slice a step. Who takes no steps has it all done by `event`."""
        return self._steps

    def event(self, read_time: int, as_of: float) -> Event:
        """What the consumer is told; its lists are the consumer's own."""
        for _ in self._steps:
            pass
        if self.is_whole:
            return Replaced(self.upserts, read_time, as_of)
        if self.upserts or self.removals:
            return Changed(self.upserts, self.removals, read_time, as_of)
        return Confirmed(read_time, as_of)


class TargetResult:
    """The documents of one target, as taken and as pending."""

    def __init__(self) -> None:
        self._has_been_taken = False
        self._versions = SnapshotTracker()  # what is pending included; what an earlier round told has not come again
        self._begin()

    def _begin(self) -> None:
        """Nothing is pending."""
        self._before: dict[str, int | None] = {}  # what was taken of those that have changed since; None: nothing was
        self._upserts: list[Document] = []
        self._superseded: set[str] = set()  # of which the upserts may hold more than the last version
        self._removals: dict[str, Removal] = {}  # of what was taken only

    def __repr__(self) -> str:
        return f"<TargetResult {len(self)} held, {len(self._upserts)} upserts, {len(self._removals)} removals>"

    def __len__(self) -> int:
        """How many documents the target has, pending changes applied: what an existence filter counts."""
        return len(self._versions)

    def version_of(self, document_id: str) -> int | None:
        """The update time that was told last."""
        return self._versions.known(document_id) if self._has_been_taken else self._versions.current(document_id)

    def upsert(self, document: Document) -> None:
        """A version that is not the one told last."""
        document_id = document.id
        self._removals.pop(document_id, None)
        known = self.version_of(document_id)
        self._versions.record(document_id, document.update_time)
        if not self._has_been_taken:
            if known is not None:
                self._superseded.add(document_id)
        elif document_id not in self._before:
            self._before[document_id] = known
        else:
            self._superseded.add(document_id)
            if self._before[document_id] == document.update_time:  # as it was taken
                del self._before[document_id]
                return
        self._upserts.append(document)

    def keep(self, document_id: str) -> None:
        """The version that was told last has come again."""
        known = self.version_of(document_id)
        if known is not None:
            self._versions.record(document_id, known)

    def remove(self, document_id: str, *, deleted: bool) -> None:
        """The document has left the result. What was never taken needs no removal."""
        known = self.version_of(document_id)
        self._versions.drop(document_id)
        if known is not None and (not self._has_been_taken or document_id in self._before):
            self._superseded.add(document_id)
        if known is not None and self._has_been_taken:
            self._before.setdefault(document_id, known)
        if self._before.get(document_id) is not None:
            self._removals[document_id] = Removal(document_id, deleted)

    def reset(self) -> None:
        """The whole result will be told again: what is not told again is removed at the end."""
        self.drop_pending()
        self._versions.begin()

    def drop_pending(self) -> None:
        """Back to what was taken last. Not while a result is being told again."""
        if not self._has_been_taken:
            self._versions.begin()
        for document_id, version in self._before.items():
            if version is None:
                self._versions.drop(document_id)
            else:
                self._versions.record(document_id, version)
        self._begin()

    def forget(self) -> None:
        """Nothing was ever taken. What was is overwritten, or dropped at the end, as it is told again."""
        self._has_been_taken = False
        self._versions.begin()
        self._begin()

    def difference(self) -> Difference:
        """What a consumer must change to hold the result.

        The documents are handed out: only `take` or `drop_pending` may follow.
        """
        upserts, self._upserts = self._upserts, []
        removals = list(self._removals.values())
        before = self._before if self._has_been_taken else None
        steps = _steps(upserts, removals, self._versions, self._versions.sweep(), before, self._superseded)
        return Difference(upserts, removals, not self._has_been_taken, steps)

    def take(self) -> None:
        """The consumer holds the difference now."""
        self._has_been_taken = True
        self._begin()


def _steps(
    upserts: list[Document],
    removals: list[Removal],
    versions: SnapshotTracker,
    untold: Iterator[list[tuple[str, int]]],
    before: dict[str, int | None] | None,
    superseded: set[str],
) -> Iterator[None]:
    """What has not come again in this round is gone; of what has come more than once, the last version is left.

    `before`: None where nothing was taken, so that nothing needs a removal.
    """
    for gone in untold:
        if before is not None:
            before.update(gone)
            removals.extend([Removal(document_id, None) for document_id, _ in gone])
        yield
    if superseded:
        yield from _keep_last(upserts, versions, superseded)


def _keep_last(upserts: list[Document], versions: SnapshotTracker, superseded: set[str]) -> Iterator[None]:
    """Within the list, from its end: a second one of 100,000 would take long to free."""
    kept: set[str] = set()
    free = len(upserts)
    for number, place in enumerate(range(len(upserts) - 1, -1, -1), 1):
        document = upserts[place]
        document_id = document.id
        if document_id in superseded:
            if document_id in kept or versions.current(document_id) != document.update_time:
                continue
            kept.add(document_id)
        free -= 1
        upserts[free] = document
        if number % SLICE == 0:
            yield
    del upserts[:free]
