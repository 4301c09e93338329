"""The query of a list, with the same meaning for the model and for Firestore; and its page tokens. Pure."""

import base64
import binascii
import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

import orjson

from service.api.ordering import Order
from service.errors import BadParameter

StartKey = int | float | str
"""The ordering field's value in a form that can be compared: microseconds since the epoch for timestamps, or itself."""

Position = tuple[StartKey, str] | tuple[StartKey, str, int]
"""Lists run from the greatest position to the least, as Firestore's query does: by start_time, then by process ID.

(start_time, process ID), or (start_time, "", number) where the ID is numeric (`__id7__`): Firestore sorts those by
number, before all others, and the empty text sorts before every ID.
"""

Filters = Mapping[str, str | int]
"""Filter → required value; `status` can be among the filters."""

NO_FILTERS: Filters = MappingProxyType({})

MAX_FILTER_BYTES = 1500
"""The longest text by which a list can be filtered: Firestore's indexes hold no more of a value."""

STALLED = "stalled"
"""As a filter: true for processes that stall, false for all others. In `until`: wait until the process stalls."""

_INFINITIES = ("-Infinity", "Infinity")
"""Texts for infinities, because JSON has no number for them."""

_NUMERIC_ID = re.compile(r"__id(-?[1-9][0-9]{0,18})__", re.ASCII)
_INT64 = range(-(2**63), 2**63)

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?(Z|z|[+-]\d\d(?::?[0-5]\d)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The rows that match all filters, in descending order of (start_time, process ID).

    `lower` is inclusive; `upper_inclusive` says whether `upper` is. `after` is the position of the last row of the
    previous page. All of them have the type of the ordering field.
    """

    limit: int
    filters: Filters = field(default_factory=dict)
    lower: StartKey | None = None
    upper: StartKey | None = None
    upper_inclusive: bool = True
    after: Position | None = None

    def __hash__(self) -> int:
        return hash((self.limit, frozenset(self.filters.items()), self.lower, self.upper, self.after))


def read_start_date(text: str, order: Order) -> StartKey:
    """`start_date` as the inclusive lower bound. Raises: BadParameter."""
    parsed = _read_date_or_date_time("start_date", text)
    return order.lower_bound(_midnight(parsed), None if isinstance(parsed, datetime) else parsed.isoformat())


def read_end_date(text: str, order: Order) -> tuple[StartKey, bool]:
    """`end_date` as an upper bound, and whether it is inclusive. A date means the whole of its UTC day.

    Raises: BadParameter.
    """
    parsed = _read_date_or_date_time("end_date", text)
    if isinstance(parsed, datetime):
        return order.upper_bound(parsed), True
    if parsed == date.max:
        last = datetime.combine(parsed, time.max, UTC)
        return ("9999-12-32", False) if order.type == "string" else (order.upper_bound(last), True)
    following = parsed + timedelta(days=1)
    return order.lower_bound(_midnight(following), following.isoformat()), False


def _midnight(parsed: date) -> datetime:
    return parsed if isinstance(parsed, datetime) else datetime.combine(parsed, time.min, UTC)


def _read_date_or_date_time(name: str, text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        match = _DATE_TIME.fullmatch(text)
        if match:
            day, clock, seconds, fraction, offset = match.groups()
            offset = "+00:00" if offset in (None, "Z", "z") else offset
            text = f"{day}T{clock}:{seconds or '00'}.{fraction or '0':0<6}{offset}"
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a day or an hour that does not exist: the error is the same as for any other text
    raise BadParameter(
        f"{name} must be an ISO 8601 date or date-time, like 2026-11-23 or 2026-11-23T09:30:00Z"
        " (a + in it is written %2B)"
    )


def position_of(start: StartKey, process_id: str) -> Position:
    """The position of a process in lists."""
    number = _number_in(process_id) if process_id.startswith("__id") else None
    return (start, process_id) if number is None else (start, "", number)


def process_id_at(position: Position) -> str:
    """The process ID in a position."""
    return position[1] or f"__id{position[2]}__"  # type: ignore[misc] # only numeric IDs have an empty text


def _number_in(process_id: str) -> int | None:
    match = _NUMERIC_ID.fullmatch(process_id)
    return int(match[1]) if match is not None and int(match[1]) in _INT64 else None


def write_page_token(position: Position, filters: Filters = NO_FILTERS) -> str:
    """The opaque token of the page after `position`. It contains a digest of the filters; the next page must have the
    same.
    """
    start: object = position[0]
    if isinstance(start, float) and math.isinf(start):
        start = _INFINITIES[start > 0]
    return _written((start, process_id_at(position), *_digest(filters)))


def read_page_token(
    token: str, order: Order, filters: Filters = NO_FILTERS, is_key: Callable[[str], bool] | None = None
) -> Position:
    """The position in a token. `is_key` says whether a text can be the key of a process in such a list.

    Raises: BadParameter for a token that this service did not write, or that belongs to a list with other filters.
    """
    try:
        decoded: Any = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        start_text, process_id, *digest = decoded
        start = float(start_text) if order.type != "string" and start_text in _INFINITIES else start_text
        if not isinstance(process_id, str) or not (is_key or is_process_id)(process_id):
            raise ValueError
        if not order.is_key(start):
            raise ValueError
        position = position_of(start, process_id)
        if _written((start_text, process_id, *digest)) != token:
            raise ValueError
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise BadParameter("page_token is not one that this service gave out; start again without it") from None
    if digest != _digest(filters):
        raise BadParameter("page_token belongs to a list with other filters; give the same ones, or start again")
    return position


def _written(parts: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _digest(filters: Filters) -> list[str]:
    """The part of a token for its filters; empty if there are none."""
    return [hashlib.blake2b(orjson.dumps(sorted(filters.items())), digest_size=6).hexdigest()] if filters else []


def is_process_id(text: str) -> bool:
    """Firestore's rules for document IDs: UTF-8, 1 to 1,500 bytes, no `/`, not `.`, `..` or `__.*__`.

    Numeric IDs are valid: `__id7__` and `__id-5__`, of a 64-bit number without leading zeros that is not 0.
    """
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return False
    if not 1 <= length <= 1500 or "/" in text or text in (".", ".."):
        return False
    is_reserved = text.startswith("__") and text.endswith("__") and len(text) >= 4
    return not is_reserved or _number_in(text) is not None
