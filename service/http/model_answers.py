"""Requests that are answered in the step in which they are read: without a task or a request object.

These are plain GETs (`Head.is_plain`) of one process or a page of processes that the model can answer, and waits for a
process that it holds. Everything else gets None here and goes to the handlers, every error included: those have one
home. Answers, counts and log lines are the handlers': tests/service/http compares the two byte by byte.
"""

from typing import NamedTuple, Protocol

from multidict import CIMultiDict

from service.api.etags import known_version, matches
from service.api.operations import LISTING, STATUS
from service.api.parameters import INCLUDE_PRODUCTS, PROCESS_ID, WaitQuery, read_wait
from service.errors import BadParameter
from service.http.access import AccessRules, cors_headers
from service.http.accounting import Accounting
from service.http.rendered_pages import RenderedPages
from service.http.requests import Head
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
from service.reads.answers import Answer, Answers
from service.telemetry.metrics import Metrics, RequestTally
from service.watch.long_polls import Awaited, DirectWait, LongPolls

_STATUS, _LISTING = STATUS.path, LISTING.path

WAITED_STATUS = _STATUS + "?wait"
"""The label of waits for a process: how long they take is their clients' wish."""

_MAX_WAIT_QUERIES = 64
"""That are remembered, as they were read."""


Tallies = tuple[RequestTally, RequestTally]
"""Where the 200 and the 304 answers of a route are counted."""


class Waiting(Protocol):
    """The connection of a request that waits."""

    def end_wait(self, answer: Answer | None) -> None:
        """The wait is over. None: only the handlers can answer."""


class Parked(NamedTuple):
    """A request that waits for a change of a process. `waiter.leave` must be called once, whatever ends the wait."""

    head: Head
    process_id: str
    seen: str
    waiter: DirectWait


class ModelAnswers:
    """Answers them."""

    def __init__(
        self,
        answers: Answers,
        pages: RenderedPages,
        long_polls: LongPolls,
        metrics: Metrics,
        accounting: Accounting,
        access: AccessRules,
        date: DateHeader,
    ) -> None:
        self._held = answers.held
        self._page = pages.page
        self._long_polls = long_polls
        self._metrics = metrics
        self._accounting = accounting
        self._new_request_id = accounting.new_request_id
        self._access = access
        self._date = date
        self._wait_queries: dict[str, WaitQuery | None] = {}
        self._status = _tallies(metrics, STATUS.path)
        self._listing = _tallies(metrics, LISTING.path)
        self._waited = _tallies(metrics, WAITED_STATUS)
        self._needs_lines = bool(access.origins)

    def close(self) -> None:
        """From now on every answer says that its connection is closed."""
        self._is_closing = self._needs_lines = True

    _is_closing = False

    def answer(self, head: Head, connection: Waiting) -> bytes | Parked | None:
        """The whole answer, or a wait that ends with `connection.end_wait`; None where only the handlers can answer.

        A failure to look something up is met again there, where it is logged and answered.
        """
        access, target = self._access, head.target
        if not head.is_plain or (access.keys and not access.admits(head)):
            return None
        try:
            if target.label == _STATUS:
                process_id = PROCESS_ID.read(target.value) if "%" in target.value else target.value
                if target.query:
                    return self._wait(head, process_id, connection)
                held = self._held(process_id)
                if held is None:
                    return None
                summary, age_s = held
                tallies, etag, body = self._status, b'"v%d"' % summary.version, summary.body
                seen = head.fields.get(b"if-none-match")
                if seen is not None and seen != etag and known_version(seen.decode()) > summary.version:
                    return None
            elif target.label == _LISTING:
                listed = self._page(target.query)
                if listed is None:
                    return None
                age_s, page = listed
                tallies, etag, body = self._listing, page.etag, page.body
            else:
                return None
        except Exception:  # noqa: BLE001 - see above
            return None
        return self._render(head, tallies, age_s, etag, body, head.fields.get(b"if-none-match"))

    def complete(self, head: Head, process_id: str, seen: str, answer: Answer) -> bytes:
        """The whole answer at the end of a wait; `seen` are the ETags that the client knows."""
        if answer.summary is None:
            return self._render_not_found(head, process_id, answer.age_s)
        return self._render(
            head, self._waited, answer.age_s, b'"v%d"' % answer.version, answer.body, seen.encode() or None
        )

    def _wait(self, head: Head, process_id: str, connection: Waiting) -> bytes | Parked | None:
        query = self._wait_query(head.target.query)
        if query is None:
            return None
        seen = query.seen(head.text(b"if-none-match") or "")
        granted_s = self._long_polls.granted_s(query.seconds)
        awaited = Awaited(granted_s - head.waited_s, query.wanted, seen)
        begun = self._long_polls.begin(process_id, awaited, connection.end_wait)
        if isinstance(begun, DirectWait):
            return Parked(head, process_id, seen, begun)
        return None if begun is None else self.complete(head, process_id, seen, begun)

    def _wait_query(self, query: str) -> WaitQuery | None:
        known = self._wait_queries
        if query not in known:
            if len(known) >= _MAX_WAIT_QUERIES:
                known.clear()
            known[query] = _read_wait_query(query)
        return known[query]

    # -- answering

    def _render(self, head: Head, tallies: Tallies, age_s: int, etag: bytes, body: bytes, seen: bytes | None) -> bytes:
        is_named = b"x-request-id" in head.fields
        request_id = self._accounting.request_id(head) if is_named else self._new_request_id()
        lines = self._lines(head) if self._needs_lines else b""
        date = self._date
        now = date.text if head.arrived_at < date.valid_until else date()
        if seen is not None and (seen == etag or matches(seen.decode("latin-1"), etag.decode())):
            self._accounting.record(tallies[1], head, 304, 0, request_id)
            return NOT_MODIFIED % (age_s, etag, request_id, lines, now)
        self._accounting.record(tallies[0], head, 200, len(body), request_id)
        return FOUND % (age_s, etag, request_id, lines, len(body), now, body)

    def _render_not_found(self, head: Head, process_id: str, age_s: int) -> bytes:
        body = error_body(process_not_found(process_id))
        request_id = self._accounting.request_id(head)
        self._metrics.looked_up("negative")
        self._accounting.answered(head, WAITED_STATUS, 404, len(body), request_id)
        return NOT_FOUND % (age_s, request_id, self._lines(head), len(body), self._date(), body)

    def _lines(self, head: Head) -> bytes:
        """What differs by client, or at the server's end."""
        cors = header_lines(cors_headers(self._access.origins, head.text(b"origin"))).encode()
        return cors + CLOSE_LINE if self._is_closing else cors


def _tallies(metrics: Metrics, route: str) -> tuple[RequestTally, RequestTally]:
    return metrics.tally_of_hits(route, 200), metrics.tally_of_hits(route, 304)


def _read_wait_query(query: str) -> WaitQuery | None:
    """None where it is wrong, or asks for products too."""
    try:
        values = STATUS.query(query)
        return None if INCLUDE_PRODUCTS.of(values) else read_wait(values, CIMultiDict())
    except BadParameter:
        return None
