"""Requests that are answered in the step in which they are read: without a task or a request object.

These are plain GETs (`Head.is_plain`) of one process, a page of processes or the counts of all, where the model can
answer, and waits for a process that it holds. Everything else gets None here and goes to the handlers, every error
included. Answers, counts and log lines equal those of the handlers: tests/service/http compares the two byte by byte.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from multidict import CIMultiDict

from service.api.caller import SEES_EVERYTHING, Caller
from service.api.etags import etag_for, known_version, matches
from service.api.listing import Listing
from service.api.operations import LISTING, STATS, STATUS
from service.api.waits import WaitQuery, read_wait
from service.errors import BadParameter
from service.http.access import AccessRules, cors_headers
from service.http.accounting import Accounting
from service.http.rendered_pages import RenderedPages
from service.http.requests import Head, Request
from service.http.responses import (
    CLOSE_LINE,
    FOUND,
    NOT_FOUND,
    NOT_MODIFIED,
    DateHeader,
    error_body,
    header_lines,
    process_not_found,
)
from service.http.router import Target
from service.reads.answer import RenderedPage
from service.reads.answers import Answer, Answers
from service.reads.statistics import StatisticsReads
from service.telemetry.metrics import Metrics
from service.telemetry.request_tally import RequestTally
from service.watch.long_poll_waiter import LongPollWaiter, OnComplete, WaitCondition
from service.watch.long_polls import LongPolls

_STATUS = STATUS.path

WAITED_STATUS = _STATUS + "?wait"
"""The label of waits for a process: their clients decide how long they take."""

MOST_QUERIES, MOST_QUERIES_OF_GROUP = 64, 8192
"""Queries about one process that are remembered as they were read: in a collection group each names a parent."""

Tallies = tuple[RequestTally, RequestTally]
"""Where the 200 and the 304 answers of a route are counted."""

Rendered = Callable[[str, Caller], tuple[int, RenderedPage] | None]
"""By the query as it came, and the caller: an age in seconds and what was rendered; None where only the handlers can
answer."""


class Parked(NamedTuple):
    """A request that waits for a change of a process. `waiter.leave` must be called once, whatever ends the wait."""

    head: Head
    seen: str
    waiter: LongPollWaiter


class _Asked(NamedTuple):
    """What a query asks about one process: a wait for it, and the beginning of its key in a collection group."""

    wait: WaitQuery | None
    begins: str


class ModelAnswers:
    """See above."""

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
        self._asked = lru_cache(maxsize=queries)(partial(_read_asked, pages.listing))
        self._metrics = metrics
        self._accounting = accounting
        self._new_request_id = accounting.new_request_id
        self._access = access
        self._is_open = access.is_open
        self._date = date
        self._status = _tallies(metrics, STATUS.path)
        self._waited = _tallies(metrics, WAITED_STATUS)
        self._needs_lines = bool(access.origins)

    def answer(self, head: Head, on_complete: OnComplete) -> bytes | Parked | None:
        """The whole answer, or a wait that ends with `on_complete`; None where only the handlers can answer.

        A failed look-up fails again in the handler, which logs and answers it.
        """
        target, fields = head.target, head.fields
        if not head.is_plain:
            return None
        if target.label == _STATUS and target.query:
            caller = self._access.caller(target.path, fields)
            asked = None if caller is None else self._asked(target.query, caller)
            if caller is None or asked is None:
                return None
            if asked.wait is not None:
                try:
                    return self._wait(head, caller, asked.wait, self._key(target, asked), on_complete)
                except Exception:  # noqa: BLE001 - see above
                    return None
        return self.poll(head)

    def _key(self, target: Target, asked: _Asked) -> str:
        """The key of the process that is asked for; "" where the target has no ID."""
        process_id: str = target.process_id
        return self._path.key_behind(asked.begins, process_id) if self._is_group and process_id else process_id

    def _key_in_query(self, target: Target, caller: Caller) -> str:
        """The same of a poll; "" where only the handlers can answer it."""
        asked = self._asked(target.query, caller) if self._is_group else None
        return "" if asked is None or asked.wait is not None else self._key(target, asked)

    def poll(self, request: Request) -> bytes | None:
        """The same for a plain request that has nothing to wait for."""
        target, fields = request.target, request.fields
        caller = SEES_EVERYTHING if self._is_open else self._access.caller(target.path, fields)
        if caller is None:
            return None
        seen = fields.get(b"if-none-match")
        try:
            if target.label == _STATUS:
                has_plain_key = not target.query and not self._is_group
                held = self._held(target.process_id if has_plain_key else self._key_in_query(target, caller), caller)
                if held is None:
                    return None
                summary, age_s = held
                tallies, etag, body = self._status, b'"v%d"' % summary.content_version, summary.body
                if seen is not None and seen != etag:
                    known = known_version(seen.decode())
                    if known > summary.version:
                        return None
                    if known > summary.content_version:
                        etag = etag_for(summary, seen.decode()).encode()
            elif target.label in self._rendered:
                find, tallies = self._rendered[target.label]
                found = find(target.query, caller)
                if found is None:
                    return None
                age_s, page = found
                etag, body = page.etag, page.body
            else:
                return None
        except Exception:  # noqa: BLE001 - see above
            return None
        return self._render(request, tallies, age_s, etag, body, seen)

    def complete(self, head: Head, seen: str, answer: Answer) -> bytes:
        """The whole answer at the end of a wait; `seen` are the ETags that the client knows."""
        if answer.summary is None:
            return self._render_not_found(head, answer.age_s)
        etag = etag_for(answer.summary, seen).encode()
        return self._render(head, self._waited, answer.age_s, etag, answer.body, seen.encode() or None)

    def _wait(
        self, head: Head, caller: Caller, query: WaitQuery, process_id: str, on_complete: OnComplete
    ) -> bytes | Parked | None:
        if not process_id:
            return None
        seen = query.seen(head.text(b"if-none-match") or "")
        granted_s = self._long_polls.granted_s(query.seconds, caller)
        condition = WaitCondition(caller, granted_s - head.waited_s, query.wanted, seen)
        begun = self._long_polls.begin(process_id, condition, on_complete)
        if isinstance(begun, LongPollWaiter):
            return Parked(head, seen, begun)
        return None if begun is None else self.complete(head, seen, begun)

    # -- answering

    def _render(
        self, request: Request, tallies: Tallies, age_s: int, etag: bytes, body: bytes, seen: bytes | None
    ) -> bytes:
        accounting, date, fields = self._accounting, self._date, request.fields
        request_id = accounting.request_id(fields) if b"x-request-id" in fields else self._new_request_id()
        lines = self._lines(request) if self._needs_lines or request.is_last else b""
        now = date.text if request.arrived_at < date.valid_until else date()
        if seen is not None and (seen == etag or matches(seen.decode("latin-1"), etag.decode())):
            accounting.record(tallies[1], request, 304, 0, request_id)
            return NOT_MODIFIED % (age_s, etag, request_id, lines, now)
        size = len(body)
        accounting.record(tallies[0], request, 200, size, request_id)
        return FOUND % (age_s, etag, request_id, lines, size, now, body)

    def _render_not_found(self, head: Head, age_s: int) -> bytes:
        body = error_body(process_not_found(head.target.process_id))
        request_id = self._accounting.request_id(head.fields)
        self._metrics.looked_up("negative")
        self._accounting.answered(head, WAITED_STATUS, 404, len(body), request_id)
        return NOT_FOUND % (age_s, request_id, self._lines(head), len(body), self._date(), body)

    def _lines(self, request: Request) -> bytes:
        """What differs by client, or in the last answer of a connection."""
        origin = request.fields.get(b"origin")
        text = None if origin is None else origin.decode("utf-8", "surrogateescape")
        cors = header_lines(cors_headers(self._access.origins, text)).encode()
        return cors + CLOSE_LINE if request.is_last else cors


def _tallies(metrics: Metrics, route: str) -> tuple[RequestTally, RequestTally]:
    return metrics.tally_of_hits(route, 200), metrics.tally_of_hits(route, 304)


def _read_asked(listing: Listing, query: str, caller: Caller) -> _Asked | None:
    """None where it is wrong, or asks for children too."""
    try:
        values = listing.status.query(query)
        if listing.read_children(values):
            return None
        begins = listing.path.beginning(listing.variables(values, caller))
        return _Asked(read_wait(values, CIMultiDict()), begins)
    except BadParameter:
        return None
