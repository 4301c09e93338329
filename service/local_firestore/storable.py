"""The values that a document can have, and those that a query can compare with, by Firestore's documented limits.

The messages are those of the emulator.
"""

from collections.abc import Mapping
from typing import NamedTuple

from service.local_firestore.errors import FirestoreError, invalid, unimplemented
from service.local_firestore.messages import ValueMessage
from service.local_firestore.names import check_reference
from service.local_firestore.paths import MAX_PATH_BYTES, FieldPath, is_reserved
from service.local_firestore.sizes import MAX_DOCUMENT_BYTES
from service.local_firestore.typed_maps import bson_type, check_vector, has_nan, is_vector
from service.local_firestore.values import STORABLE

_MAX_VALUE_BYTES = MAX_DOCUMENT_BYTES - 89
_MAX_DEPTH = 20

_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799


class Place(NamedTuple):
    """The place of a value in a document: `depth` maps and arrays deep in the field `top`."""

    top: str
    path_bytes: int
    depth: int = 0
    is_in_map: bool = False

    def within(self, name: str = "") -> "Place":
        """The place one level deeper: in the map's field of this name, or in the array."""
        if not name:
            return self._replace(depth=self.depth + 1)
        return Place(self.top, self.path_bytes + 1 + len(name.encode()), self.depth + 1, is_in_map=True)

    def nested_fault(self) -> FirestoreError:
        return invalid(f"Property {self.top} contains an invalid nested entity.")


def take_over_fields(fields: Mapping[str, ValueMessage]) -> None:
    """Raise unless a document can have these fields. Cuts their timestamps to microseconds, in place."""
    for name, value in fields.items():
        if not name:
            raise invalid("The property.name is the empty string.")
        if is_reserved(name):
            raise invalid(f"field name {name} is reserved")
        place = Place(name, len(name.encode()))
        if place.path_bytes > MAX_PATH_BYTES:
            raise invalid(f"The property.name is longer than {MAX_PATH_BYTES} bytes.")
        take_over_value(value, place)


def take_over_value(value: ValueMessage, place: Place) -> None:
    """The same for one value."""
    kind = check_kind(value)
    if kind == "map_value":
        _take_over_map(value.map_value.fields, place)
    elif kind == "array_value":
        for element in value.array_value.values:
            if place.depth >= _MAX_DEPTH:
                raise place.nested_fault()
            _check_element(element)
            take_over_value(element, place.within())
    elif kind == "timestamp_value":
        if finer := value.timestamp_value.nanos % 1000:
            value.timestamp_value.nanos -= finer
    elif kind in {"string_value", "bytes_value"} and _is_longer(getattr(value, kind), _MAX_VALUE_BYTES):
        if place.is_in_map:
            raise place.nested_fault()
        raise invalid(f'The value of property "{place.top}" is longer than {_MAX_VALUE_BYTES} bytes.')


def check_operand(value: ValueMessage) -> None:
    """Raise unless a query can compare with this value."""
    kind = check_kind(value)
    for element in value.array_value.values if kind == "array_value" else ():
        check_operand(element)
    if kind == "map_value":
        _check_map_operand(value.map_value.fields)


def _check_map_operand(fields: Mapping[str, ValueMessage]) -> None:
    if "__type__" in fields:
        check_vector(fields)
        return
    if bson_type(fields) is not None:
        raise unimplemented("BSON's types in queries")
    for name, value in fields.items():
        _check_name_in_map(name)
        check_operand(value)


def _check_name_in_map(name: str) -> None:
    if is_reserved(name):
        raise invalid(f"field name '{name}' is reserved.")


def check_kind(value: ValueMessage) -> str:
    """The kind of the value. Raises if Firestore stores no such kind, or if the value is out of range."""
    kind: str | None = value.WhichOneof("value_type")
    if kind is None or kind not in STORABLE:
        raise invalid(f"Cannot convert firestore.v1.Value with type {'unset' if kind is None else kind}.")
    if kind == "timestamp_value":
        _check_timestamp(value.timestamp_value.seconds, value.timestamp_value.nanos)
    elif kind == "geo_point_value":
        _check_degrees("latitude", value.geo_point_value.latitude, 90.0)
        _check_degrees("longitude", value.geo_point_value.longitude, 180.0)
    elif kind == "reference_value":
        check_reference(value.reference_value)
    return kind


def _take_over_map(fields: Mapping[str, ValueMessage], place: Place) -> None:
    if "__type__" in fields:
        check_vector(fields)
        if not is_vector(fields):
            raise place.nested_fault()
        if has_nan(fields):
            raise place.nested_fault() if place.is_in_map else invalid("Vector cannot contain NaN values.")
        return
    if (kind := bson_type(fields)) is not None:
        raise place.nested_fault() if place.is_in_map else invalid(f"Value type {kind} is not allowed")
    for name, value in fields.items():
        _check_name_in_map(name)
        inside = place.within(name)
        if not name or inside.path_bytes > MAX_PATH_BYTES:
            raise place.nested_fault()
        take_over_value(value, inside)
    if place.depth >= _MAX_DEPTH:
        raise place.nested_fault()


def check_depth(path: FieldPath) -> None:
    """Raise if a field path leads through more maps than a document can have."""
    if len(path) > _MAX_DEPTH + 1:
        raise Place(path[0], 0).nested_fault()


def _check_element(element: ValueMessage) -> None:
    kind = element.WhichOneof("value_type")
    if kind == "array_value":
        raise invalid("Cannot convert an array value in an array value.")
    if kind == "map_value" and is_vector(element.map_value.fields):
        raise invalid("Cannot convert a vector value in an array value.")


def _check_timestamp(seconds: int, nanos: int) -> None:
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise invalid("Timestamp seconds exceeds limit for field.")
    if not 0 <= nanos < 1_000_000_000:
        raise invalid("Timestamp nanos exceeds limit for field.")


def _check_degrees(what: str, degrees: float, most: float) -> None:
    if not -most <= degrees <= most:
        shown = "NaN" if degrees != degrees else degrees
        raise invalid(f"Geo point {what} '{shown}' outside permitted range {-most} to {most}.")


def _is_longer(text: str | bytes, limit: int) -> bool:
    if isinstance(text, bytes) or len(text) > limit:
        return len(text) > limit
    return len(text) * 4 > limit and len(text.encode()) > limit
