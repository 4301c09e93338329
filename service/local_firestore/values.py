"""Firestore's order over values of all types, as Python keys that compare natively.

`sort_key` maps a value to a tuple whose first element is the rank of its type. Two keys compare as Firestore compares
the values. They are equal exactly if the values are equal to Firestore (1 and 1.0 are, 0.0 and -0.0 are). The order is
the one under "Value type ordering" in Firestore's data type reference.
"""

from collections.abc import Callable
from typing import Any

from service.local_firestore.errors import unimplemented
from service.local_firestore.messages import ValueMessage
from service.local_firestore.names import name_key
from service.local_firestore.typed_maps import is_vector

Key = tuple[Any, ...]

NULL, BOOLEAN, NUMBER, TIMESTAMP, STRING, BYTES, REFERENCE, GEO_POINT, ARRAY, VECTOR, MAP = range(11)

NULL_KEY: Key = (NULL,)
NAN_KEY: Key = (NUMBER, 0, 0)
"""NaN sorts before every other number and equals itself, unlike in Python."""


class _Last:
    """Greater than everything: ends the range of all keys with a common prefix."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return self is not other

    def __le__(self, other: object) -> bool:
        return self is other

    def __ge__(self, other: object) -> bool:
        return True


LAST = _Last()


class Descending:
    """A key with reversed order, for a field whose direction differs from the first field's."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(self.key == other.key)

    def __lt__(self, other: object) -> bool:
        return bool(other.key < self.key) if isinstance(other, Descending) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return bool(other.key > self.key) if isinstance(other, Descending) else NotImplemented

    def __le__(self, other: object) -> bool:
        return bool(other.key <= self.key) if isinstance(other, Descending) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return bool(other.key >= self.key) if isinstance(other, Descending) else NotImplemented

    def __hash__(self) -> int:
        return hash((Descending, self.key))


def _number(number: float) -> Key:
    # Only NaN differs from itself. Ints and floats compare exactly, as in Firestore: 2**53 + 1 > 2.0**53.
    return NAN_KEY if number != number else (NUMBER, 1, number)


def _array(value: ValueMessage) -> Key:
    return (ARRAY, tuple(map(sort_key, value.array_value.values)))


def _map(value: ValueMessage) -> Key:
    fields = value.map_value.fields
    if is_vector(fields):
        values = fields["value"].array_value.values
        return (VECTOR, len(values), tuple(map(sort_key, values)))
    return (MAP, tuple((name, sort_key(fields[name])) for name in sorted(fields)))


_KEYS: dict[str | None, Callable[[ValueMessage], Key]] = {
    "null_value": lambda value: NULL_KEY,
    "boolean_value": lambda value: (BOOLEAN, value.boolean_value),
    "integer_value": lambda value: (NUMBER, 1, value.integer_value),
    "double_value": lambda value: _number(value.double_value),
    "timestamp_value": lambda value: (TIMESTAMP, value.timestamp_value.seconds, value.timestamp_value.nanos),
    # Python compares text by code point, which is the order of the UTF-8 bytes.
    "string_value": lambda value: (STRING, value.string_value),
    "bytes_value": lambda value: (BYTES, value.bytes_value),
    "reference_value": lambda value: (REFERENCE, name_key(value.reference_value)),
    "geo_point_value": lambda value: (
        GEO_POINT,
        value.geo_point_value.latitude,
        value.geo_point_value.longitude,
    ),
    "array_value": _array,
    "map_value": _map,
    None: lambda value: NULL_KEY,
}

STORABLE = frozenset(kind for kind in _KEYS if kind is not None)
"""The kinds of values that a document can have; the protocol has others, for pipelines."""


def sort_key(value: ValueMessage) -> Key:
    """The key of one value. Raises FirestoreError for a kind that no document can have."""
    kind = value.WhichOneof("value_type")
    try:
        return _KEYS[kind](value)
    except KeyError:
        raise unimplemented(f"{kind} as a value") from None
