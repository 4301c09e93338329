"""Raw protobuf documents → `Document`. Pure, and the hot path.

Reads only the fields asked for, straight from the parsed message: nothing is wrapped or copied, and what is not asked
for (products, above all) is never touched. No value a document can hold makes this raise.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from listeners.events import Document
from listeners.gc_untrack import untrack

Message = Any
"""A protobuf message, or a value of one: the generated classes have no static types."""


class _Undecoded:
    """A value of a type that no consumer looks into: an array, a map, a reference, a geo point."""

    def __repr__(self) -> str:
        return "<undecoded>"


UNDECODED = _Undecoded()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(timestamp: Message) -> int:
    """A protobuf Timestamp as whole microseconds since the epoch, which is Firestore's precision.

    Versions are held for long, and a sum's object has room for a carry, in 48 bytes; `| 0` makes one of 32.
    """
    return int(timestamp.seconds) * 1_000_000 + int(timestamp.nanos) // 1_000 | 0


def _moment(value: Message) -> object:
    timestamp = value.timestamp_value
    try:
        return _EPOCH + timedelta(0, timestamp.seconds, timestamp.nanos // 1_000)
    except OverflowError:
        return UNDECODED  # outside the years 1 to 9999, which Firestore would refuse


_READERS: dict[str, Callable[[Message], object]] = {
    "null_value": lambda value: None,
    "boolean_value": lambda value: value.boolean_value,
    "integer_value": lambda value: value.integer_value,
    "double_value": lambda value: value.double_value,
    "string_value": lambda value: value.string_value,
    "bytes_value": lambda value: value.bytes_value,
    "timestamp_value": _moment,
}


def value_of(value: Message) -> object:
    """A Firestore Value as `Document.fields` holds it."""
    reader = _READERS.get(value.WhichOneof("value_type"))
    return UNDECODED if reader is None else reader(value)


class DocumentDecoder:
    """Knows the values that are wanted of a collection's documents."""

    def __init__(self, values_of: Callable[[Mapping[str, Message]], dict[str, object]]) -> None:
        self._values_of = values_of

    def decode(self, document_id: str, update_time: int, document: Message) -> Document:
        """One version of one document."""
        decoded = Document(document_id, update_time, self._values_of(document.fields))
        untrack(decoded)
        return decoded
