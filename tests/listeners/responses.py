"""ListenResponses as Firestore sends them, one function a message; times are whole microseconds."""

from collections.abc import Sequence
from typing import Any

from google.cloud.firestore_v1.types import ListenResponse

from listeners.stream.listen_protocol import MODEL_TARGET
from listeners.window import Window
from tests.listeners.wanted import by

WINDOW = Window("p", "(default)", "jobs", by("timestamp"), 10)
COLLECTION = "projects/p/databases/(default)/documents/jobs"
FIELDS = ("status", "products_processed")

Response = ListenResponse.pb()
NO_CHANGE, ADD, REMOVE, CURRENT, RESET = range(5)
MODEL = (MODEL_TARGET,)


def _at(timestamp: Any, microseconds: int) -> None:
    timestamp.seconds, micros = divmod(microseconds, 1_000_000)
    timestamp.nanos = micros * 1_000


def target_change(
    kind: int, targets: Sequence[int] = (), *, read_time: int = 0, token: bytes = b"", code: int = 0, why: str = ""
) -> Any:
    response = Response()
    change = response.target_change
    change.target_change_type = kind
    change.target_ids.extend(targets)
    change.resume_token = token
    if read_time:
        _at(change.read_time, read_time)
    if code:
        change.cause.code, change.cause.message = code, why
    return response


def added(*targets: int) -> Any:
    return target_change(ADD, targets or MODEL)


def current(*targets: int) -> Any:
    return target_change(CURRENT, targets or MODEL)


def reset(*targets: int) -> Any:
    return target_change(RESET, targets or MODEL)


def point(read_time: int, token: bytes = b"") -> Any:
    """NO_CHANGE for all targets with a read time: a consistent point."""
    return target_change(NO_CHANGE, read_time=read_time, token=token)


def removed_target(*targets: int, code: int = 0, why: str = "") -> Any:
    return target_change(REMOVE, targets or MODEL, code=code, why=why)


def changed(
    document_id: str,
    version: int,
    *,
    status: str = "running",
    targets: Sequence[int] = MODEL,
    left: Sequence[int] = (),
    collection: str = COLLECTION,
) -> Any:
    response = Response()
    change = response.document_change
    change.document.name = f"{collection}/{document_id}"
    _at(change.document.update_time, version)
    change.document.fields["status"].string_value = status
    change.document.fields["products"].array_value.values.add().string_value = "never looked at"
    change.target_ids.extend(targets)
    change.removed_target_ids.extend(left)
    return response


def deleted(document_id: str, *, targets: Sequence[int] = MODEL) -> Any:
    response = Response()
    response.document_delete.document = f"{COLLECTION}/{document_id}"
    response.document_delete.removed_target_ids.extend(targets)
    return response


def removed(document_id: str, *, targets: Sequence[int] = MODEL) -> Any:
    response = Response()
    response.document_remove.document = f"{COLLECTION}/{document_id}"
    response.document_remove.removed_target_ids.extend(targets)
    return response


def existence_filter(count: int, target: int = MODEL_TARGET) -> Any:
    response = Response()
    response.filter.target_id, response.filter.count = target, count
    return response
