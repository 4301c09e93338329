"""The sizes of documents and values, by Firestore's documentation, "Storage size calculations"."""

from collections.abc import Mapping

from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, ValueMessage
from service.local_firestore.names import ids_of
from service.local_firestore.typed_maps import is_vector

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_OPERAND_BYTES = 1500
"""The largest value in a filter."""

_MAX_GROWTH = 4
"""A value counts for at most this many times its bytes in the protocol (a geo point at 0, 0 does)."""

_FIXED_SIZES = {"null_value": 1, "boolean_value": 1, "integer_value": 8, "double_value": 8, "timestamp_value": 8}


def check_size(document: DocumentMessage) -> None:
    if document.ByteSize() * _MAX_GROWTH > MAX_DOCUMENT_BYTES and document_size(document) > MAX_DOCUMENT_BYTES:
        raise invalid(f"maximum entity size is {MAX_DOCUMENT_BYTES} bytes")


def document_size(document: DocumentMessage) -> int:
    return _name_size(document.name) + _fields_size(document.fields) + 32


def _name_size(name: str) -> int:
    return sum(map(_text_size, ids_of(name))) + 16


def _text_size(text: str) -> int:
    return len(text.encode()) + 1


def _fields_size(fields: Mapping[str, ValueMessage]) -> int:
    return sum(_text_size(name) + value_size(value) for name, value in fields.items())


def value_size(value: ValueMessage) -> int:
    """The size of a value. A vector has the size of its numbers only."""
    kind = value.WhichOneof("value_type")
    if kind in _FIXED_SIZES:
        return _FIXED_SIZES[kind]
    if kind == "string_value":
        return _text_size(value.string_value)
    if kind == "bytes_value":
        return len(value.bytes_value)
    if kind == "array_value":
        return sum(map(value_size, value.array_value.values))
    if kind == "map_value":
        fields = value.map_value.fields
        return value_size(fields["value"]) if is_vector(fields) else _fields_size(fields)
    return 16 if kind == "geo_point_value" else _name_size(value.reference_value)
