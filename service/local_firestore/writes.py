"""One Write applied to one document: preconditions, update with mask, delete, field transforms. Pure.

What comes out is a new message or None (deleted); the current one is never changed. Whether the result differs
from what was there, and which update time it gets, is the commit's business.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from service.local_firestore import messages
from service.local_firestore.errors import FirestoreError, invalid
from service.local_firestore.messages import DocumentMessage, ValueMessage, WriteMessage
from service.local_firestore.paths import (
    NAME,
    check_fields,
    delete_field,
    field_of,
    parse_field_path,
    set_field,
)
from service.local_firestore.values import sort_key

_MAX_DOCUMENT_BYTES = 1024 * 1024
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_NUMBERS = {"integer_value", "double_value"}


@dataclass(frozen=True, slots=True)
class Applied:
    """The document after one write, None if it is gone, and what the transforms answered."""

    document: DocumentMessage | None
    transform_results: Sequence[ValueMessage] = ()


def name_written(write: WriteMessage) -> str:
    kind = write.WhichOneof("operation")
    if kind == "update":
        return str(write.update.name)
    if kind == "delete":
        return str(write.delete)
    if kind == "transform":
        return str(write.transform.document)
    raise invalid("A write must have an operation.")


def apply_write(write: WriteMessage, current: DocumentMessage | None, time_us: int) -> Applied:
    """Raises FirestoreError where the precondition fails or the write is malformed."""
    if write.HasField("current_document"):
        _check_precondition(write.current_document, current, name_written(write))
    kind = write.WhichOneof("operation")
    if kind == "delete":
        return Applied(None)
    transforms = write.transform.field_transforms if kind == "transform" else write.update_transforms
    document = _transformed_base(write, current) if kind == "transform" else _updated(write, current)
    if current is None:
        messages.set_time(document.create_time, time_us)
    else:
        document.create_time.CopyFrom(current.create_time)
        document.update_time.CopyFrom(current.update_time)
    results = [_transform(document, transform, time_us) for transform in transforms] if transforms else ()
    if document.ByteSize() > _MAX_DOCUMENT_BYTES:
        raise invalid(f'Document "{document.name}" exceeds the maximum size of 1 MiB.')
    return Applied(document, results)


def _check_precondition(condition: Any, current: DocumentMessage | None, name: str) -> None:
    kind = condition.WhichOneof("condition_type")
    if kind == "exists" and condition.exists and current is None:
        raise FirestoreError(grpc.StatusCode.NOT_FOUND, f"No document to update: {name}")
    if kind == "exists" and not condition.exists and current is not None:
        raise FirestoreError(grpc.StatusCode.ALREADY_EXISTS, f"Document already exists: {name}")
    if kind == "update_time" and (current is None or current.update_time != condition.update_time):
        stored = 0 if current is None else messages.time_of(current.update_time)
        required = messages.time_of(condition.update_time)
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
    check_fields(write.update.fields)
    if not write.HasField("update_mask"):
        document.CopyFrom(write.update)  # a copy: the original would keep its whole request in memory
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


def _transform(document: DocumentMessage, transform: Any, time_us: int) -> ValueMessage:
    """Apply one field transform in place; return what the write result says of it."""
    path = parse_field_path(transform.field_path)
    if path == NAME:
        raise invalid("Cannot transform __name__.")
    kind = transform.WhichOneof("transform_type")
    current = field_of(document, path)
    if kind == "set_to_server_value":
        value = messages.Value()
        messages.set_time(value.timestamp_value, time_us - time_us % 1000)  # the protocol's millisecond precision
        set_field(document, path, value)
        return value
    if kind in _NUMERIC:
        value = _numeric(kind, getattr(transform, kind), current)
        set_field(document, path, value)
        return value
    if kind in _ARRAYS:
        value = messages.Value()
        present = _elements(current)
        value.array_value.SetInParent()
        value.array_value.values.extend(_ARRAYS[kind](present, getattr(transform, kind).values))
        set_field(document, path, value)
        return messages.Value(null_value=0)
    raise invalid("A field transform must have a type.")


def _elements(value: ValueMessage | None) -> Sequence[ValueMessage]:
    if value is None or value.WhichOneof("value_type") != "array_value":
        return ()
    elements: Sequence[ValueMessage] = value.array_value.values
    return elements


def _number_of(value: ValueMessage) -> int | float:
    number: int | float = getattr(value, value.WhichOneof("value_type"))
    return number


def _numeric(kind: str, operand: ValueMessage, current: ValueMessage | None) -> ValueMessage:
    if operand.WhichOneof("value_type") not in _NUMBERS:
        raise invalid(f"The operand of {kind} must be a number.")
    if current is None or current.WhichOneof("value_type") not in _NUMBERS:
        return operand
    return _NUMERIC[kind](current, operand)


def _increment(current: ValueMessage, operand: ValueMessage) -> ValueMessage:
    total = _number_of(current) + _number_of(operand)
    if isinstance(total, int):
        return messages.Value(integer_value=max(_INT64_MIN, min(_INT64_MAX, total)))
    return messages.Value(double_value=total)


def _maximum(current: ValueMessage, operand: ValueMessage) -> ValueMessage:
    either_nan = next((value for value in (current, operand) if _number_of(value) != _number_of(value)), None)
    if either_nan is not None:
        return either_nan
    return operand if _number_of(operand) > _number_of(current) else current


def _minimum(current: ValueMessage, operand: ValueMessage) -> ValueMessage:
    either_nan = next((value for value in (current, operand) if _number_of(value) != _number_of(value)), None)
    if either_nan is not None:
        return either_nan
    return operand if _number_of(operand) < _number_of(current) else current


def _with_missing(present: Sequence[ValueMessage], elements: Sequence[ValueMessage]) -> list[ValueMessage]:
    result = list(present)
    held = {sort_key(value) for value in present}
    for element in elements:
        key = sort_key(element)
        if key not in held:
            held.add(key)
            result.append(element)
    return result


def _without(present: Sequence[ValueMessage], elements: Sequence[ValueMessage]) -> list[ValueMessage]:
    unwanted = {sort_key(element) for element in elements}
    return [value for value in present if sort_key(value) not in unwanted]


_NUMERIC: dict[str, Callable[[ValueMessage, ValueMessage], ValueMessage]] = {
    "increment": _increment,
    "maximum": _maximum,
    "minimum": _minimum,
}
_ARRAYS: dict[str, Callable[[Sequence[ValueMessage], Sequence[ValueMessage]], list[ValueMessage]]] = {
    "append_missing_elements": _with_missing,
    "remove_all_from_array": _without,
}
