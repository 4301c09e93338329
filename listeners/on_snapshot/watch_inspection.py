"""The events of a Watch, and the inspection of Firestore's responses before the library handles them.

Runs in the library's threads; knows no event loop, and of the library's Watch nothing but its target's number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.types import TargetChange
from google.cloud.firestore_v1.watch import WATCH_TARGET_ID

from listeners.events import Document
from listeners.field_paths import Projection
from listeners.listener import ListenerFailure, failure_of_os_error, failure_of_status

STATUS_OF_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
SCALAR_KINDS = frozenset(
    {
        "null_value",
        "boolean_value",
        "integer_value",
        "double_value",
        "timestamp_value",
        "string_value",
        "bytes_value",
    }
)


@dataclass(frozen=True, slots=True)
class Opened:
    """Firestore's first answer."""


@dataclass(frozen=True, slots=True)
class DocumentsRead:
    """Firestore has sent, and will bill, this many documents."""

    count: int


@dataclass(frozen=True, slots=True)
class Point:
    """A consistent point. Without changes, the result is still the same. `read_time` is in microseconds since the
    epoch.

    `foreign`: see `events`.
    """

    upserts: list[Document]
    removed_ids: Sequence[str]
    read_time: int
    foreign: int = 0


WatchEvent = Opened | DocumentsRead | Point | ListenerFailure
Emit = Callable[[WatchEvent], None]


def failure_of_error(error: object) -> ListenerFailure:
    """Why the library gave up, from the reason it gave; None and an exhausted iterator mean a graceful end."""
    if error is None or isinstance(error, StopIteration):
        return ListenerFailure("end_of_stream")
    if isinstance(error, GoogleAuthError):
        return ListenerFailure("unauthenticated", str(error), permanent=not error.retryable)
    if isinstance(error, OSError):
        return failure_of_os_error(error)
    if isinstance(error, exceptions.GoogleAPICallError) and error.grpc_status_code is not None:
        code, detail = error.grpc_status_code, error.message or ""
    elif isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        code, detail = error.code(), error.details() or ""
    else:
        return ListenerFailure("protocol_error", repr(error))
    return ListenerFailure("end_of_stream") if code is grpc.StatusCode.OK else failure_of_status(code, detail)


def is_of_probe(kind: str | None, part: Any) -> bool:
    """Whether this part of a response concerns only targets of probes. `kind` is the name of the part."""
    match kind:
        case "target_change":
            ids = part.target_ids
        case "document_change":
            ids = (*part.target_ids, *part.removed_target_ids)
        case "document_delete" | "document_remove":
            ids = part.removed_target_ids
        case "filter":
            ids = (part.target_id,)
        case _:
            return False
    return bool(ids) and min(ids) > WATCH_TARGET_ID


class Inspector:
    """Sees every response before the library, and emits events that the library does not report."""

    def __init__(self, emit: Emit, projection: Projection) -> None:
        self.emit = emit
        self._projection = projection
        self._streams = 0
        self._documents_read = 0

    def suspicion(self, response: Any, documents_held: Callable[[], int]) -> ListenerFailure | None:
        """The reason why the watch must not go on, if there is one. `response` is the bare protobuf message."""
        match response.WhichOneof("response_type"):
            case "document_change":
                self._documents_read += 1
                self._keep_scalars(response.document_change.document.fields)
            case "target_change":
                self.emit_documents_read()
                return self._suspicion_of_target(response.target_change)
            case "filter" if response.filter.count != (held := documents_held()):
                return ListenerFailure(
                    "filter_mismatch", f"Firestore has {response.filter.count}, the watch has {held}"
                )
        return None

    def is_of_probe(self, response: Any) -> bool:
        """Whether the response concerns only a probe: the library would apply it to its own target."""
        kind = response.WhichOneof("response_type")
        if not is_of_probe(kind, getattr(response, kind or "target_change")):
            return False
        self._documents_read += kind in ("document_change", "document_delete", "document_remove")
        return True

    def emit_documents_read(self) -> None:
        if self._documents_read:
            self.emit(DocumentsRead(self._documents_read))
            self._documents_read = 0

    def _suspicion_of_target(self, change: Any) -> ListenerFailure | None:
        if change.target_change_type == TargetChange.TargetChangeType.REMOVE:
            code = STATUS_OF_NUMBER.get(change.cause.code or grpc.StatusCode.INTERNAL.value[0])
            return failure_of_status(code or grpc.StatusCode.UNKNOWN, change.cause.message or "target removed")
        if change.target_change_type == TargetChange.TargetChangeType.ADD:
            self._streams += 1
            if self._streams > 1:
                return ListenerFailure("reopened", "the library reopened its stream by itself")
        return None

    def _keep_scalars(self, fields: Any) -> None:
        """Remove values that are not in the projection, or on which the library can fail, before it decodes them."""
        for name in list(fields):
            if name not in self._projection.roots:
                del fields[name]
            elif name not in self._projection.structures and fields[name].WhichOneof("value_type") not in SCALAR_KINDS:
                fields[name].Clear()
                fields[name].map_value.SetInParent()
