"""The Listen protocol without I/O: what Firestore sent goes in, consistent points come out.

One object outlives all its streams: it keeps the documents' versions and the resume token. `open` begins a stream;
`receive` takes each ListenResponse (raw protobuf) in order; `take` says that the consumer has taken a point over,
and only then is its token Firestore's word to resume from. Requests are returned for the driver to send. Knows
neither clock nor loop nor client.

The rules are those of `google/cloud/firestore_v1/types/firestore.py` (TargetChange, ExistenceFilter). A stream has
several targets: the model's window, and probes. A probe is a target of one document that doesn't exist; Firestore
answers it with a consistent point of the *whole* stream, so its answer confirms the window as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import grpc
from google.cloud.firestore_v1.types import ListenRequest, StructuredQuery, TargetChange

from listeners.events import Changed, Confirmed, Event, Replaced
from listeners.firestore_values import DocumentDecoder, Message, microseconds
from listeners.listener import ListenerFailure, failure_of_status
from listeners.target_result import Difference, TargetResult
from listeners.window import Window

MODEL_TARGET = 1

PROBE_ID = "process-status-probe-that-does-not-exist"
"""A legal document ID that nobody uses: one billed read of nothing."""

_Request = ListenRequest.pb()
_Kind = TargetChange.TargetChangeType
_STATUS = {code.value[0]: code for code in grpc.StatusCode}


class TargetState(Enum):
    """Where one target of the open stream stands."""

    ADDED = "added"
    CURRENT = "current"
    ANSWERED = "answered"  # current at a consistent point: its ADD is answered


@dataclass(frozen=True, slots=True, eq=False)
class ConsistentPoint:
    """Firestore's word that everything received holds together as of `read_time`.

    `answered` names the targets whose ADD it answers: the point reflects what was committed before they were added.
    """

    difference: Difference
    read_time: int
    resume_token: bytes
    answered: tuple[int, ...]

    def event(self, as_of: float) -> Event:
        """What the consumer is told; its lists are the consumer's own."""
        change = self.difference
        if change.is_whole:
            return Replaced(change.upserts, self.read_time, as_of)
        if change.upserts or change.removals:
            return Changed(change.upserts, change.removals, self.read_time, as_of)
        return Confirmed(self.read_time, as_of)


@dataclass(frozen=True, slots=True)
class ProbeRefused:
    """Firestore will not take probe targets; the stream itself goes on."""

    code: grpc.StatusCode
    detail: str


class ListenProtocol:
    """The client's half of every Listen stream of one window."""

    def __init__(self, window: Window, field_names: Sequence[str]) -> None:
        self._window = window
        self._database = window.documents_path.removesuffix("/documents")
        collection_path = f"{window.documents_path}/{window.collection}"
        self._probe_name = f"{collection_path}/{PROBE_ID}"
        self._decoder = DocumentDecoder(collection_path, field_names)
        self._result = TargetResult()
        self._resume_token = b""
        self._targets: dict[int, TargetState] = {}
        self._last_target = MODEL_TARGET
        self._offered: ConsistentPoint | None = None
        self.documents_billed = 0
        """Documents that Firestore has sent and will bill, since the beginning."""
        self.changes_received = 0
        """Messages about documents of the window, since the beginning: while they come, the stream isn't silent."""
        self._on_target_change = {
            _Kind.NO_CHANGE: self._no_change,
            _Kind.ADD: self._added,
            _Kind.REMOVE: self._removed,
            _Kind.CURRENT: self._became_current,
            _Kind.RESET: self._was_reset,
        }
        self._on = {
            "target_change": self._target_changed,
            "document_change": self._document_changed,
            "document_delete": self._document_deleted,
            "document_remove": self._document_removed,
            "filter": self._filtered,
        }

    def __repr__(self) -> str:
        token = "with" if self._resume_token else "without"
        return f"<ListenProtocol {self._result!r}, {token} token, targets {self._targets}>"

    # -- requests

    def open(self) -> Message:
        """Begin a new stream; returns its first request. Resumes from the token, where there is one."""
        self._offered = None
        self._targets = {MODEL_TARGET: TargetState.ADDED}
        self._last_target = MODEL_TARGET
        if self._resume_token:
            self._result.drop_pending()
        else:
            self._result.reset()
        request = _Request(database=self._database)
        target = request.add_target
        target.target_id = MODEL_TARGET
        target.resume_token = self._resume_token
        target.query.parent = self._window.documents_path
        target.query.structured_query.CopyFrom(StructuredQuery.pb(self._window.structured_query()))
        return request

    def add_probe(self) -> tuple[int, Message]:
        """A new probe's target ID, and the request that adds it."""
        self._last_target += 1
        self._targets[self._last_target] = TargetState.ADDED
        request = _Request(database=self._database)
        request.add_target.target_id = self._last_target
        request.add_target.documents.documents.append(self._probe_name)
        return self._last_target, request

    def remove_probe(self, target_id: int) -> Message:
        """The request that removes a probe, answered or given up."""
        self._targets.pop(target_id, None)
        return _Request(database=self._database, remove_target=target_id)

    # -- what the consumer does with a point

    def take(self, point: ConsistentPoint) -> None:
        """The consumer holds what `point` said. Without effect where `forget` came in between."""
        if point is not self._offered:
            return
        self._offered = None
        self._result.take()
        self._resume_token = point.resume_token or self._resume_token

    def forget(self) -> None:
        """What the consumer holds is in doubt: the next stream tells everything. The open one is of no more use."""
        self._offered = None
        self._targets = {}
        self._resume_token = b""
        self._result.forget()

    def forget_token(self) -> None:
        """Firestore refused the target, perhaps for its token: ask again without one."""
        self._resume_token = b""

    # -- responses

    def receive(self, response: Message) -> ConsistentPoint | ProbeRefused | None:
        """One response. A point must be taken (or not) before the next is received. Raises: ListenerFailure."""
        handler = self._on.get(response.WhichOneof("response_type"))
        return None if handler is None else handler(response)

    def _target_changed(self, response: Message) -> ConsistentPoint | ProbeRefused | None:
        change = response.target_change
        handler = self._on_target_change.get(change.target_change_type)
        return None if handler is None else handler(change)

    def _concerned(self, change: Message) -> list[int]:
        """The targets a change names; none means all."""
        return [target for target in change.target_ids or self._targets if target in self._targets]

    def _no_change(self, change: Message) -> ConsistentPoint | None:
        is_consistent = not change.target_ids and change.HasField("read_time")
        if not is_consistent or self._targets.get(MODEL_TARGET, TargetState.ADDED) is TargetState.ADDED:
            return None
        answered = tuple(target for target, state in self._targets.items() if state is TargetState.CURRENT)
        for target in answered:
            self._targets[target] = TargetState.ANSWERED
        self._offered = ConsistentPoint(
            self._result.difference(), microseconds(change.read_time), change.resume_token, answered
        )
        return self._offered

    def _added(self, change: Message) -> None:
        for target in change.target_ids:
            if not 0 < target <= self._last_target:
                raise ListenerFailure("protocol_error", f"Firestore added target {target}, which was not asked for")

    def _removed(self, change: Message) -> ProbeRefused | None:
        code = _STATUS.get(change.cause.code, grpc.StatusCode.UNKNOWN)
        concerned = self._concerned(change)
        if MODEL_TARGET in concerned:
            raise self._target_refused(code, change.cause.message)
        for target in concerned:
            del self._targets[target]
        return ProbeRefused(code, change.cause.message) if concerned and change.cause.code else None

    def _target_refused(self, code: grpc.StatusCode, detail: str) -> ListenerFailure:
        if code is grpc.StatusCode.OK:
            return ListenerFailure("protocol_error", "Firestore removed the target and gave no cause", permanent=True)
        failure = failure_of_status(code, f"Firestore removed the target: {detail}")
        if failure.permanent:
            self.forget_token()
        return failure

    def _became_current(self, change: Message) -> None:
        for target in self._concerned(change):
            if self._targets[target] is TargetState.ADDED:
                self._targets[target] = TargetState.CURRENT

    def _was_reset(self, change: Message) -> None:
        for target in self._concerned(change):
            self._targets[target] = TargetState.ADDED
            if target == MODEL_TARGET:
                self._resume_token = b""
                self._result.reset()

    def _document_changed(self, response: Message) -> None:
        change = response.document_change
        is_member = MODEL_TARGET in change.target_ids
        if not is_member and MODEL_TARGET not in change.removed_target_ids:
            return
        self.documents_billed += 1
        self.changes_received += 1
        document_id = self._id_of(change.document.name)
        if not is_member:
            self._result.remove(document_id, deleted=False)
            return
        update_time = microseconds(change.document.update_time)
        if self._result.version_of(document_id) == update_time:
            self._result.keep(document_id)
        else:
            self._result.upsert(self._decoder.decode(document_id, update_time, change.document))

    def _document_deleted(self, response: Message) -> None:
        self._remove(response.document_delete, deleted=True)

    def _document_removed(self, response: Message) -> None:
        self._remove(response.document_remove, deleted=False)

    def _remove(self, change: Message, *, deleted: bool) -> None:
        targets = change.removed_target_ids
        if not targets or MODEL_TARGET in targets:  # none named: whoever holds it
            self.changes_received += 1
            self._result.remove(self._id_of(change.document), deleted=deleted)
        elif deleted:
            self.documents_billed += 1  # a probe's answer is billed as one read

    def _id_of(self, name: str) -> str:
        document_id = self._decoder.id_of(name)
        if document_id is None:
            raise ListenerFailure("protocol_error", f"{name!r} is not in the collection listened to")
        return document_id

    def _filtered(self, response: Message) -> None:
        expected = response.filter
        if expected.target_id == MODEL_TARGET and expected.count != len(self._result):
            held = len(self._result)
            self.forget_token()
            raise ListenerFailure("filter_mismatch", f"Firestore has {expected.count} documents, held are {held}")
