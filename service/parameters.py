"""What a request asks for, read strictly from its URL and headers. Pure. Every fault is a BadParameter naming it."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from listeners.window import StartTimeType
from service.list_query import (
    BadParameter,
    ListQuery,
    is_process_id,
    read_end_date,
    read_page_token,
    read_start_date,
)

MAX_IDS = 100
DEFAULT_LIMIT, MAX_LIMIT = 10, 1000
MAX_STATUS_CHARACTERS = 64
MAX_WAIT_S = 60

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ETAG_VERSION = re.compile(r'"v(\d{1,19})(-p)?"')
_MAX_AGE = re.compile(r"max-age=\"?(\d{1,9})\"?$", re.IGNORECASE)
_PREFER_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?\s*(;.*)?", re.IGNORECASE | re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

PROCESS_ID_RULES = (
    "a process ID is 1 to 1,500 bytes of UTF-8 without '/', and neither '.', '..' nor of the form '__…__'"
)


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """Several processes by ID, in the order asked."""

    process_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitQuery:
    """How long a client would wait, in whole seconds, and for what; `preferred`: said so by `Prefer: wait`."""

    seconds: int
    until_terminal: bool
    preferred: bool


def read_query(raw_query: str, allowed: Collection[str]) -> dict[str, list[str]]:
    """The query's parameters, each with its values in order. Raises: BadParameter for one that is not `allowed`."""
    parameters: dict[str, list[str]] = {}
    for pair in raw_query.split("&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name = _decode(raw_name, "a parameter's name")
        if name not in allowed:
            raise BadParameter(f"unknown parameter {name[:64]!r}; known here: {', '.join(allowed) or 'none'}")
        parameters.setdefault(name, []).append(_decode(raw_value, name))
    return parameters


def _decode(text: str, name: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise BadParameter(f"{name} holds a % that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeError:
        raise BadParameter(f"{name} is not UTF-8") from None


def read_process_id(raw_segment: str) -> str:
    """A process ID from its percent-encoded path segment."""
    return _process_id(_decode(raw_segment.replace("+", "%2B"), "process_id"))


def _process_id(text: str) -> str:
    if not is_process_id(text):
        raise BadParameter(f"process_id can't be one: {PROCESS_ID_RULES}")
    return text


def read_boolean(parameters: dict[str, list[str]], name: str) -> bool:
    """A flag; absent is false."""
    value = _single(parameters, name)
    if value is None:
        return False
    flag = _BOOLEANS.get(value.lower())
    if flag is None:
        raise BadParameter(f"{name} must be true, false, 1 or 0")
    return flag


def read_wait(parameters: dict[str, list[str]], prefer: Iterable[str]) -> WaitQuery | None:
    """The wait asked for by `wait` and `until`, or by a Prefer header; None where there is none.

    A wait that is only preferred is shortened to what is possible, and one that can't be read is ignored (RFC 7240).
    """
    text, until = _single(parameters, "wait"), _single(parameters, "until")
    if until not in (None, "terminal"):
        raise BadParameter("until must be terminal")
    if text is not None:
        if not re.fullmatch(r"\d{1,2}", text, re.ASCII) or not 1 <= int(text) <= MAX_WAIT_S:
            raise BadParameter(f"wait must be a whole number of seconds from 1 to {MAX_WAIT_S}")
        return WaitQuery(int(text), until is not None, preferred=False)
    for preference in ",".join(prefer).split(","):
        match = _PREFER_WAIT.fullmatch(preference.strip())
        if match and int(match[1]):
            return WaitQuery(min(int(match[1]), MAX_WAIT_S), until is not None, preferred=True)
    if until is not None:
        raise BadParameter("until needs wait: the seconds to wait at most")
    return None


def read_status_filter(parameters: dict[str, list[str]]) -> str | None:
    """The exact status that is asked for; None where every one is."""
    return _status(_single(parameters, "status"))


def read_list_query(parameters: dict[str, list[str]], start_time_type: StartTimeType) -> ListQuery | BatchQuery:
    """What `GET /status` is asked for: a page of a filtered list, or processes by ID."""
    if "process_id" in parameters:
        others = [name for name in parameters if name != "process_id"]
        if others:
            raise BadParameter(f"process_id can't be combined with {', '.join(others)}")
        ids = parameters["process_id"]
        if len(ids) > MAX_IDS:
            raise BadParameter(f"process_id may be given at most {MAX_IDS} times")
        return BatchQuery(tuple(_process_id(text) for text in ids))
    start, end = _single(parameters, "start_date"), _single(parameters, "end_date")
    token = _single(parameters, "page_token")
    upper, inclusive = (None, True) if end is None else read_end_date(end, start_time_type)
    return ListQuery(
        limit=_limit(_single(parameters, "limit")),
        status=_status(_single(parameters, "status")),
        lower=None if start is None else read_start_date(start, start_time_type),
        upper=upper,
        upper_inclusive=inclusive,
        after=None if token is None else read_page_token(token, start_time_type),
    )


def _single(parameters: dict[str, list[str]], name: str) -> str | None:
    values = parameters.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise BadParameter(f"{name} may be given only once")
    return values[0]


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadParameter(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _status(text: str | None) -> str | None:
    if text is not None and not 1 <= len(text) <= MAX_STATUS_CHARACTERS:
        raise BadParameter(f"status must have 1 to {MAX_STATUS_CHARACTERS} characters")
    return text


def read_max_age(cache_control: Iterable[str]) -> float | None:
    """How old an answer the client accepts: 0 for `no-cache`, N for `max-age=N`, None where it does not say."""
    ages = []
    for directive in ",".join(cache_control).split(","):
        if directive.strip().lower() == "no-cache":
            return 0.0
        match = _MAX_AGE.match(directive.strip())
        if match:
            ages.append(float(match[1]))
    return min(ages, default=None)


def known_version(if_none_match: str) -> int:
    """The newest version among the ETags the client has seen; 0 where it names none of ours."""
    return max((int(version) for version, _ in _ETAG_VERSION.findall(if_none_match)), default=0)


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Whether `If-None-Match` names this ETag; weak comparison, as RFC 9110 has it for this header."""
    if if_none_match.strip() == "*":
        return True
    return any(candidate.strip().removeprefix("W/") == etag for candidate in if_none_match.split(","))
