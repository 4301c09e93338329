"""What all connections share: whom to ask, whom to tell, and how an answer looks."""

import asyncio
import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from time import perf_counter, time

from multidict import CIMultiDict

from service.api.headers import BASE_HEADERS
from service.api.operations import STATUS
from service.api.parameters import INCLUDE_PRODUCTS, REQUEST_ID, WaitQuery, read_wait
from service.api.sources import Source
from service.errors import BadParameter
from service.http.access import cors_headers, is_allowed
from service.http.fast_path.canonical_requests import Different, poll_headers
from service.http.middleware import (
    CLIENT_CLOSED_REQUEST,
    JSON_TYPE,
    WAITED_STATUS,
    AccessRules,
    error_body,
    new_request_ids,
    process_not_found,
)
from service.http.rendered_pages import RenderedPages
from service.reads.answers import Answer, Answers
from service.runtime.slices import InOrder, Slices
from service.runtime.turns import Turns
from service.telemetry.logs import RequestLog
from service.telemetry.logs.request_log import Template
from service.telemetry.metrics import Metrics, RequestTally
from service.watch.long_polls import Awaited, DirectWait, End, LongPolls


def _lines(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


_FRESHNESS = {"X-Cache": Source.HIT.value, "Age": "%d", "Etag": "%b", **BASE_HEADERS, "X-Request-Id": "%b"}
FOUND = (
    b"HTTP/1.1 200 OK\r\n"
    + _lines({"Content-Type": JSON_TYPE, **_FRESHNESS})
    + b"%bContent-Length: %d\r\nDate: %b\r\n\r\n%b"
)
_NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\n"
    + _lines({name: value for name, value in {"Content-Type": JSON_TYPE, **_FRESHNESS}.items() if name != "Etag"})
    + b"%bContent-Length: %d\r\nDate: %b\r\n\r\n%b"
)
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\n" + _lines(_FRESHNESS) + b"%bDate: %b\r\n\r\n"


@dataclass(slots=True)
class Headers:
    """What the headers say that a client sends again and again: it is read once a connection.

    Templates of the log's lines are rendered once they are needed; () where none is written.
    """

    user_agent: str | None
    remote: str | None
    cors: bytes
    found_line: Template | tuple[()] | None = None
    not_modified_line: Template | tuple[()] | None = None


Tallies = tuple[RequestTally, RequestTally]
"""Where the 200 and the 304 answers of a route are counted."""

Found = tuple[Tallies, int, bytes, bytes]
"""Route, age in seconds, ETag and the 200 body of an answer."""

_MAX_WAIT_QUERIES = 64
"""That are remembered, as they were read."""


@dataclass(slots=True)
class WaitingRequest:
    """A request that waits for a change, since `asked_at`: all that its answer needs."""

    data: bytes
    line: re.Match[bytes]
    different: Different
    headers: Headers
    asked_at: float


class Connection(asyncio.Protocol, ABC):
    """One that has not been aiohttp's yet."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """End it once what has been written is sent."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether it has a request that waits for a change."""

    @abstractmethod
    def ask_again(self) -> None:
        """Let aiohttp answer the request that waits, if it does still."""


class FastPath:
    """What the model may answer, and how; the connections that have not been aiohttp's yet."""

    def __init__(
        self,
        answers: Answers,
        pages: RenderedPages,
        long_polls: LongPolls,
        metrics: Metrics,
        request_log: RequestLog | None,
        access: AccessRules,
        turns: Turns,
        slices: Slices,
    ) -> None:
        self.turns = turns
        self.usual_line_end = b""
        if request_log is not None:
            self.late_records, self.take_late = request_log.late, request_log.take_late
            self.usual_line_end = request_log.end()
        self._request_log = request_log
        self._metrics = metrics
        self._long_polls = long_polls
        self._wait_queries: dict[bytes, WaitQuery | None] = {}
        self._waits = 0
        self._nobody_waits = asyncio.Event()
        self._asking_again = InOrder(slices, _ask_again)
        self.is_closing = False
        self._other_requests = 0
        self.connections: set[Connection] = set()
        self.next_request_id = new_request_ids().__next__
        self._held = answers.held
        self._page = pages.page
        self._status = _route(metrics, "/status/{process_id}")
        self._listing = _route(metrics, "/status")
        self.waited = _route(metrics, WAITED_STATUS)
        self._access = access
        self._date_second = 0
        self._date = b""

    def close(self) -> None:
        """End all connections, but for those that wait: they end with their answers."""
        self.is_closing = True
        for connection in list(self.connections):
            if not connection.waits:
                connection.close()

    async def end(self, timeout_s: float | None) -> None:
        """Those who wait are being answered: end all connections after that. Who waits still when the time is over is
        cut off.
        """
        if self._waits:
            self._nobody_waits.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._nobody_waits.wait()
        self.turns.serve_all()
        for connection in list(self.connections):
            connection.close()

    def date(self) -> bytes:
        """The Date header, rendered once a second."""
        second = int(time())
        if second != self._date_second:
            self._date_second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date

    def find(self, target: re.Match[bytes], known_version: int = 0) -> Found | None:
        """What is asked for, where the model may answer. None for a bug, too: it is met again inside the frame, which
        logs it and answers 500.
        """
        process_id = target[2]
        try:
            if process_id is None:
                listed = self._page(target[3] or b"")
                return None if listed is None else (self._listing, listed[0], listed[1].etag, listed[1].body)
            held = self._held(process_id.decode(), known_version)
            return None if held is None else (self._status, held[1], b'"v%d"' % held[0].version, held[0].body)
        except Exception:  # noqa: BLE001 - see above
            return None

    # -- waiting

    def wait(self, line: re.Match[bytes], etag_seen: bytes, asked_at: float, end: End) -> Answer | DirectWait | None:
        """See LongPolls.begin; None also where the query is not one that it takes. None for a bug, as in `find`."""
        query = self._wait_query(line[3])
        if query is None:
            return None
        seconds = query.seconds - (perf_counter() - asked_at)
        awaited = Awaited(seconds, query.until_terminal, etag_seen.decode())
        try:
            return self._long_polls.begin(line[2].decode(), awaited, end)
        except Exception:  # noqa: BLE001 - see above
            return None

    def _wait_query(self, query: bytes) -> WaitQuery | None:
        known = self._wait_queries
        if query not in known:
            if len(known) >= _MAX_WAIT_QUERIES:
                known.clear()
            known[query] = _read_wait_query(query.decode())
        return known[query]

    def let_ask_again(self, connection: Connection) -> None:
        """In slices: a request of aiohttp's costs a hundred microseconds, and there may be thousands, after a lapse."""
        self._asking_again.add(connection)

    def waits_began(self) -> None:
        """One more connection waits."""
        self._waits += 1

    def waits_ended(self) -> None:
        """One less."""
        self._waits -= 1
        if not self._waits:
            self._nobody_waits.set()

    def gone(self, age_s: int, request: WaitingRequest) -> bytes:
        """The whole answer to one who has waited for what has been deleted."""
        body = error_body(process_not_found(request.line[2].decode()))
        request_id = self.request_id(request.different)
        self._metrics.looked_up("negative")
        self._account(request, 404, len(body), request_id)
        return _NOT_FOUND % (age_s, request_id, request.headers.cors, len(body), self.date(), body)

    def left(self, request: WaitingRequest) -> None:
        """A client has gone away while it waited."""
        self._account(request, CLIENT_CLOSED_REQUEST, 0, self.request_id(request.different))

    def _account(self, request: WaitingRequest, status: int, size: int, request_id: bytes) -> None:
        """Count and log it as the frame does."""
        self._other_requests += 1
        ended = perf_counter()
        seconds = ended - request.asked_at
        self._metrics.request_answered(WAITED_STATUS, "GET", status, seconds)
        template = self.template(status, request.headers)
        if self._request_log is not None and template:
            end = self.line_end(request.different)
            self._request_log.log(template, request.line[1], size, seconds, ended, request_id, end)

    # -- how an answer is accounted for

    @property
    def requests_count(self) -> int:
        """Requests answered here."""
        routes = self._status, self._listing, self.waited
        return self._other_requests + sum(tally.count for route in routes for tally in route)

    def read_headers(self, rest: bytes, remote: str | None) -> Headers | None:
        """What the headers say; None where they are not all known, or ask for what only aiohttp can give."""
        headers = poll_headers(rest)
        if headers is None:
            return None
        if not is_allowed(self._access.keys, headers.get("authorization", ""), headers.get("x-api-key", "")):
            return None
        cors = _lines(cors_headers(self._access.origins, headers.get("origin")))
        return Headers(headers.get("user-agent"), remote, cors)

    def template(self, status: int, headers: Headers) -> Template | tuple[()]:
        """Of the lines that log such answers."""
        if self._request_log is None:
            return ()
        return self._request_log.template("GET", status, headers.remote, headers.user_agent) or ()

    def line_end(self, different: Different) -> bytes:
        """Of the line that logs a request: with its trace, where it has one."""
        if self._request_log is None or (different.traceparent or different.cloud_trace_context) is None:
            return self.usual_line_end
        return self._request_log.end(_text(different.traceparent), _text(different.cloud_trace_context))

    def request_id(self, different: Different) -> bytes:
        """The client's own, where it may be one."""
        given = None if different.request_id is None else REQUEST_ID.read(different.request_id.decode())
        return given.encode() if given else self.next_request_id()


def _ask_again(connection: Connection) -> Iterator[None]:
    connection.ask_again()
    yield


def _read_wait_query(query: str) -> WaitQuery | None:
    """None where it is wrong, or asks for products too."""
    try:
        values = STATUS.query(query)
        return None if INCLUDE_PRODUCTS.of(values) else read_wait(values, CIMultiDict())
    except BadParameter:
        return None


def _route(metrics: Metrics, route: str) -> Tallies:
    return metrics.tally_of_hits(route, 200), metrics.tally_of_hits(route, 304)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
