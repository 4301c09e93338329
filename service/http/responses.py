"""Renders answers: the headers that every answer carries, and the bytes of heads, bodies and errors. Pure.

The one place that renders a response, whichever way it took: answers from the model are filled into templates that are
made here with the same functions that render a handler's response or a stream's head.
"""

import random
import time
from collections.abc import Iterator, Mapping, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from itertools import chain

import orjson
from aiohttp import hdrs, web

from service.api.etags import matches, precondition_failed
from service.api.headers import BASE_HEADERS
from service.api.sources import Source
from service.http.requests import MAX_TARGET_BYTES

JSON_TYPE = "application/json; charset=utf-8"
_IDS_AT_ONCE = 256
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


# -- bodies


def json_response(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response with a rendered JSON body."""
    return web.Response(body=body, status=status, headers={hdrs.CONTENT_TYPE: JSON_TYPE, **(headers or {})})


def error_response(
    status: int, message: str, *, headers: Mapping[str, str] | None = None, details: str | None = None
) -> web.Response:
    """The one shape of every error."""
    return json_response(error_body(message, details), status=status, headers=headers)


def error_body(message: str, details: str | None = None) -> bytes:
    """The body of an error."""
    body = {"status": "error", "message": message}
    return orjson.dumps(body if details is None else {**body, "details": details})


def conditional_response(body: bytes, headers: Mapping[str, str], if_match: str, if_none_match: str) -> web.Response:
    """200, 304 or 412, as the request's conditions and the ETag among the headers say."""
    etag = headers[hdrs.ETAG]
    if precondition_failed(if_match, etag):
        return error_response(412, "Precondition Failed", headers=headers)
    if if_none_match and matches(if_none_match, etag):
        return web.Response(status=304, headers=headers)
    return json_response(body, headers=headers)


def process_not_found(process_id: str) -> str:
    """The message of a 404."""
    return f"Process with ID {process_id} not found"


def retry_after(least_s: float) -> dict[str, str]:
    """A jittered Retry-After: fixed values would bring all clients back at once."""
    return {"Retry-After": str(max(1, round(least_s * random.uniform(1, 3) + random.uniform(0, 2))))}  # noqa: S311


def freshness(source: Source, age_s: int, etag: str | None = None) -> dict[str, str]:
    """The headers that say where an answer about processes comes from, how old it can be, and which version it is."""
    headers = {"X-Cache": source.value, hdrs.AGE: str(age_s)}
    return headers if etag is None else {**headers, hdrs.ETAG: etag}


# -- headers


def complete(headers: MutableMapping[str, str], request_id: str, cors: Mapping[str, str]) -> None:
    """Add what every response carries, unless it says otherwise itself."""
    for name, value in BASE_HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-Id"] = request_id
    headers.update(cors)


def header_lines(headers: Mapping[str, str]) -> str:
    """The lines of these headers."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def request_ids() -> Iterator[bytes]:
    """IDs that no other request has, without end. Not secrets, so they need no system call. Not to be taken over a
    fork.
    """
    return chain.from_iterable(iter(_more_request_ids, []))


def _more_request_ids() -> list[bytes]:
    text = random.randbytes(16 * _IDS_AT_ONCE).hex().encode()  # noqa: S311 - no secret
    return [text[begin : begin + 32] for begin in range(0, len(text), 32)]


class DateHeader:
    """The Date header: `text` until `valid_until` on the clock of `perf_counter`, rendered once per second."""

    def __init__(self) -> None:
        self.text = b""
        self.valid_until = float("-inf")

    def __call__(self) -> bytes:
        """The present text."""
        now = time.perf_counter()
        if now >= self.valid_until:
            second, fraction = divmod(time.time(), 1)
            self.text, self.valid_until = formatdate(second, usegmt=True).encode(), now + 1 - fraction
        return self.text


def connection_line(version: tuple[int, int], *, keep_alive: bool) -> str:
    """The header that says whether the connection stays open, where the HTTP version implies the contrary."""
    if version >= (1, 1):
        return "" if keep_alive else "Connection: close\r\n"
    return "Connection: keep-alive\r\n" if keep_alive else ""


CLOSE_LINE = connection_line((1, 1), keep_alive=False).encode()


# -- heads


def render_head(
    status: int,
    headers: Mapping[str, str],
    *,
    date: str,
    last: str = "",
    length: int | str | None = None,
    version: tuple[int, int] = (1, 1),
) -> str:
    """A response's head; `last` are further lines, `length` is that of its body."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    lines = f"{header_lines(headers)}{last}{size}Date: {date}\r\n"
    return f"HTTP/1.{version[1]} {status} {_REASONS.get(status, '')}\r\n{lines}\r\n"


def render(
    response: web.Response, *, is_head: bool, date: bytes, keep_alive: bool, version: tuple[int, int] = (1, 1)
) -> bytes:
    """A handler's response, head and body. HEAD gets the head that GET would get."""
    body, length = body_of(response), None
    if response.status not in _BODILESS:
        length = len(body)
    head = render_head(
        response.status,
        response.headers,
        date=date.decode(),
        last=connection_line(version, keep_alive=keep_alive),
        length=length,
        version=version,
    ).encode("utf-8", "surrogateescape")
    return head if is_head or length is None else head + body


def body_of(response: web.StreamResponse) -> bytes:
    """The body of a response that has it as bytes."""
    body = getattr(response, "body", None)
    return body if isinstance(body, bytes) else b""


def _template(status: int, headers: dict[str, str], *, has_body: bool) -> bytes:
    """A head with gaps: the headers' own, the request ID, further lines, the length and the date."""
    complete(headers, "%b", {})
    head = render_head(status, headers, last="%b", date="%b", length="%d" if has_body else None)
    return head.encode() + (b"%b" if has_body else b"")


_HIT: dict[str, str] = {"X-Cache": Source.HIT.value, hdrs.AGE: "%d"}
_JSON: dict[str, str] = {hdrs.CONTENT_TYPE: JSON_TYPE}
FOUND = _template(200, {**_JSON, **_HIT, hdrs.ETAG: "%b"}, has_body=True)
"""Gaps: age, ETag, request ID, further lines, length, date, body."""
NOT_MODIFIED = _template(304, {**_HIT, hdrs.ETAG: "%b"}, has_body=False)
"""Gaps: age, ETag, request ID, further lines, date."""
NOT_FOUND = _template(404, {**_JSON, **_HIT}, has_body=True)
"""Gaps: age, request ID, further lines, length, date, body."""
_REFUSALS = {
    400: "Malformed HTTP request",
    408: "The request took too long to arrive",
    414: f"The request target is longer than {MAX_TARGET_BYTES} bytes",
    431: "The request has too many headers, or too long ones",
}
_REFUSAL = {status: _template(status, dict(_JSON), has_body=True) for status in _REFUSALS}


def refusal(status: int, request_id: bytes, date: bytes) -> bytes:
    """The whole answer to what did not become a request; its connection is closed."""
    body = error_body(_REFUSALS[status])
    return _REFUSAL[status] % (request_id, CLOSE_LINE, len(body), date, body)
