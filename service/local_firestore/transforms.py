"""Field transforms: computed on the server, from the field's value and the transform's operand."""

from collections.abc import Callable, Sequence
from typing import Any

from service.local_firestore import messages
from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, ValueMessage
from service.local_firestore.paths import NAME, field_of, parse_field_path, set_field
from service.local_firestore.storable import Place, check_depth, take_over_value
from service.local_firestore.values import sort_key

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_NUMBERS = {"integer_value", "double_value"}
_REQUEST_TIME = 1


def take_over_transforms(transforms: Sequence[Any]) -> None:
    """Raise if Firestore refuses the transforms for every document. Operands are treated like fields."""
    paths = []
    for transform in transforms:
        path = parse_field_path(transform.field_path)
        if path == NAME:
            raise invalid("the name __key__ is reserved")
        check_depth(path)
        paths.append(path)
        _take_over_operand(transform, Place(path[0], 0, depth=len(path), is_in_map=len(path) > 1))
    for path in paths:
        for other in paths:
            if len(other) > len(path) and other[: len(path)] == path:
                raise invalid(f"Cannot transform property {'.'.join(path)} and its nested property at the same time.")


def _take_over_operand(transform: Any, place: Place) -> None:
    kind = transform.WhichOneof("transform_type")
    if kind is None:
        raise invalid("Operation type must be specified for field transformation.")
    if kind == "set_to_server_value" and transform.set_to_server_value != _REQUEST_TIME:
        raise invalid("ServerValue type must be specified for set_to_server_value transformation.")
    if kind in _NUMERIC and getattr(transform, kind).WhichOneof("value_type") not in _NUMBERS:
        raise invalid("Input must be int64 or double.")
    if kind in _ARRAYS:
        for element in getattr(transform, kind).values:
            take_over_value(element, place)


def apply_transform(document: DocumentMessage, transform: Any, time_us: int) -> ValueMessage:
    """Apply one field transform in place; return its part of the write result."""
    path = parse_field_path(transform.field_path)
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
    value = messages.Value()
    value.array_value.SetInParent()
    value.array_value.values.extend(_ARRAYS[kind](_elements(current), getattr(transform, kind).values))
    set_field(document, path, value)
    return messages.Value(null_value=0)


def _elements(value: ValueMessage | None) -> Sequence[ValueMessage]:
    if value is None or value.WhichOneof("value_type") != "array_value":
        return ()
    elements: Sequence[ValueMessage] = value.array_value.values
    return elements


def _number_of(value: ValueMessage) -> int | float:
    number: int | float = getattr(value, value.WhichOneof("value_type"))
    return number


def _numeric(kind: str, operand: ValueMessage, current: ValueMessage | None) -> ValueMessage:
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
