"""One Write: its own faults, and its effect on one document.

The result is a new message, or None (deleted); the present one is never changed. The commit decides whether the result
differs from the present document, and which update time it gets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from service.local_firestore import messages
from service.local_firestore.errors import FirestoreError, invalid
from service.local_firestore.messages import DocumentMessage, ValueMessage, WriteMessage
from service.local_firestore.names import check_document_name, check_key_size
from service.local_firestore.paths import delete_field, field_of, parse_field_path, set_field
from service.local_firestore.sizes import check_size
from service.local_firestore.storable import take_over_fields
from service.local_firestore.transforms import apply_transform, take_over_transforms


@dataclass(frozen=True, slots=True)
class Applied:
    """The document after one write (None: deleted), and the results of the transforms."""

    document: DocumentMessage | None
    transform_results: Sequence[ValueMessage] = ()


def name_written(write: WriteMessage) -> str:
    kind = write.WhichOneof("operation")
    if kind == "update":
        return str(write.update.name)
    return str(write.delete if kind == "delete" else write.transform.document)


def take_over_write(write: WriteMessage, database: str) -> None:
    """Raise if Firestore refuses the write for every document. Cuts its timestamps to microseconds."""
    kind = write.WhichOneof("operation")
    if kind is None:
        raise invalid("empty write operation")
    check_document_name(name_written(write), database)
    if write.current_document.HasField("update_time"):
        messages.exact_time_of(write.current_document.update_time)
    if kind == "transform":
        if not write.transform.field_transforms:
            raise invalid("The list of FieldTransform must not be empty.")
        take_over_transforms(write.transform.field_transforms)
    elif kind == "update":
        take_over_fields(write.update.fields)
        for path in write.update_mask.field_paths:
            parse_field_path(path)
        take_over_transforms(write.update_transforms)
    elif write.HasField("update_mask"):
        raise invalid("a delete must not specify a document mask.")
    elif write.update_transforms:
        raise invalid("a delete must not specify a update transform.")


def apply_write(write: WriteMessage, current: DocumentMessage | None, time_us: int) -> Applied:
    """The effect of a write, which was taken over, on the document. Raises FirestoreError if it cannot be applied."""
    if write.HasField("current_document"):
        _check_precondition(write.current_document, current, name_written(write))
    kind = write.WhichOneof("operation")
    if kind == "delete":
        return Applied(None)
    transforms = write.transform.field_transforms if kind == "transform" else write.update_transforms
    document = _transformed_base(write, current) if kind == "transform" else _updated(write, current)
    check_key_size(document.name)
    if current is None:
        messages.set_time(document.create_time, time_us)
    else:
        document.create_time.CopyFrom(current.create_time)
        document.update_time.CopyFrom(current.update_time)
    results = [apply_transform(document, transform, time_us) for transform in transforms] if transforms else ()
    check_size(document)
    return Applied(document, results)


def _check_precondition(condition: Any, current: DocumentMessage | None, name: str) -> None:
    kind = condition.WhichOneof("condition_type")
    if kind == "exists" and condition.exists and current is None:
        raise FirestoreError(grpc.StatusCode.NOT_FOUND, f"No document to update: {name}")
    if kind == "exists" and not condition.exists and current is not None:
        raise FirestoreError(grpc.StatusCode.ALREADY_EXISTS, f"Document already exists: {name}")
    if kind == "update_time":
        stored = 0 if current is None else messages.time_of(current.update_time)
        required = messages.time_of(condition.update_time)
        if current is not None and required > stored:
            raise invalid(f"Invalid base version, it is greater than the stored version: {name}")
        if current is None or required != stored:
            raise FirestoreError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the stored version ({stored}) does not match the required base version ({required})",
            )


def _transformed_base(write: WriteMessage, current: DocumentMessage | None) -> DocumentMessage:
    document = messages.Document(name=write.transform.document)
    if current is not None:
        document.CopyFrom(current)
    return document


def _updated(write: WriteMessage, current: DocumentMessage | None) -> DocumentMessage:
    document = messages.Document()
    if not write.HasField("update_mask"):
        document.CopyFrom(write.update)  # a copy, because the original would keep its whole request in memory
        document.ClearField("create_time")
        document.ClearField("update_time")
        return document
    if current is None:
        document.name = write.update.name
    else:
        document.CopyFrom(current)
    for text in write.update_mask.field_paths:
        path = parse_field_path(text)
        value = field_of(write.update, path)
        if value is None:
            delete_field(document, path)
        else:
            set_field(document, path, value)
    return document
