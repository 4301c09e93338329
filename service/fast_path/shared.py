"""What all connections share: whom to ask, whom to tell, and how an answer looks."""

import asyncio
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from email.utils import formatdate
from time import time

from service.access import cors_headers, is_allowed
from service.answers import Answers, Source
from service.fast_path.canonical_requests import Different, poll_headers
from service.http_frame import BASE_HEADERS, JSON_TYPE, AccessRules, new_request_ids
from service.logs import RequestLog
from service.logs.request_log import Template
from service.metrics import Metrics, RequestTally
from service.parameters import REQUEST_ID
from service.rendered_pages import RenderedPages
from service.turns import Turns


def _lines(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


_FRESHNESS = {"X-Cache": Source.HIT.value, "Age": "%d", "Etag": "%b", **BASE_HEADERS, "X-Request-Id": "%b"}
FOUND = (
    b"HTTP/1.1 200 OK\r\n"
    + _lines({"Content-Type": JSON_TYPE, **_FRESHNESS})
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


class Connection(asyncio.Protocol, ABC):
    """One that has not been aiohttp's yet."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """End it once what has been written is sent."""


class FastPath:
    """What the model may answer, and how; the connections that have not been aiohttp's yet."""

    def __init__(
        self,
        answers: Answers,
        pages: RenderedPages,
        metrics: Metrics,
        request_log: RequestLog | None,
        access: AccessRules,
        turns: Turns,
    ) -> None:
        self.turns = turns
        self.usual_line_end = b""
        if request_log is not None:
            self.late_records, self.take_late = request_log.late, request_log.take_late
            self.usual_line_end = request_log.end()
        self._request_log = request_log
        self.connections: set[Connection] = set()
        self.next_request_id = new_request_ids().__next__
        self._held = answers.held
        self._page = pages.page
        self._status = _route(metrics, "/status/{process_id}")
        self._listing = _route(metrics, "/status")
        self._access = access
        self._date_second = 0
        self._date = b""

    def close(self) -> None:
        """End all connections: each has been answered what it has asked."""
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

    @property
    def requests_count(self) -> int:
        """Requests answered here."""
        return sum(tally.count for route in (self._status, self._listing) for tally in route)

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


def _route(metrics: Metrics, route: str) -> Tallies:
    return metrics.tally_of_hits(route, 200), metrics.tally_of_hits(route, 304)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
