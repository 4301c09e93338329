"""What one target's consumer holds, and what has changed since: the bookkeeping behind every event. Pure.

Holds ID → update time as Firestore has sent it so far, and what that was at the last consistent point for those that
have changed since. Every operation but `drop_pending` costs the same whatever is held and however much is pending, so
that none holds the event loop; `Difference.slices` does the rest, a slice at a time. Documents are held until a
difference is asked for, and then they are its: the caller can free them one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from listeners.events import Changed, Confirmed, Document, Event, Removal, Replaced
from listeners.stream.snapshot_tracker import SnapshotTracker

SLICE = 1000
"""Documents per slice: a fifth of a millisecond's work."""


@dataclass(slots=True)
class Difference:
    """From what was taken last to now. `is_whole`: there was nothing to differ from, the upserts are everything.

    `foreign`: how many documents are held beside it; their difference is in neither list.
    """

    upserts: list[Document]
    removals: list[Removal]
    is_whole: bool
    _slices: Iterator[None] = field(repr=False)
    foreign: int = 0

    def beside(self, others: "Difference", foreign: int) -> "Difference":
        """The same, with the work that the others' difference has left."""
        return Difference(self.upserts, self.removals, self.is_whole, chain(self._slices, others.slices()), foreign)

    def slices(self) -> Iterator[None]:
        """The work that is left until it is right, a slice per step. `event` does what is left then."""
        return self._slices

    def event(self, read_time: int, as_of: float) -> Event:
        """The event for the consumer; its lists are the consumer's own."""
        for _ in self._slices:
            pass
        if self.is_whole:
            return Replaced(self.upserts, read_time, as_of, self.foreign)
        if self.upserts or self.removals:
            return Changed(self.upserts, self.removals, read_time, as_of, self.foreign)
        return Confirmed(read_time, as_of, self.foreign)


class TargetResult:
    """The documents of one target, as taken and as pending."""

    def __init__(self) -> None:
        self._has_been_taken = False
        self._versions = SnapshotTracker()  # pending changes included
        self._begin()

    def _begin(self) -> None:
        """Nothing is pending."""
        self._before: dict[str, int | None] = {}  # what was taken of those that have changed since; None: nothing was
        self._upserts: list[Document] = []
        self._superseded: set[str] = set()  # of which the upserts can hold more than the last version
        self._removals: dict[str, Removal] = {}  # of what was taken only

    def __repr__(self) -> str:
        return f"<TargetResult {len(self)} held, {len(self._upserts)} upserts, {len(self._removals)} removals>"

    def __len__(self) -> int:
        """How many documents the target has, pending changes applied: what an existence filter counts."""
        return len(self._versions)

    def version_of(self, document_id: str) -> int | None:
        """The update time that was sent last."""
        return self._versions.known(document_id) if self._has_been_taken else self._versions.current(document_id)

    def upsert(self, document: Document) -> None:
        """A version that is not the one sent last."""
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
        """The version that was sent last has come again."""
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
        """Firestore sends the whole result again: what does not come again is removed at the end."""
        self.drop_pending()
        self._versions.begin()

    def drop_pending(self) -> None:
        """Back to what was taken last. Not while a result is being sent again."""
        if not self._has_been_taken:
            self._versions.begin()
        for document_id, version in self._before.items():
            if version is None:
                self._versions.drop(document_id)
            else:
                self._versions.record(document_id, version)
        self._begin()

    def forget(self) -> None:
        """Nothing was ever taken. What the consumer held is overwritten as it comes again, or dropped at the end."""
        self._has_been_taken = False
        self._versions.begin()
        self._begin()

    def difference(self) -> Difference:
        """What a consumer must change to hold the result.

        The documents are handed out: only `take` or `drop_pending` can follow.
        """
        upserts, self._upserts = self._upserts, []
        removals = list(self._removals.values())
        before = self._before if self._has_been_taken else None
        slices = _slices(upserts, removals, self._versions, self._versions.sweep(), before, self._superseded)
        return Difference(upserts, removals, not self._has_been_taken, slices)

    def take(self) -> None:
        """The consumer holds the difference now."""
        self._has_been_taken = True
        self._begin()


def _slices(
    upserts: list[Document],
    removals: list[Removal],
    versions: SnapshotTracker,
    unsent: Iterator[list[tuple[str, int]]],
    before: dict[str, int | None] | None,
    superseded: set[str],
) -> Iterator[None]:
    """What has not come again in this snapshot is gone; of what has come more than once, the last version is left.

    `before`: None where nothing was taken, so that nothing needs a removal.
    """
    for gone in unsent:
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
