"""Answers some requests in the step in which they are read, without a task or a request object.

These are plain GETs (`Head.is_plain`) of one process, of a page of processes, or of the counts of all, if the model can
answer; and waits for a process that the model holds. For all other requests, and for every error, this module returns
None: the handlers answer them. Answers, counts and log lines equal those of the handlers; tests/service/http compares
both byte by byte.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from time import perf_counter
from typing import NamedTuple

from aiohttp import hdrs
from multidict import CIMultiDict

from service.access.rules import AccessRules
from service.api.caller import SEES_EVERYTHING, Caller
from service.api.cors import cors_headers
from service.api.etags import etag_for, known_version, matches
from service.api.headers import BASE_HEADERS
from service.api.listing import Listing
from service.api.operations import LISTING, STATS, STATUS
from service.api.sources import Source
from service.api.waits import WaitQuery, read_wait
from service.errors import BadParameter
from service.http.accounting import Accounting
from service.http.rendered_pages import RenderedPages
from service.http.request_reader import Parked
from service.http.requests import HTTP_1_1, Head
from service.http.responses import (
    JSON_TYPE,
    DateHeader,
    body_of,
    complete,
    error_response,
    freshness,
    header_lines,
    process_not_found,
    render,
    render_head,
)
from service.reads.answer import RenderedPage
from service.reads.answers import Answer, Answers
from service.reads.statistics import StatisticsReads
from service.runtime.remembered import Remembered
from service.telemetry.metrics import Metrics
from service.telemetry.request_tally import RequestTally
from service.watch.long_poll_waiter import LongPollWaiter, OnComplete, WaitCondition
from service.watch.long_polls import LongPolls

_STATUS = STATUS.path

WAITED_STATUS = _STATUS + "?wait"
"""The label of waits for a process, whose duration their clients decide."""

MOST_QUERIES, MOST_QUERIES_OF_GROUP = 64, 8192
"""Parsed queries about one process to remember. In a collection group each query names a parent."""

_BASE = b"\r\n%b" % header_lines({**BASE_HEADERS, "X-Request-Id": ""})[:-2]
_LENGTHS: Remembered[int, bytes] = Remembered(lambda size: b"\r\nContent-Length: %d" % size, limit=4096)
_END = b"\r\n\r\n"
_LAST_END = b"\r\nConnection: close\r\n\r\n"

Tallies = tuple[RequestTally, RequestTally]
"""The tallies of a route's 200 and 304 answers."""

Rendered = Callable[[str, Caller], tuple[int, RenderedPage] | None]
"""From the query text and the caller to an age in seconds and a rendered page; None if only the handlers can answer."""


class _Asked(NamedTuple):
    """The parsed query about one process: its wait, and the beginning of its key in a collection group."""

    wait: WaitQuery | None
    begins: str


class ModelAnswers:
    """Answers from the model, for all connections of a server."""

    def __init__(
        self,
        answers: Answers,
        pages: RenderedPages,
        statistics: StatisticsReads,
        long_polls: LongPolls,
        metrics: Metrics,
        accounting: Accounting,
        access: AccessRules,
        date: DateHeader,
    ) -> None:
        self._held = answers.held
        self._rendered: dict[str, tuple[Rendered, Tallies]] = {
            LISTING.path: (pages.page, _tallies(metrics, LISTING.path)),
            STATS.path: (statistics.page, _tallies(metrics, STATS.path)),
        }
        self._long_polls = long_polls
        self._path = pages.listing.path
        self._is_group = self._path.is_group
        queries = MOST_QUERIES_OF_GROUP if self._is_group else MOST_QUERIES
        self._asked = lru_cache(maxsize=queries, typed=True)(partial(_read_asked, pages.listing))
        self._metrics = metrics
        self._accounting = accounting
        self._new_request_id = accounting.new_request_id
        self._access = access
        self._is_open = access.is_open
        self._date = date
        self._status = _tallies(metrics, STATUS.path)
        self._waited = _tallies(metrics, WAITED_STATUS)
        self._has_origins = bool(access.origins)
        self._begun_for, self._begun_until = -1, 0.0
        self._found = self._not_modified = b""

    def answer(self, head: Head, on_complete: OnComplete) -> bytes | Parked | None:
        """See AskModel. If a look-up fails, it fails again in the handler, which logs it and answers."""
        target = head.target
        caller = SEES_EVERYTHING if self._is_open else self._access.caller(target.path, head.fields)
        if caller is None:
            return None
        try:
            if target.label == _STATUS:
                return self._process(head, caller, on_complete)
            return self._page(head, caller) if target.label in self._rendered else None
        except Exception:  # noqa: BLE001 - see above
            return None

    def complete(self, head: Head, seen: str, answer: Answer) -> bytes:
        """The whole answer at the end of a wait. `seen` are the ETags that the client knows."""
        if answer.summary is None:
            return self._render_not_found(head, answer.age_s)
        etag = etag_for(answer.summary, seen).encode()
        return self._render(head, self._waited, answer.age_s, etag, answer.body, seen.encode() or None, perf_counter())

    def _process(self, head: Head, caller: Caller, on_complete: OnComplete) -> bytes | Parked | None:
        target, seen = head.target, head.fields.get(b"if-none-match")
        key: str = target.process_id
        if target.query or self._is_group:
            asked = self._asked(target.query, caller.owner)
            if asked is None or not key or not (asked.wait or self._is_group):
                return None
            key = self._path.key_behind(asked.begins, key) if self._is_group else key
            if asked.wait is not None:
                return self._wait(head, caller, asked.wait, key, on_complete)
        held = self._held(key, caller)
        if held is None:
            return None
        summary, age_s = held
        etag = b'"v%d"' % summary.content_version
        if seen is not None and seen != etag:
            if known_version(seen.decode()) > summary.version:
                return None
            etag = etag_for(summary, seen.decode()).encode()
        return self._render(head, self._status, age_s, etag, summary.body, seen, head.arrived_at)

    def _page(self, head: Head, caller: Caller) -> bytes | None:
        find, tallies = self._rendered[head.target.label]
        found = find(head.target.query, caller)
        if found is None:
            return None
        age_s, page = found
        seen = head.fields.get(b"if-none-match")
        return self._render(head, tallies, age_s, page.etag, page.body, seen, head.arrived_at)

    def _wait(
        self, head: Head, caller: Caller, query: WaitQuery, process_id: str, on_complete: OnComplete
    ) -> bytes | Parked | None:
        seen = query.seen(head.text(b"if-none-match") or "")
        granted_s = self._long_polls.granted_s(query.seconds, caller)
        condition = WaitCondition(caller, granted_s - head.waited_s, query.wanted, seen)
        begun = self._long_polls.begin(process_id, condition, on_complete)
        if isinstance(begun, LongPollWaiter):
            return Parked(head, seen, begun)
        return None if begun is None else self.complete(head, seen, begun)

    # -- answering

    def _render(
        self, head: Head, tallies: Tallies, age_s: int, etag: bytes, body: bytes, seen: bytes | None, now: float
    ) -> bytes:
        accounting, fields = self._accounting, head.fields
        request_id = accounting.request_id(fields) if b"x-request-id" in fields else self._new_request_id()
        cors = self._cors(head) if self._has_origins else b""
        end = _LAST_END if head.is_last else _END
        if age_s != self._begun_for or now >= self._begun_until:
            self._begin(age_s)
        if seen is not None and (seen == etag or matches(seen.decode("latin-1"), etag.decode())):
            accounting.record(tallies[1], head, 304, 0, request_id)
            return b"".join((self._not_modified, etag, _BASE, request_id, cors, end))
        size = len(body)
        accounting.record(tallies[0], head, 200, size, request_id)
        return b"".join((self._found, etag, _BASE, request_id, cors, _LENGTHS[size], end, body))

    def _render_not_found(self, head: Head, age_s: int) -> bytes:
        response = error_response(404, process_not_found(head.target.process_id), headers=freshness(Source.HIT, age_s))
        request_id = self._accounting.request_id(head.fields)
        self._metrics.looked_up("negative")
        self._accounting.answered(head, WAITED_STATUS, 404, len(body_of(response)), request_id)
        complete(response.headers, request_id.decode(), cors_headers(self._access.origins, head.text(b"origin")))
        return render(response, self._date(), HTTP_1_1, is_head=False, keep_alive=not head.is_last)

    def _begin(self, age_s: int) -> None:
        """Render the common beginning of all answers of this age, until the Date changes."""
        date, headers = self._date(), {**freshness(Source.HIT, age_s), hdrs.ETAG: ""}
        self._not_modified = render_head(304, headers, date)[:-2]
        self._found = render_head(200, {hdrs.CONTENT_TYPE: JSON_TYPE, **headers}, date)[:-2]
        self._begun_for, self._begun_until = age_s, self._date.valid_until

    def _cors(self, head: Head) -> bytes:
        return b"\r\n" + header_lines(cors_headers(self._access.origins, head.text(b"origin")))[:-2]


def _tallies(metrics: Metrics, route: str) -> tuple[RequestTally, RequestTally]:
    return metrics.tally_of_hits(route, 200), metrics.tally_of_hits(route, 304)


def _read_asked(listing: Listing, query: str, owner: Hashable) -> _Asked | None:
    """The parsed query, for callers of this owner. None if it is wrong, or asks for children too."""
    try:
        values = listing.status.query(query)
        if listing.read_children(values):
            return None
        begins = listing.path.beginning(listing.variables(values, Caller(owner=owner)))
        return _Asked(read_wait(values, CIMultiDict()), begins)
    except BadParameter:
        return None
