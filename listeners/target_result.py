"""What one target's consumer holds, and what has changed since: the bookkeeping behind every event. Pure.

Holds ID → update time of what was taken, the pending changes since the last consistent point, and, while Firestore
tells a result again from the start, which of the held documents have not come again. Every operation costs the
same whatever is held, except `reset` and the sweep after it. Documents are held until a difference is asked for, and
then they are its: whoever asks may let go of them one by one.
"""

from dataclasses import dataclass

from listeners.events import Changed, Confirmed, Document, Event, Removal, Replaced


@dataclass(frozen=True, slots=True)
class Difference:
    """From what was taken last to now. `is_whole`: there was nothing to differ from, the upserts are everything."""

    upserts: list[Document]
    removals: list[Removal]
    is_whole: bool

    def event(self, read_time: int, as_of: float) -> Event:
        """What the consumer is told; its lists are the consumer's own."""
        if self.is_whole:
            return Replaced(self.upserts, read_time, as_of)
        if self.upserts or self.removals:
            return Changed(self.upserts, self.removals, read_time, as_of)
        return Confirmed(read_time, as_of)


class TargetResult:
    """The documents of one target, as taken and as pending."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._has_been_taken = False
        self._upserts: dict[str, Document] = {}
        self._versions: dict[str, int] = {}  # of the upserts, handed out or not: taking them is then no loop in Python
        self._added = 0  # upserts of documents not held
        self._removals: dict[str, Removal] = {}  # of held documents only
        self._unseen: dict[str, int] = {}  # held before a reset, not come again since

    def __repr__(self) -> str:
        return f"<TargetResult {len(self._held)} held, {len(self._upserts)} upserts, {len(self._removals)} removals>"

    def __len__(self) -> int:
        """How many documents the target has, pending changes applied: what an existence filter counts."""
        return len(self._held) + self._added - len(self._removals) - len(self._unseen)

    def version_of(self, document_id: str) -> int | None:
        """The update time that was taken last."""
        return self._held.get(document_id)

    def upsert(self, document: Document) -> None:
        """A version that is not the one held."""
        document_id = document.id
        self._unseen.pop(document_id, None)
        self._removals.pop(document_id, None)
        if document_id not in self._held and document_id not in self._versions:
            self._added += 1
        self._upserts[document_id] = document
        self._versions[document_id] = document.update_time

    def keep(self, document_id: str) -> None:
        """The version that is held has come again."""
        self._unseen.pop(document_id, None)
        self._removals.pop(document_id, None)
        self._drop_upsert(document_id)

    def remove(self, document_id: str, *, deleted: bool) -> None:
        """The document has left the result. What was never taken needs no removal."""
        self._unseen.pop(document_id, None)
        self._drop_upsert(document_id)
        if document_id in self._held:
            self._removals[document_id] = Removal(document_id, deleted)

    def _drop_upsert(self, document_id: str) -> None:
        if self._versions.pop(document_id, None) is not None:
            self._upserts.pop(document_id, None)
            self._added -= document_id not in self._held

    def reset(self) -> None:
        """The whole result will be told again: mark what is held; what is not told again is removed at the end."""
        self.drop_pending()
        self._unseen = self._held.copy()  # a copy of the table: ten times faster than making one of its keys

    def drop_pending(self) -> None:
        """Back to what was taken last."""
        self._upserts = {}
        self._versions = {}
        self._added = 0
        self._removals = {}
        self._unseen = {}

    def forget(self) -> None:
        """Nothing was ever taken."""
        self.drop_pending()
        self._held = {}
        self._has_been_taken = False

    def difference(self) -> Difference:
        """What a consumer must change to hold the result; sweeps what was marked and has not come again.

        The documents are handed out: only `take` or `drop_pending` may follow.
        """
        for document_id in self._unseen:
            self._removals[document_id] = Removal(document_id, None)
        self._unseen = {}
        upserts, self._upserts = list(self._upserts.values()), {}
        return Difference(upserts, list(self._removals.values()), not self._has_been_taken)

    def take(self) -> None:
        """The consumer holds the difference now."""
        for document_id in self._removals:
            del self._held[document_id]
        if self._held:
            self._held.update(self._versions)
        else:
            self._held = self._versions
        self._has_been_taken = True
        self.drop_pending()
