"""The parameters of waits: how long a client waits, for what, and the version it knows. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.api.contract import HeaderParameter, Headers, Query, QueryParameter
from service.api.etags import known_version, version_etag
from service.api.event_ids import read_event_id
from service.api.parameters import MAX_STATUS_CHARACTERS
from service.errors import BadParameter

LONGEST_WAIT_S = 999_999_999
TERMINAL = "terminal"
"""In `until`: any status that ends a process."""

_PREFER_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?\s*(;.*)?", re.IGNORECASE | re.ASCII)
_STATUS_IN_SET = f" *[^, ]([^,]{{0,{MAX_STATUS_CHARACTERS - 2}}}[^, ])? *"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ends a wait: a status in `until` (TERMINAL can be one). If `until` is empty, any version that the client
    does not know ends it. `after` is the version that the query says is known; 0 if it has none.
    """

    until: frozenset[str] = frozenset()
    after: int = 0


@dataclass(frozen=True, slots=True)
class WaitQuery:
    """How long a client wants to wait, in whole seconds, and for what.

    `preferred`: a Prefer header asks for the wait.
    """

    seconds: int
    wanted: Wanted
    preferred: bool

    def seen(self, if_none_match: str, children: Sequence[str] = ()) -> str:
        """The ETags of all versions, with these children, that the client knows, from header and query."""
        if not self.wanted.after:
            return if_none_match
        after = version_etag(self.wanted.after, children)
        return f"{if_none_match}, {after}" if if_none_match else after


def _until(text: str) -> frozenset[str]:
    statuses = frozenset(status.strip(" ") for status in text.split(","))
    if not all(1 <= len(status) <= MAX_STATUS_CHARACTERS for status in statuses):
        raise BadParameter(f"until must be statuses of 1 to {MAX_STATUS_CHARACTERS} characters, separated by commas")
    return statuses


def _wait_s(text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or not text.strip("0"):
        raise BadParameter("wait must be a whole number of seconds, at least 1")
    return _bounded(text)


def _bounded(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant) if len(significant) <= len(str(LONGEST_WAIT_S)) else LONGEST_WAIT_S


def _after(text: str) -> int:
    version = read_event_id(text) or known_version(f'"{text}"')
    if not version:
        raise BadParameter("after must be the version seen last, as its ETag has it: v and digits")
    return version


def _preferred_wait_s(prefer: str) -> int | None:
    """The wait in a Prefer header (RFC 7240); None if it has none."""
    for preference in prefer.split(","):
        match = _PREFER_WAIT.fullmatch(preference.strip())
        if match and int(match[1]):
            return int(match[1])
    return None


WAIT = QueryParameter[int | None](
    "wait",
    {"type": "integer", "minimum": 1},
    "Seconds to wait for a version that `If-None-Match` or `after` does not name; 304 at the end."
    " A process that does not exist yet can be waited for too; 404 at the end. More than MAX_WAIT_S (55) is shortened.",
    _wait_s,
    default=None,
    example=30,
)
UNTIL = QueryParameter[frozenset[str]](
    "until",
    {"type": "string", "minLength": 1, "pattern": f"^{_STATUS_IN_SET}(,{_STATUS_IN_SET})*$"},
    "With `wait`: answer only when the status is one of these, separated by commas. `terminal` stands for any status"
    " that ends a process; `stalled` for an unfinished process that was not written for STALLED_AFTER_S. With `stalled`"
    " the answer has the header `X-Stalled`.",
    _until,
    default=frozenset(),
    example="terminal",
)
AFTER = QueryParameter(
    "after",
    {"type": "string", "pattern": "^v[1-9][0-9]{0,17}$"},
    "With `wait`: the version seen last, as in its ETag. Means the same as `If-None-Match`, which some caches remove.",
    _after,
    default=0,
    example="v1763890245000000",
)
PREFER = HeaderParameter[int | None](
    "Prefer",
    {"type": "string"},
    "`wait=N` means the same as `wait` (RFC 7240); `Preference-Applied` has the seconds granted. Other"
    " preferences are ignored.",
    _preferred_wait_s,
    default=None,
)


def read_wait(query: Query, headers: Headers) -> WaitQuery | None:
    """The wait that `wait` or a Prefer header requests; None if there is neither."""
    seconds, wanted = WAIT.of(query), Wanted(UNTIL.of(query), AFTER.of(query))
    if seconds is not None:
        return WaitQuery(seconds, wanted, preferred=False)
    preferred_s = PREFER.of(headers)
    if preferred_s is not None:
        return WaitQuery(preferred_s, wanted, preferred=True)
    for name, is_given in ((UNTIL.name, wanted.until), (AFTER.name, wanted.after)):
        if is_given:
            raise BadParameter(f"{name} needs wait: the seconds to wait at most")
    return None
