"""The Listen protocol without I/O: Firestore's responses go in, consistent points come out.

One object lives longer than its streams: it keeps the versions of the documents, and the resume token. `open` begins a
stream. `receive` takes its parsed responses in order. `take` says that the consumer holds a point; only then can a
stream resume from the token of that point. Methods return the requests that the driver must send. This module knows
no clock, no event loop and no client.

The rules are those of `google/cloud/firestore_v1/types/firestore.py` (TargetChange, ExistenceFilter). A stream has
several targets: the window, documents followed one by one, and probes. A consistent point holds for the window and for
each document that is current. A probe is a target of one document that does not exist: the point that answers it
confirms all other targets. If Firestore ends the window's target, the stream ends; if it ends another target, only that
target ends.
"""

from collections.abc import Callable, Collection

from google.cloud.firestore_v1.types import TargetChange

from listeners.events import Document
from listeners.field_paths import Projection
from listeners.firestore_values import DocumentDecoder, Message, microseconds
from listeners.lazy_messages import parse_listen
from listeners.listener import ListenerFailure
from listeners.stream.consistent_point import ConsistentPoint, StreamEvent, TargetsEnded
from listeners.stream.listen_requests import ListenRequests
from listeners.stream.target_failures import filter_mismatch, removal_failure
from listeners.stream.targets import Target, Targets, TargetState
from listeners.window import PROBE_ID, Window

MODEL_TARGET = 1

_Kind = TargetChange.TargetChangeType


class ListenProtocol:
    """The client's side of the Listen streams of one window."""

    def __init__(self, window: Window, projection: Projection) -> None:
        self._requests = ListenRequests(window)
        self._path = window.path
        self._decoder = DocumentDecoder(projection.of_message)
        self._field_names = projection.roots
        self._targets = Targets(has_foreign=self._path.is_group)
        self._window = self._targets.window
        self._resume_token = b""
        self._offered: ConsistentPoint | None = None
        self.documents_billed = 0  # documents that Firestore has sent and will bill, since the beginning
        self.changes_received = 0  # messages about documents: while they come, the stream is not silent
        self._on_target_change: dict[int, Callable[[Message], StreamEvent | None]] = {
            int(_Kind.NO_CHANGE): self._no_change,  # a plain number: comparing it is much faster than an enum
            int(_Kind.ADD): self._added,
            int(_Kind.REMOVE): self._removed,
            int(_Kind.CURRENT): self._became_current,
            int(_Kind.RESET): self._was_reset,
        }
        self._on: dict[str, Callable[[Message], StreamEvent | None]] = {
            "target_change": self._target_changed,
            "document_change": self._document_changed,
            "document_delete": self._document_deleted,
            "document_remove": self._document_removed,
            "filter": self._filtered,
        }

    def __repr__(self) -> str:
        token = "with" if self._window.can_resume else "without"
        return f"<ListenProtocol {self._window.result!r}, {token} token, {len(self._targets)} targets>"

    # -- requests

    def open(self) -> list[Message]:
        """Begin a new stream, and return its first requests. Each target resumes from the token that covers it."""
        self._offered = None
        self._targets.begin(self._resume_token)
        return [self._add(target) for target in self._targets.lasting()]

    def add_document(self, document_id: str) -> list[Message]:
        """Follow a document on this stream and the following ones, or add an ended one again. Returns the requests."""
        target = self._targets.documents.setdefault(document_id, Target(document_id))
        return [*self._withdraw(target), self._add(target)]

    def remove_document(self, document_id: str) -> list[Message]:
        """Stop following a document. Returns the requests to send."""
        return self._withdraw(self._targets.documents.pop(document_id))

    def add_probe(self) -> tuple[int, Message]:
        """The target ID of a new probe, and the request that adds it."""
        probe = Target(self._path.key_below_one(PROBE_ID))
        request = self._add(probe)
        return probe.id, request

    def remove_probe(self, target_id: int) -> Message:
        """The request that removes a probe which was answered or given up."""
        for probe in self._targets.named([target_id]):
            self._targets.withdraw(probe)
        return self._requests.remove(target_id)

    def _add(self, target: Target) -> Message:
        self._targets.add(target)
        return self._requests.add(target)

    def _withdraw(self, target: Target) -> list[Message]:
        """Remove a target from the stream, if Firestore still has it there."""
        return [self._requests.remove(target.id)] if self._targets.withdraw(target) else []

    # -- what the consumer does with a point

    def current_documents(self) -> Collection[str]:
        """The followed documents for which the last point holds."""
        documents = self._targets.documents.items()
        return [document_id for document_id, target in documents if target.state is TargetState.ANSWERED]

    def take(self, point: ConsistentPoint) -> None:
        """The consumer holds the point now. Has no effect if `forget` was called meanwhile."""
        if point is not self._offered:
            return
        point.finish()
        self._offered = None
        self._resume_token = point.resume_token or self._resume_token
        self._window.take(has_token=bool(point.resume_token))
        for target, _ in point.documents:
            if target.is_current:  # otherwise it was added again meanwhile
                target.take(has_token=bool(point.resume_token))

    def forget(self) -> None:
        """The consumer's documents are in doubt: the next stream loads all of them.

        The open one cannot be used any more.
        """
        self._offered = None
        self._targets.forget()

    def forget_token(self) -> None:
        """Firestore refused the stream, perhaps because of its token: the next stream has none."""
        self._targets.forget_token()

    # -- responses

    def parse(self, response: bytes) -> Message:
        """Parse a response, as far as the listener needs it. Raises: DecodeError."""
        return parse_listen(response, self._field_names)

    def receive(self, response: Message) -> StreamEvent | None:
        """Take one response. A point must be taken (or dropped) before the next response. Raises: ListenerFailure."""
        handler = self._on.get(response.WhichOneof("response_type"))
        return None if handler is None else handler(response)

    def _target_changed(self, response: Message) -> StreamEvent | None:
        change = response.target_change
        handler = self._on_target_change.get(change.target_change_type)
        return None if handler is None else handler(change)

    def _no_change(self, change: Message) -> ConsistentPoint | None:
        is_consistent = not change.target_ids and change.HasField("read_time")
        if not is_consistent or not self._window.is_current:
            return None
        answered = self._targets.answer()
        self._offered = ConsistentPoint(
            self._window.difference(),
            [(target, target.difference()) for target in self._targets.take_news()],
            microseconds(change.read_time),
            change.resume_token,
            answered,
        )
        return self._offered

    def _added(self, change: Message) -> None:
        for target_id in change.target_ids:
            if not 0 < target_id <= self._targets.last_id:
                raise ListenerFailure("protocol_error", f"Firestore added target {target_id}, which was not asked for")

    def _removed(self, change: Message) -> TargetsEnded | None:
        concerned = self._targets.concerned(change.target_ids)
        failure = removal_failure(change.cause)
        if self._window in concerned:
            if failure.permanent:
                self.forget_token()
            raise failure
        for target in concerned:
            self._targets.withdraw(target)
        followed = self._targets.followed(concerned)
        has_probe = len(followed) < len(concerned) and change.cause.code != 0
        return TargetsEnded(failure, followed, has_probe) if followed or has_probe else None

    def _became_current(self, change: Message) -> None:
        for target in self._targets.concerned(change.target_ids):
            if target.state is TargetState.ADDED:
                target.state = TargetState.CURRENT
                self._targets.note(target)

    def _was_reset(self, change: Message) -> None:
        for target in self._targets.concerned(change.target_ids):
            target.reset()

    def _document_changed(self, response: Message) -> None:
        change = response.document_change
        members, leavers = self._targets.named(change.target_ids), self._targets.named(change.removed_target_ids)
        if not members and not leavers:
            return
        self.documents_billed += 1
        self.changes_received += 1
        document_id = self._id_of(change.document.name)
        for target in leavers:
            self._remove(target, document_id, deleted=False)
        update_time = microseconds(change.document.update_time)
        document: Document | None = None  # decoded once, and only if a target does not hold this version yet
        for target in members:
            self._targets.note(target)
            result = target.result if target.foreign is None else target.result_of(document_id)
            if result.version_of(document_id) == update_time:
                result.keep(document_id)
            else:
                document = document or self._decoder.decode(document_id, update_time, change.document)
                result.upsert(document)

    def _document_deleted(self, response: Message) -> None:
        change = response.document_delete
        for target in self._left(change):
            # Firestore bills one read if a document that was requested by name does not exist.
            self.documents_billed += target.document_id is not None and target.state is TargetState.ADDED
            self._remove(target, self._id_of(change.document), deleted=True)

    def _document_removed(self, response: Message) -> None:
        change = response.document_remove
        for target in self._left(change):
            self._remove(target, self._id_of(change.document), deleted=False)

    def _left(self, change: Message) -> list[Target]:
        """The targets whose result no longer contains the document. If the message names none, all that hold it."""
        self.changes_received += 1
        return self._targets.concerned(change.removed_target_ids)

    def _remove(self, target: Target, document_id: str, *, deleted: bool) -> None:
        self._targets.note(target)
        target.result_of(document_id).remove(document_id, deleted=deleted)

    def _id_of(self, name: str) -> str:
        document_id = self._path.key_of(name)
        if document_id is None:
            raise ListenerFailure("protocol_error", f"{name!r} is not in the collection listened to")
        return document_id

    def _filtered(self, response: Message) -> TargetsEnded | None:
        expected = response.filter
        target = self._targets.get(expected.target_id)
        if target is None or expected.count == target.count:
            return None
        failure = filter_mismatch(expected.count, target.count)
        if target is self._window:
            target.can_resume = False
            raise failure
        if target.document_id is not None and not expected.count:  # for a single document, this says that it is gone
            self._remove(target, target.document_id, deleted=True)
            return None
        target.reset()
        followed = self._targets.followed((target,))
        return TargetsEnded(failure, followed) if followed else None
