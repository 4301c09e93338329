"""The children of a process as JSON, straight from Firestore's messages, in small steps. Pure.

Small, because a document can hold 1 MiB of them.

Keys are sorted, for Firestore keeps no order of them. What JSON has not is rendered as text: times as RFC 3339, bytes
as base64, references as their path; geo points are maps of two numbers, vectors lists, numbers that are none null.
Nothing is made of the whole before it is rendered, so nothing large has to be freed at once either.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter

import orjson

from listeners.firestore_values import UNDECODED, Message, value_of
from listeners.lazy_messages import parse_lazy_value, parse_value
from service.schema.readers import MALFORMED, read_time

Fields = Mapping[str, Message]
"""A map's values by key."""

_REFERENCE_PREFIX = 5
"""`projects/…/databases/…/documents/` stands before a reference's path."""


class Items:
    """The list of them, as it grows. `has_others`: something was given that is no map."""

    def __init__(self) -> None:
        self._json: bytearray | None = None
        self.has_others = False

    @property
    def json(self) -> bytes:
        """A list of objects; null where there is none."""
        return b"null" if self._json is None else bytes(self._json) + b"]"

    def of_field(self, value: bytes) -> Iterator[None]:
        """The maps of an array; where it is none, there is no list. A step parses at most one of them."""
        lazy = parse_lazy_value(value)
        if lazy.HasField("array_value"):
            yield from self.of_documents(self._maps(lazy.array_value.values))
        else:
            self.has_others = parse_value(value).WhichOneof("value_type") != "null_value"

    def of_documents(self, documents: Iterable[Fields | None]) -> Iterator[None]:
        """An item for each; None is none. Some microseconds per step."""
        json = self._json = bytearray(b"[")
        for fields in documents:
            if fields is not None:
                yield from _map(fields, json)
                json += b","
            yield
        if json.endswith(b","):
            del json[-1]

    def _maps(self, values: Iterable[bytes]) -> Iterator[Fields | None]:
        for each in values:
            value = parse_value(each)
            is_map = value.WhichOneof("value_type") == "map_value" and not _is_vector(value.map_value.fields)
            self.has_others = self.has_others or not is_map
            yield value.map_value.fields if is_map else None


def _value(value: Message, json: bytearray) -> Iterator[None]:
    kind = value.WhichOneof("value_type")
    if kind == "map_value":
        fields = value.map_value.fields
        yield from _list(fields["value"].array_value.values, json) if _is_vector(fields) else _map(fields, json)
    elif kind == "array_value":
        yield from _list(value.array_value.values, json)
    else:
        json += _SCALARS.get(kind, _scalar)(value)


def _map(fields: Fields, json: bytearray) -> Iterator[None]:
    json += b"{"
    for name, value in sorted(fields.items(), key=itemgetter(0)):
        json += orjson.dumps(name)
        json += b":"
        yield from _value(value, json)
        json += b","
        yield
    _close(json, b"}")


def _list(values: Iterable[Message], json: bytearray) -> Iterator[None]:
    json += b"["
    for value in values:
        yield from _value(value, json)
        json += b","
        yield
    _close(json, b"]")


def _close(json: bytearray, bracket: bytes) -> None:
    if json.endswith(b","):
        json[-1:] = bracket
    else:
        json += bracket


def _is_vector(fields: Fields) -> bool:
    """Firestore's vectors are maps of a form of their own."""
    return "__type__" in fields and fields["__type__"].string_value == "__vector__"


def _scalar(value: Message) -> bytes:
    found = value_of(value)
    return b"null" if found is UNDECODED else orjson.dumps(found)


def _time(value: Message) -> bytes:
    time = read_time(value_of(value))
    return orjson.dumps(None if time is MALFORMED else time)


def _bytes(value: Message) -> bytes:
    return b'"%b"' % base64.b64encode(value.bytes_value)


def _reference(value: Message) -> bytes:
    return orjson.dumps(value.reference_value.split("/", _REFERENCE_PREFIX)[-1])


def _geo_point(value: Message) -> bytes:
    point = value.geo_point_value
    return orjson.dumps({"latitude": point.latitude, "longitude": point.longitude})


_SCALARS: dict[str | None, Callable[[Message], bytes]] = {
    "timestamp_value": _time,
    "bytes_value": _bytes,
    "reference_value": _reference,
    "geo_point_value": _geo_point,
}
