"""The messages for the Listen streams of one database: targets added and removed, and each commit's delta.

Each commit is queued in one step on the event loop's thread, so the queue of a stream has the order of the commits. A
stream gets everything that follows a commit's answer, including answers to probes, after the delta of that commit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from service.local_firestore import messages, responses
from service.local_firestore.database import Commit, Database
from service.local_firestore.errors import FirestoreError, invalid, unimplemented
from service.local_firestore.live_query import Entry, Kind, LiveQuery
from service.local_firestore.messages import DocumentMessage, Message
from service.local_firestore.names import check_document_name
from service.local_firestore.queries import compile_query
from service.local_firestore.stream import ListenStream
from service.local_firestore.tokens import Tokens

LiveKey = tuple[str, bytes]


@dataclass(eq=False, slots=True)
class Target:
    """One target of one stream: a live query's window, or documents by name."""

    id: int
    stream: ListenStream
    key: LiveKey | None = None
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class _Shared:
    """A live query and the targets that get its deltas."""

    live: LiveQuery
    targets: list[Target] = field(default_factory=list)


Parts = list[tuple[Target, Sequence[Entry]]]


class Hub:
    """The targets of one database. `drops_delta` decides for each delta whether to omit its documents."""

    def __init__(self, database: Database, tokens: Tokens, drops_delta: Callable[[], bool]) -> None:
        self._drops_delta = drops_delta
        self._database = database
        self._tokens = tokens
        self._shared: dict[LiveKey, _Shared] = {}
        self._watchers: defaultdict[str, list[Target]] = defaultdict(list)
        self._targets: defaultdict[ListenStream, dict[int, Target]] = defaultdict(dict)
        database.observers.append(self._deliver)

    # -- requests

    def request(self, stream: ListenStream, request: Message) -> None:
        """Execute one ListenRequest. Raises FirestoreError if it breaks the protocol; that ends the stream."""
        kind = request.WhichOneof("target_change")
        if kind == "add_target":
            self._add(stream, request.add_target)
        elif kind == "remove_target":
            if request.remove_target in self._targets[stream]:
                self._remove(self._targets[stream][request.remove_target])
                stream.push([responses.removed(request.remove_target)])
        else:
            raise invalid("A ListenRequest must add or remove a target.")

    def _add(self, stream: ListenStream, message: Message) -> None:
        targets = self._targets[stream]
        if message.target_id < 0 or message.target_id in targets:
            raise invalid(f"Target ID {message.target_id} is negative or in use.")
        target = Target(message.target_id or max(targets, default=0) + 1, stream)
        stream.push([responses.added(target.id)])
        try:
            self._join(target, message)
        except FirestoreError as refused:
            stream.push([responses.removed(target.id, refused.number, refused.message)])
            return
        targets[target.id] = target
        self._send_state(target, message)
        if message.once:
            self._remove(target)
            stream.push([responses.removed(target.id)])

    def _join(self, target: Target, message: Message) -> None:
        kind = message.WhichOneof("target_type")
        if kind == "documents":
            for name in message.documents.documents:
                check_document_name(name, self._database.path)
            target.names = tuple(dict.fromkeys(message.documents.documents))
            for name in target.names:
                self._watchers[name].append(target)
        elif kind == "query":
            self._join_query(target, message.query.parent, message.query.structured_query)
        else:
            raise invalid("A target must have a query or documents.")

    def _join_query(self, target: Target, parent: str, message: Message) -> None:
        target.key = (parent, message.SerializeToString(deterministic=True))
        if target.key not in self._shared:
            query = compile_query(parent, message)
            if query.offset:
                raise unimplemented("an offset in a Listen target")
            self._shared[target.key] = _Shared(LiveQuery(self._database, query))
        self._shared[target.key].targets.append(target)

    def _remove(self, target: Target) -> None:
        del self._targets[target.stream][target.id]
        if target.key is not None:
            shared = self._shared[target.key]
            shared.targets.remove(target)
            if not shared.targets:
                del self._shared[target.key]
        for name in target.names:
            self._watchers[name].remove(target)
            if not self._watchers[name]:
                del self._watchers[name]

    def leave(self, stream: ListenStream) -> None:
        """The stream is over."""
        for target in list(self._targets[stream].values()):
            self._remove(target)
        del self._targets[stream]

    # -- states

    def _send_state(self, target: Target, message: Message) -> None:
        """Send the whole state, or the changes for a resumed target; then CURRENT and a consistent point."""
        since_us = None
        if message.HasField("resume_token"):
            since_us = self._tokens.time_of(message.resume_token)
        elif message.HasField("read_time"):
            since_us = messages.time_of(message.read_time)
        if since_us is not None and self._database.can_resume(since_us):
            now = self._database.clock.now()
            entries = self._entries_since(target, since_us)
            target.stream.push_lazily(responses.of_entry(entry, [target.id], now) for entry in entries)
            if target.key is not None:
                target.stream.push([responses.existence_filter(target.id, self.count(target))])
        else:
            if message.WhichOneof("resume_type") is not None:
                target.stream.push([responses.reset(target.id, self._database.clock.now())])
            self._push_documents(target)
        self._push_current(target)

    def _entries_since(self, target: Target, since_us: int) -> list[Entry]:
        if target.key is not None:
            return self._shared[target.key].live.entries_since(since_us)
        database = self._database
        return [
            _entry_of(name, document)
            for name in target.names
            if (document := database.document(name)) is not database.document(name, since_us)
        ]

    def _push_documents(self, target: Target) -> None:
        now = self._database.clock.now()
        if target.key is not None:
            found = self._shared[target.key].live.documents()
            entries: Iterable[Entry] = (Entry(Kind.CHANGED, each.name, each) for each in found)
        else:
            entries = [_entry_of(name, self._database.document(name)) for name in target.names]
        target.stream.push_lazily(responses.of_entry(entry, [target.id], now) for entry in entries)

    def _push_current(self, target: Target) -> None:
        now = self._database.clock.now()
        token = self._tokens.issue(now)
        target.stream.push([responses.current(target.id, now, token), responses.consistent(now, token)])

    def confirm(self, stream: ListenStream) -> None:
        """Queue a consistent point with the present time: a heartbeat."""
        if self._targets[stream]:
            now = self._database.clock.now()
            stream.push([responses.consistent(now, self._tokens.issue(now))])

    # -- deltas

    def _deliver(self, commit: Commit) -> None:
        by_stream: defaultdict[ListenStream, Parts] = defaultdict(list)
        for shared in self._shared.values():
            covered = [change for change in commit.changes if shared.live.covers(change.name)]
            if covered and (entries := shared.live.apply(covered)):
                for target in shared.targets:
                    by_stream[target.stream].append((target, entries))
        if self._watchers:
            for change in commit.changes:
                for target in self._watchers.get(change.name, ()):
                    by_stream[target.stream].append((target, [_entry_of(change.name, change.after)]))
        if by_stream:
            self._push_delta(by_stream, commit.time_us)

    def _push_delta(self, by_stream: dict[ListenStream, Parts], time_us: int) -> None:
        end = responses.consistent(time_us, self._tokens.issue(time_us))
        is_dropped = self._drops_delta()
        encoded: dict[tuple[int, int], list[bytes]] = {}
        for stream, parts in by_stream.items():
            if is_dropped:
                delta = []
            elif len(parts) == 1:
                target, entries = parts[0]
                key = (id(entries), target.id)
                if key not in encoded:
                    encoded[key] = [responses.of_entry(entry, [target.id], time_us) for entry in entries]
                delta = encoded[key]
            else:
                delta = list(_merged(parts, time_us))
            stream.push([*delta, end])

    # -- faults

    def query_targets(self) -> list[Target]:
        """Every query target of every stream."""
        return [target for shared in self._shared.values() for target in shared.targets]

    def document_targets(self, path: str) -> list[Target]:
        """Every target of every stream that names this document, "jobs/a"."""
        return list(self._watchers.get(f"{self._database.documents_path}/{path}", ()))

    def count(self, target: Target) -> int:
        """The number of documents of a target."""
        if target.key is not None:
            return len(self._shared[target.key].live)
        return sum(self._database.document(name) is not None for name in target.names)

    def send_filter(self, target: Target, count: int) -> None:
        now = self._database.clock.now()
        consistent = responses.consistent(now, self._tokens.issue(now))
        target.stream.push([responses.existence_filter(target.id, count), consistent])

    def send_reset(self, target: Target) -> None:
        target.stream.push([responses.reset(target.id, self._database.clock.now())])
        self._push_documents(target)
        self._push_current(target)

    def send_removed(self, target: Target, code: int, detail: str) -> None:
        self._remove(target)
        target.stream.push([responses.removed(target.id, code, detail)])


def _entry_of(name: str, document: DocumentMessage | None) -> Entry:
    return Entry(Kind.DELETED, name) if document is None else Entry(Kind.CHANGED, name, document)


def _merged(parts: Parts, time_us: int) -> Iterator[bytes]:
    """The messages for several targets of one stream: each document once, with all targets that it
    is in or has left.
    """
    by_name: defaultdict[str, list[tuple[int, Entry]]] = defaultdict(list)
    for target, entries in parts:
        for entry in entries:
            by_name[entry.name].append((target.id, entry))
    for found in by_name.values():
        left = [target_id for target_id, entry in found if entry.kind is not Kind.CHANGED]
        versions: dict[bytes, tuple[Entry, list[int]]] = {}
        for target_id, entry in found:
            if entry.document is not None:  # targets with different projections get different documents
                same = entry.document.SerializeToString(deterministic=True)
                versions.setdefault(same, (entry, []))[1].append(target_id)
        for entry, target_ids in versions.values():
            yield responses.of_entry(entry, target_ids, time_us, left)
            left = []
        if left:
            yield responses.of_entry(found[0][1], left, time_us)
