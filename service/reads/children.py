"""Renders the children of a process as JSON, directly from Firestore's messages, in small steps. Pure.

The steps are small because a document can have 1 MiB of children.

Keys are sorted, because Firestore keeps no order of them. Types that JSON does not have become texts: times as RFC
3339, bytes as base64, references as their path. Geo points become maps of two numbers, vectors lists, NaN and
infinities null. The module never builds the whole value as Python objects, so nothing large has to be freed at once
either.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter

import orjson

from listeners.firestore_values import UNDECODED, Message, value_of
from listeners.lazy_messages import parse_lazy_value, parse_value
from service.schema.readers import MALFORMED, read_time

Fields = Mapping[str, Message]
"""The values of a map by key."""

_REFERENCE_PREFIX = 5
"""The path of a reference begins after `projects/…/databases/…/documents/`."""


class Items:
    """The items so far. `has_others`: an element was no map."""

    def __init__(self) -> None:
        self._json: bytearray | None = None
        self.has_others = False

    @property
    def json(self) -> bytes:
        """The list of objects as JSON; null if there is no list."""
        return b"null" if self._json is None else bytes(self._json) + b"]"

    def of_field(self, value: bytes) -> Iterator[None]:
        """Add the maps of an array; if the field is no array, there is no list. A step parses at most one map."""
        lazy = parse_lazy_value(value)
        if lazy.HasField("array_value"):
            yield from self.of_documents(self._maps(lazy.array_value.values))
        else:
            self.has_others = parse_value(value).WhichOneof("value_type") != "null_value"

    def of_documents(self, documents: Iterable[Fields | None]) -> Iterator[None]:
        """Add one item per document; None is no document. A step takes some microseconds."""
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
    """Whether this map is one of Firestore's vectors, which are maps of a special form."""
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
