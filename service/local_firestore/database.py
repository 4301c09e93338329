"""One database's documents: atomic commits with strictly increasing times, and recent versions.

Lives on one event loop's thread. Nothing in here awaits, so a commit becomes visible as a whole or not at all. Times
are whole microseconds since the epoch.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc

from service.local_firestore import messages, plain
from service.local_firestore.clock import Clock
from service.local_firestore.errors import FirestoreError, invalid
from service.local_firestore.index import OrderedIndex, Ordering
from service.local_firestore.messages import DocumentMessage, ValueMessage, WriteMessage
from service.local_firestore.versions import Record, VersionLog
from service.local_firestore.writes import apply_write, name_written, take_over_write

MAX_INDEXES = 16


class Change(NamedTuple):
    """One document's part in a commit; None is a document that does not exist."""

    name: str
    before: DocumentMessage | None
    after: DocumentMessage | None


@dataclass(frozen=True, slots=True)
class Commit:
    """The changes of one commit, and the results of its writes. A write that changed nothing has no change."""

    time_us: int
    changes: Sequence[Change]
    update_times: Sequence[int | None] = ()
    transform_results: Sequence[Sequence[ValueMessage]] = ()


class CommitRecord(NamedTuple):
    """One commit for comparison in tests: document path below the database → fields; None means deleted."""

    commit_time_us: int
    documents: Mapping[str, Mapping[str, object] | None]


@dataclass(slots=True)
class Collection:
    path: str
    records: dict[str, Record] = field(default_factory=dict)
    indexes: dict[object, OrderedIndex] = field(default_factory=dict)
    changed_us: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the past is kept."""

    read_us: int
    resume_us: int
    max_versions: int
    max_history: int


class Database:
    """One database's documents. Observers are called with each commit that changed something, in order."""

    def __init__(self, path: str, clock: Clock, retention: Retention) -> None:
        self.path = path
        self.documents_path = path + "/documents"
        self.clock = clock
        self._retention = retention
        self.collections: dict[str, Collection] = {}
        self.observers: list[Callable[[Commit], None]] = []
        self.commits = 0
        self._history: deque[CommitRecord] = deque(maxlen=retention.max_history)
        kept_us = max(retention.read_us, retention.resume_us)
        self._versions = VersionLog(kept_us, retention.max_versions, self._forget)

    # -- reading

    def document(self, name: str, at_us: int | None = None) -> DocumentMessage | None:
        """The document at this time (None: now); None if there is no such document."""
        collection = self.collections.get(name.rpartition("/")[0])
        record = collection.records.get(name) if collection is not None else None
        if record is None:
            return None
        return record.latest if at_us is None else record.document_at(at_us)

    def documents(self, collections: Iterable[Collection], at_us: int | None = None) -> Iterator[DocumentMessage]:
        """Every document of the collections, in no order. No commit is allowed during the iteration."""
        for collection in collections:
            for record in collection.records.values():
                document = record.latest if at_us is None else record.document_at(at_us)
                if document is not None:
                    yield document

    def collections_of(self, parent: str, collection_id: str, *, descend: bool) -> list[Collection]:
        """The collection below `parent`; with `descend`, all collections with this ID at any depth
        ("" means any ID).
        """
        if not descend and collection_id:
            found = self.collections.get(f"{parent}/{collection_id}")
            return [] if found is None else [found]
        return [
            collection
            for path, collection in self.collections.items()
            if selects(path, parent, collection_id, descend=descend)
        ]

    def index(self, collection: Collection, ordering: Ordering) -> OrderedIndex:
        """An index of the collection in this order.

        It is made at first use, and replaces the least recently used one.
        """
        index = collection.indexes.pop(ordering.orders, None)
        if index is None:
            if len(collection.indexes) >= MAX_INDEXES:
                del collection.indexes[next(iter(collection.indexes))]
            index = OrderedIndex(ordering).load(self.documents([collection]))
        collection.indexes[ordering.orders] = index
        return index

    def check_read_time(self, at_us: int) -> None:
        """Raise unless the documents at this time are still known."""
        now = self.clock.now()
        if at_us > now:
            raise invalid("The requested 'read_time' cannot be in the future.")
        if at_us < max(self._versions.horizon_us, now - self._retention.read_us):
            raise FirestoreError(grpc.StatusCode.FAILED_PRECONDITION, "The requested 'read_time' is too old.")

    def can_resume(self, at_us: int) -> bool:
        """Whether the changes since then are still known, so that a listener can resume."""
        now = self.clock.now()
        return max(self._versions.horizon_us, now - self._retention.resume_us) <= at_us <= now

    def history(self, collection: str | None = None) -> list[CommitRecord]:
        """The latest commits, oldest first, as many as the store keeps; optionally only those in one collection."""
        if collection is None:
            return list(self._history)
        start = collection + "/"
        picked = (
            (at, {k[len(start) :]: v for k, v in documents.items() if k.startswith(start)})
            for at, documents in self._history
        )
        return [CommitRecord(at, documents) for at, documents in picked if documents]

    # -- writing

    def set(self, path: str, fields: Mapping[str, object], *, merge: bool = False) -> int:
        """Write one document given as plain Python values; return the commit time."""
        return self.commit_plain({path: fields}, merge=merge)

    def commit_plain(self, documents: Mapping[str, Mapping[str, object] | None], *, merge: bool = False) -> int:
        """Write documents in one commit: path below the database ("jobs/a") → plain fields, None deletes.

        `merge` sets the given top-level fields and leaves the others. Returns the commit time.
        """
        return self.commit([self._plain_write(*item, merge) for item in documents.items()]).time_us

    def _plain_write(self, path: str, fields: Mapping[str, object] | None, merge: bool) -> WriteMessage:
        name = f"{self.documents_path}/{path}"
        if fields is None:
            return messages.Write(delete=name)
        write = messages.Write()
        write.update.name = name
        plain.encode_fields(fields, write.update.fields)
        if merge:
            write.update_mask.field_paths.extend(
                "`" + key.replace("\\", "\\\\").replace("`", "\\`") + "`" for key in fields
            )
        return write

    def commit(self, writes: Sequence[WriteMessage]) -> Commit:
        """Apply all writes in order as one change, or none of them. Raises FirestoreError.

        The database takes the writes over: it cuts the timestamps in them to microseconds.
        """
        for write in writes:
            take_over_write(write, self.path)
        time_us = self.clock.next_commit_time()
        before: dict[str, DocumentMessage | None] = {}
        staged: dict[str, DocumentMessage | None] = {}
        names: list[str] = []
        transform_results = []
        for write in writes:
            name = name_written(write)
            if name not in staged:
                before[name] = staged[name] = self.document(name)
            applied = apply_write(write, staged[name], time_us)
            staged[name] = applied.document
            names.append(name)
            transform_results.append(applied.transform_results)
        changes = [
            Change(name, before[name], after)
            for name, after in staged.items()
            if after != before[name]  # both have the old update time here, so equal means unchanged
        ]
        for change in changes:
            if change.after is not None:
                messages.set_time(change.after.update_time, time_us)
        if changes:
            self._take_over(time_us, changes)
        update_times = [
            None if (document := staged[name]) is None else messages.time_of(document.update_time) for name in names
        ]
        commit = Commit(time_us, changes, update_times, transform_results)
        if changes:
            for observer in self.observers:
                observer(commit)
        return commit

    def _take_over(self, time_us: int, changes: Sequence[Change]) -> None:
        self.commits += 1
        for name, _, after in changes:
            path = name.rpartition("/")[0]
            collection = self.collections.get(path)
            if collection is None:
                collection = self.collections[path] = Collection(path)
            collection.changed_us = time_us
            record = collection.records.get(name)
            if record is None:
                record = collection.records[name] = Record(name)
            self._versions.add(record, time_us, after)
            for index in collection.indexes.values():
                index.replace(name, after)
        self._versions.prune(time_us)
        if self._retention.max_history:
            skipped = len(self.documents_path) + 1
            self._history.append(
                CommitRecord(
                    time_us,
                    {
                        name[skipped:]: None if after is None else plain.decode_document(after)
                        for name, _, after in changes
                    },
                )
            )

    def _forget(self, record: Record) -> None:
        """Drop a deleted document whose last version is past the retention."""
        path = record.name.rpartition("/")[0]
        collection = self.collections[path]
        del collection.records[record.name]
        if not collection.records:
            del self.collections[path]


def selects(path: str, parent: str, collection_id: str, *, descend: bool) -> bool:
    """Whether a query from `parent` over `collection_id` covers the collection at `path`."""
    above, _, last = path.rpartition("/")
    if collection_id and last != collection_id:
        return False
    return above == parent or (descend and above.startswith(parent + "/"))
