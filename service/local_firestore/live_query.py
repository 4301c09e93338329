"""A query's result, updated with differences: the effect of each commit on its window.

One live query serves all targets with the same query. The window is the first `limit` documents. A commit moves its
boundary by at most as many documents as it changes, so the cost of a commit depends only on its own size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from service.local_firestore import messages
from service.local_firestore.database import Change, Database, selects
from service.local_firestore.messages import DocumentMessage
from service.local_firestore.queries import Query
from service.local_firestore.values import Key


class Kind(Enum):
    """The effect of a change on a document, as one target sees it."""

    CHANGED = "document_change"
    REMOVED = "document_remove"
    DELETED = "document_delete"


@dataclass(frozen=True, slots=True)
class Entry:
    """One document's part in a delta. For CHANGED, `document` is set, with the target's projection."""

    kind: Kind
    name: str
    document: DocumentMessage | None = None


@dataclass(frozen=True, slots=True)
class Touched:
    """A document of the commit: whether it was in the window, and its present position."""

    change: Change
    was_inside: bool
    position: Key | None


class LiveQuery:
    """The matches of one query, and the window's changes."""

    def __init__(self, database: Database, query: Query) -> None:
        self.query = query
        self._database = database
        self._index = query.index_of_matches(database)

    def covers(self, name: str) -> bool:
        query = self.query
        return selects(name.rpartition("/")[0], query.parent, query.collection_id, descend=query.descend)

    def documents(self) -> list[DocumentMessage]:
        """The documents of the window, in order, with the projection."""
        return [self._shown(name) for name in self._names()]

    def __len__(self) -> int:
        return len(self._index) if self.query.limit is None else min(len(self._index), self.query.limit)

    def _names(self) -> Iterator[str]:
        return islice(self._index.names(), self.query.limit)

    def _shown(self, name: str) -> DocumentMessage:
        return self.query.shown(self._database.document(name))

    def apply(self, changes: Sequence[Change]) -> list[Entry]:
        """Apply one commit's changes in the collections of the query. Returns their effect on the window."""
        before = self._boundary()
        touched = []
        for change in changes:
            old, new = self._index.replace(change.name, change.after)
            touched.append(Touched(change, self._is_inside(old, before), new))
        now = self._boundary()
        entries = [entry for one in touched if (entry := self._entry(one, now)) is not None]
        entries += self._moved(before, now, {one.change.name for one in touched})
        return entries

    def _boundary(self) -> Key | None:
        """The last position inside the window; None if all documents are inside."""
        return self._index.boundary(self.query.limit) if self.query.limit else None

    def _is_inside(self, position: Key | None, boundary: Key | None) -> bool:
        if position is None or self.query.limit == 0:
            return False
        return boundary is None or self._index.is_before(position, boundary)

    def _entry(self, one: Touched, boundary: Key | None) -> Entry | None:
        name, _, after = one.change
        if after is not None and self._is_inside(one.position, boundary):
            return Entry(Kind.CHANGED, name, self.query.shown(after))
        if not one.was_inside:
            return None
        return Entry(Kind.DELETED if after is None else Kind.REMOVED, name)

    def _moved(self, before: Key | None, now: Key | None, touched: set[str]) -> list[Entry]:
        """Documents that did not change, but were pushed out of the window or moved up into it."""
        if before == now:
            return []
        if before is None or (now is not None and self._index.is_before(now, before)):
            assert now is not None  # noqa: S101 - the boundaries differ
            out = self._index.names_between(now, before)
            return [Entry(Kind.REMOVED, name) for name in out if name not in touched]
        moved_up = self._index.names_between(before, now)
        return [Entry(Kind.CHANGED, name, self._shown(name)) for name in moved_up if name not in touched]

    def entries_since(self, at_us: int) -> list[Entry]:
        """The changes of the window since then: the entries for a resumed target."""
        query, database = self.query, self._database
        collections = database.collections_of(query.parent, query.collection_id, descend=query.descend)
        if all(collection.changed_us <= at_us for collection in collections):
            return []
        index = query.index_of_matches(database, at_us)
        known = set(islice(index.names(), query.limit))
        inside = list(self._names())
        entries = []
        for name in inside:
            document = database.document(name)
            assert document is not None  # noqa: S101 - the index holds only what there is
            if name not in known or messages.time_of(document.update_time) > at_us:
                entries.append(Entry(Kind.CHANGED, name, query.shown(document)))
        for name in known.difference(inside):
            gone = database.document(name) is None
            entries.append(Entry(Kind.DELETED if gone else Kind.REMOVED, name))
        return entries
