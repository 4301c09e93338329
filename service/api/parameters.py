"""Every parameter of the API, declared once with its reader. Pure.

Parameters in the URL are read strictly: every fault is a BadParameter that names the parameter. Headers are read as
HTTP defines: parts that cannot be parsed are ignored.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.api.contract import (
    HeaderParameter,
    PathParameter,
    Query,
    QueryParameter,
    RepeatedParameter,
    Schema,
    decode,
)
from service.api.event_ids import read_event_id
from service.api.list_query import (
    STALLED,
    Filters,
    ListQuery,
    is_process_id,
    read_end_date,
    read_page_token,
    read_start_date,
)
from service.api.ordering import Order
from service.errors import BadParameter

MAX_IDS = 100
DEFAULT_LIMIT, MAX_LIMIT = 10, 1000
MAX_MINUTES = 1440
MAX_STATUS_CHARACTERS = 64

_MAX_AGE = re.compile(r"max-age=\"?(\d{1,9})\"?$", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

PROCESS_ID_RULES = (
    "a process ID is 1 to 1,500 bytes of UTF-8 without '/', and neither '.', '..' nor of the form '__…__'"
    " (but a numeric ID, like '__id7__')"
)


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """Several processes by ID, in the order of the request."""

    process_ids: tuple[str, ...]


# -- readers


def _process_id(text: str) -> str:
    if not is_process_id(text):
        raise BadParameter(f"process_id can't be one: {PROCESS_ID_RULES}")
    return text


def read_process_id(raw_segment: str) -> str:
    """A process ID from its percent-encoded path segment."""
    return _process_id(decode(raw_segment.replace("+", "%2B"), "process_id"))


def _flag(name: str) -> Callable[[str], bool]:
    def read(text: str) -> bool:
        flag = _BOOLEANS.get(text.lower())
        if flag is None:
            raise BadParameter(f"{name} must be true, false, 1 or 0")
        return flag

    return read


def _whole_number(name: str, least: int, most: int, unit: str = "") -> Callable[[str], int]:
    digits = re.compile(rf"\d{{1,{len(str(most))}}}", re.ASCII)

    def read(text: str) -> int:
        if not digits.fullmatch(text) or not least <= int(text) <= most:
            raise BadParameter(f"{name} must be a whole number {unit}from {least} to {most}")
        return int(text)

    return read


def _status(text: str) -> str:
    if not 1 <= len(text) <= MAX_STATUS_CHARACTERS:
        raise BadParameter(f"status must have 1 to {MAX_STATUS_CHARACTERS} characters")
    return text


def _max_age_s(cache_control: str) -> float | None:
    ages = []
    for directive in cache_control.split(","):
        if directive.strip().lower() == "no-cache":
            return 0.0
        match = _MAX_AGE.match(directive.strip())
        if match:
            ages.append(float(match[1]))
    return min(ages, default=None)


# -- the parameters

DOCUMENT_ID: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1500,
    "pattern": "^[^/]+$",
    "not": {"pattern": r"^(\.{1,2}|__(?!id-?[1-9][0-9]{0,18}__$)[\s\S]*__)$"},
}
_STATUS: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_STATUS_CHARACTERS}
_DATE: Schema = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
_LENIENT = "`1`, `0` and any case of `true` and `false` work too."
_FLAG: Schema = {"type": "boolean", "default": False}

PROCESS_ID = PathParameter(
    "process_id",
    DOCUMENT_ID,
    f"The document's ID: {PROCESS_ID_RULES.removeprefix('a process ID is ')}.",
    read_process_id,
    example="import-1",
)
LIMIT = QueryParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "The greatest number of processes on a page.",
    _whole_number("limit", 1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
)
BY_MINUTE = QueryParameter[int | None](
    "by_minute",
    {"type": "integer", "minimum": 1, "maximum": MAX_MINUTES},
    "Adds `finished_by_minute`: how many processes ended in each of this many minutes, up to the present.",
    _whole_number("by_minute", 1, MAX_MINUTES),
    default=None,
    example=180,
)
FOLLOW = QueryParameter(
    "follow",
    _FLAG,
    f"Whether the stream goes on after a terminal status, which a retry leaves. {_LENIENT}",
    _flag("follow"),
    default=False,
)
STATUS_FILTER = QueryParameter[str | None](
    "status", _STATUS, "Only processes with exactly this status.", _status, default=None, example="running"
)
STALLED_FILTER = QueryParameter[bool | None](
    STALLED,
    {"type": "boolean"},
    "Only processes that stall (or do not): unfinished, and not written in Firestore for STALLED_AFTER_S. Covers the"
    f" processes in the model; 503 while its lease has lapsed. {_LENIENT}",
    _flag(STALLED),
    default=None,
)
START_DATE = QueryParameter[str | None](
    "start_date",
    _DATE,
    "Only processes with `start_time` at or after this ISO 8601 date or date-time; no offset means UTC.",
    str,
    default=None,
    example="2025-11-23",
)
END_DATE = QueryParameter[str | None](
    "end_date",
    _DATE,
    "Only processes with `start_time` at or before this ISO 8601 date or date-time; a date means its whole UTC day.",
    str,
    default=None,
    example="2025-11-23T12:00:00Z",
)
PAGE_TOKEN = QueryParameter[str | None](
    "page_token",
    {"type": "string", "format": "page-token"},
    "The `next_page_token` of the previous page. New processes never shift or repeat rows.",
    str,
    default=None,
)
PROCESS_IDS = RepeatedParameter(
    "process_id",
    {"type": "array", "items": DOCUMENT_ID, "minItems": 1, "maxItems": MAX_IDS},
    "These processes, in this order, instead of a filtered list. Cannot be combined with other parameters.",
    _process_id,
    most=MAX_IDS,
    example=["import-1", "import-2"],
)
IF_NONE_MATCH = HeaderParameter(
    "If-None-Match",
    {"type": "string"},
    "The ETags that the client has. The answer is a 304 if it has one of them, and not older than the newest of them.",
    str,
    default="",
)
IF_MATCH = HeaderParameter(
    "If-Match",
    {"type": "string"},
    "The answer is a 412 if it has none of these ETags; `*` means any. No answer is older than the newest of them.",
    str,
    default="",
)
CACHE_CONTROL = HeaderParameter[float | None](
    "Cache-Control",
    {"type": "string"},
    "`no-cache` asks for Firestore's state at or after the request's arrival, `max-age=N` for one at most N s old.",
    _max_age_s,
    default=None,
)
LAST_EVENT_ID = HeaderParameter[int | None](
    "Last-Event-ID",
    {"type": "string"},
    "The ID of the last event that the client got: later changes come first. An unknown ID counts as older than all.",
    lambda text: read_event_id(text) if text else None,
    default=None,
)
REQUEST_ID = HeaderParameter[str | None](
    "X-Request-Id",
    {"type": "string"},
    "The client's own ID for the request: up to 128 letters, digits and `._:/=+-`. Otherwise the service makes one.",
    lambda text: text if _REQUEST_ID.fullmatch(text) else None,
    default=None,
)
ACCEPT = HeaderParameter("Accept", {"type": "string"}, "OpenMetrics if it is preferred; `q` counts.", str, default="")


# -- parameters from the schema


def include_parameter(child: str) -> QueryParameter[bool]:
    """The parameter that includes these children in the answer about one process."""
    name = f"include_{child}"
    description = f"Whether the answer also has the {child} of the process. {_LENIENT}"
    return QueryParameter(name, _FLAG, description, _flag(name), default=False)


# -- readers of several parameters


IsKey = Callable[[str, Filters], bool]
"""Whether a text can be the key of a process in lists with these filters."""


def read_list_query(
    query: Query, order: Order, filters: Sequence[QueryParameter[Any]] = (), is_key: IsKey | None = None
) -> ListQuery | BatchQuery:
    """The query of `GET /status`: a page of a list, with these `filters` if any, or processes by ID."""
    process_ids = PROCESS_IDS.of(query)
    if process_ids:
        others = [name for name in query if name != PROCESS_IDS.name]
        if others:
            raise BadParameter(f"process_id can't be combined with {', '.join(others)}")
        return BatchQuery(process_ids)
    return read_bounds(query, order, filters, is_key)


def read_bounds(
    query: Query, order: Order, filters: Sequence[QueryParameter[Any]], is_key: IsKey | None = None
) -> ListQuery:
    """The query of a list or a count, without paging."""
    start, end, token = START_DATE.of(query), END_DATE.of(query), PAGE_TOKEN.of(query)
    upper, inclusive = (None, True) if end is None else read_end_date(end, order)
    wanted = read_filters(query, [STATUS_FILTER, *filters, STALLED_FILTER])
    fits = None if is_key is None else lambda key: is_key(key, wanted)
    return ListQuery(
        limit=LIMIT.of(query),
        filters=wanted,
        lower=None if start is None else read_start_date(start, order),
        upper=upper,
        upper_inclusive=inclusive,
        after=None if token is None else read_page_token(token, order, wanted, fits),
    )


def read_filters(query: Query, parameters: Sequence[QueryParameter[Any]]) -> Filters:
    """The equality filters that the query has."""
    wanted = {each.name: each.of(query) for each in parameters}
    return {name: key for name, key in wanted.items() if key is not None}
