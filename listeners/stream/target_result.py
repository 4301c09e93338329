"""The documents that the consumer of one target holds, and what has changed since: the data behind every event. Pure.

A document is *taken* when the consumer holds it, and *pending* when Firestore has sent it since. This module keeps ID →
update time as sent so far, and the update time as taken for the documents that have changed since. The cost of every
operation but `drop_pending` does not depend on the number of documents, so no operation blocks the event loop;
`Difference.slices` does the rest, one slice at a time. The documents belong to the difference as soon as it is made:
its user can free them one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from listeners.events import Changed, Confirmed, Document, Event, Removal, Replaced
from listeners.stream.snapshot_tracker import SnapshotTracker

SLICE = 1000
"""Documents per slice. A slice takes a fifth of a millisecond."""


@dataclass(slots=True)
class Difference:
    """The difference between the documents as taken last and now. `is_whole`: nothing was taken, so it has all of them.

    `foreign`: the number of further, foreign documents. They are in neither list.
    """

    upserts: list[Document]
    removals: list[Removal]
    is_whole: bool
    _slices: Iterator[None] = field(repr=False)
    foreign: int = 0

    def beside(self, others: "Difference", foreign: int) -> "Difference":
        """The same difference; its remaining work includes that of `others`."""
        return Difference(self.upserts, self.removals, self.is_whole, chain(self._slices, others.slices()), foreign)

    def slices(self) -> Iterator[None]:
        """The work to do before the lists are right, one slice per step. `event` does the remaining steps."""
        return self._slices

    def event(self, read_time: int, as_of: float) -> Event:
        """The event for the consumer. Its lists belong to the consumer."""
        for _ in self._slices:
            pass
        if self.is_whole:
            return Replaced(self.upserts, read_time, as_of, self.foreign)
        if self.upserts or self.removals:
            return Changed(self.upserts, self.removals, read_time, as_of, self.foreign)
        return Confirmed(read_time, as_of, self.foreign)


class TargetResult:
    """The documents of one target, taken and pending."""

    def __init__(self) -> None:
        self._has_been_taken = False
        self._versions = SnapshotTracker()  # pending changes included
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing pending."""
        self._before: dict[str, int | None] = {}  # versions as taken of documents changed since; None: it was not taken
        self._upserts: list[Document] = []
        self._superseded: set[str] = set()  # IDs for which the upserts can hold several versions
        self._removals: dict[str, Removal] = {}  # only of documents that were taken

    def __repr__(self) -> str:
        return f"<TargetResult {len(self)} held, {len(self._upserts)} upserts, {len(self._removals)} removals>"

    def __len__(self) -> int:
        """The number of documents, pending changes included: an existence filter counts the same."""
        return len(self._versions)

    def version_of(self, document_id: str) -> int | None:
        """The update time that Firestore has sent last."""
        return self._versions.known(document_id) if self._has_been_taken else self._versions.current(document_id)

    def upsert(self, document: Document) -> None:
        """Firestore has sent a version that differs from the last one sent."""
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
            if self._before[document_id] == document.update_time:  # the same version as taken
                del self._before[document_id]
                return
        self._upserts.append(document)

    def keep(self, document_id: str) -> None:
        """Firestore has sent the last version again."""
        known = self.version_of(document_id)
        if known is not None:
            self._versions.record(document_id, known)

    def remove(self, document_id: str, *, deleted: bool) -> None:
        """The document no longer belongs to the result. A document that was never taken needs no removal."""
        known = self.version_of(document_id)
        self._versions.drop(document_id)
        if known is not None and (not self._has_been_taken or document_id in self._before):
            self._superseded.add(document_id)
        if known is not None and self._has_been_taken:
            self._before.setdefault(document_id, known)
        if self._before.get(document_id) is not None:
            self._removals[document_id] = Removal(document_id, deleted)

    def reset(self) -> None:
        """Firestore sends the whole result again: documents that do not come again are removed at the end."""
        self.drop_pending()
        self._versions.begin()

    def drop_pending(self) -> None:
        """Go back to the documents as taken last. Not allowed while Firestore sends the result again."""
        if not self._has_been_taken:
            self._versions.begin()
        for document_id, version in self._before.items():
            if version is None:
                self._versions.drop(document_id)
            else:
                self._versions.record(document_id, version)
        self._begin()

    def forget(self) -> None:
        """Nothing counts as taken.

        The consumer's documents are overwritten as they come again, or dropped at the end.
        """
        self._has_been_taken = False
        self._versions.begin()
        self._begin()

    def difference(self) -> Difference:
        """The changes after which the consumer holds the result.

        The difference owns the documents: only `take` or `drop_pending` is allowed next.
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
    """Remove documents that this snapshot has not sent; of a document that came several times, keep the last version.

    `before`: None if nothing was taken, so that nothing needs a removal.
    """
    for gone in unsent:
        if before is not None:
            before.update(gone)
            removals.extend([Removal(document_id, None) for document_id, _ in gone])
        yield
    if superseded:
        yield from _keep_last(upserts, versions, superseded)


def _keep_last(upserts: list[Document], versions: SnapshotTracker, superseded: set[str]) -> Iterator[None]:
    """Keep the last version of each, from the end of the list: freeing another list of 100,000 would take long."""
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
