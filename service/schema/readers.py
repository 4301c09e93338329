"""Turns one value of a document into the value in an answer. Pure; no value makes it raise.

A reader takes a value of `Document.fields`, never None, and returns a value for `rendered`. It returns None if the
value means nothing (`zero_is_null`), and MALFORMED if the value does not fit the type in the schema.
"""

import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from orjson import OPT_UTC_Z, dumps

from listeners.times import moment
from service.runtime.times import render_time
from service.schema.schema_file import Answer

Reader = Callable[[object], object]


class _Malformed:
    def __repr__(self) -> str:
        return "<malformed>"


MALFORMED: Final = _Malformed()

_INT64 = range(-(2**63), 2**63)
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000}
_CANONICAL_LENGTH = len("2026-11-23T09:30:00Z")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-]\d\d:\d\d))?", re.ASCII)
_MAX_DEPTH = 24
"""Firestore allows 20 levels of maps; deeper nesting is malformed."""


def reader_of(answer: Answer) -> Reader:
    """The reader for a key of the answer."""
    if answer.type == "time":
        read = _left_to_orjson(_time_reader(_MICROSECONDS[answer.unit or "s"]))
    else:
        read = _READERS[answer.type]
    return _zero_is_null(read) if answer.zero_is_null else read


def status_reader(names: Mapping[str, str]) -> Reader:
    """The reader for statuses, which are texts.

    With `names` (value → word of the answers) they can be whole numbers too.
    """

    def read(value: object) -> object:
        if type(value) is not str:
            number = read_integer(value)
            if number is MALFORMED:
                return read_text(value)
            value = str(number)
        return names.get(value, value)

    return read if names else read_text


def raw_statuses(names: Mapping[str, str], word: str) -> list[str | int]:
    """Every value that a document can have if the answer says `word`: a query by status asks Firestore for these."""
    texts = [raw for raw, named in names.items() if named == word]
    if word not in names:
        texts.append(word)
    numbers = [int(text) for text in texts if names and _is_number(text)]
    return [*texts, *numbers]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text, re.ASCII) is not None and int(text) in _INT64


def read_text(value: object) -> object:
    """A text, unchanged."""
    return value if isinstance(value, str) else MALFORMED


def read_integer(value: object) -> object:
    """A 64-bit integer, or a double of that size without a fraction."""
    if isinstance(value, bool):
        return MALFORMED
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value in _INT64 else MALFORMED


def read_number(value: object) -> object:
    """An integer or a finite double."""
    if isinstance(value, float):
        return value if math.isfinite(value) else MALFORMED
    return read_integer(value)


def read_boolean(value: object) -> object:
    """True or False, and no other value."""
    return value if isinstance(value, bool) else MALFORMED


def rendered(values: Mapping[str, object]) -> bytes:
    """The results of readers as JSON."""
    return dumps(values, option=OPT_UTC_Z)


def _left_to_orjson(read: Reader) -> Reader:
    """Leave times to orjson if it renders them like `render_time`: this is faster, but orjson keeps trailing zeros."""

    def read_other(value: object) -> object:
        if type(value) is datetime and value.tzinfo is UTC:
            fraction = value.microsecond
            if not fraction or fraction % 10:
                return value
        return read(value)

    return read_other


def _time_reader(microseconds_per_unit: int) -> Reader:
    def read(value: object) -> object:
        try:
            if isinstance(value, datetime):
                return render_time(value)
            if isinstance(value, str):
                return _time_of_text(value)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return render_time(moment(round(value * microseconds_per_unit)))
        except (ValueError, OverflowError):
            pass  # a date that does not exist, or one outside the years that can be rendered
        return MALFORMED

    return read


read_time = _time_reader(_MICROSECONDS["s"])
"""A timestamp, an RFC 3339 text (UTC if it has no offset) or epoch seconds, as RFC 3339 in UTC."""


def _time_of_text(text: str) -> object:
    if len(text) == _CANONICAL_LENGTH and text[-1] == "Z":  # the form of most writers: checked without the pattern
        parsed = datetime.fromisoformat(text)
        if parsed.isoformat()[: -len("+00:00")] + "Z" == text:
            return text
    match = _RFC3339.fullmatch(text)
    if match is None:
        return MALFORMED
    date, time, fraction, _, offset = match.groups()
    return render_time(datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{offset or '+00:00'}"))


def read_json(value: object) -> object:
    """Maps and arrays: timestamps become RFC 3339, bytes base64, and numbers that JSON does not have become null.

    Keys are sorted, because the order of a map in a message means nothing: so equal documents give equal bytes.
    """
    try:
        return _json(value, 0)
    except (ValueError, OverflowError):
        return MALFORMED


def _json(value: object, depth: int) -> object:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, Mapping):
        return {str(name): _json(each, depth + 1) for name, each in sorted(value.items())}
    if isinstance(value, list):
        return [_json(each, depth + 1) for each in value]
    if isinstance(value, datetime):
        return render_time(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"no JSON for {type(value).__name__}")


def _zero_is_null(read: Reader) -> Reader:
    def read_nonzero(value: object) -> object:
        is_zero = isinstance(value, int | float) and not isinstance(value, bool) and value == 0
        return None if is_zero else read(value)

    return read_nonzero


_READERS: Mapping[str, Reader] = {
    "string": read_text,
    "integer": read_integer,
    "number": read_number,
    "boolean": read_boolean,
    "json": read_json,
}
