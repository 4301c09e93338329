"""Converts plain Python values to Firestore values and back, for initial data and for comparison in tests.

The mapping is the client library's: None, bool, int, float, str, bytes, aware datetime, list, dict.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from service.local_firestore import messages
from service.local_firestore.messages import DocumentMessage, ValueMessage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode(value: object) -> ValueMessage:
    """The value as a message. Raises TypeError for a type without a counterpart."""
    if value is None:
        return messages.Value(null_value=0)
    if isinstance(value, bool):
        return messages.Value(boolean_value=value)
    if isinstance(value, int):
        return messages.Value(integer_value=value)
    if isinstance(value, float):
        return messages.Value(double_value=value)
    if isinstance(value, str):
        return messages.Value(string_value=value)
    if isinstance(value, bytes):
        return messages.Value(bytes_value=value)
    return _encode_compound(value)


def _encode_compound(value: object) -> ValueMessage:
    message = messages.Value()
    if isinstance(value, datetime):
        messages.set_time(message.timestamp_value, (value - _EPOCH) // _MICROSECOND)
    elif isinstance(value, Mapping):
        message.map_value.SetInParent()
        encode_fields(value, message.map_value.fields)
    elif isinstance(value, list | tuple):
        message.array_value.SetInParent()
        message.array_value.values.extend(map(encode, value))
    else:
        raise TypeError(f"{type(value).__name__} has no counterpart in Firestore")
    return message


def encode_fields(plain: Mapping[str, object], fields: Any) -> None:
    """Write plain values into a message's field map."""
    for name, value in plain.items():
        fields[name].CopyFrom(encode(value))


def decode(value: ValueMessage) -> Any:
    """The value of a message. References become names, geo points pairs of latitude and longitude."""
    kind = value.WhichOneof("value_type")
    if kind == "timestamp_value":
        return _EPOCH + timedelta(microseconds=messages.time_of(value.timestamp_value))
    if kind == "array_value":
        return [decode(element) for element in value.array_value.values]
    if kind == "map_value":
        return {name: decode(element) for name, element in value.map_value.fields.items()}
    if kind == "geo_point_value":
        return (value.geo_point_value.latitude, value.geo_point_value.longitude)
    return None if kind in {None, "null_value"} else getattr(value, kind)


def decode_document(document: DocumentMessage) -> dict[str, Any]:
    return {name: decode(value) for name, value in document.fields.items()}
