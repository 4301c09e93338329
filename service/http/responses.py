"""Renders answers: the headers that every answer has, and the bytes of heads, bodies and errors. Pure.

All responses are rendered here: answers of handlers, heads of streams, refusals, and the common beginning of all
answers from the model with the same age.
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
from service.http.requests import HTTP_1_1, MAX_TARGET_BYTES, Version

JSON_TYPE = "application/json; charset=utf-8"
_IDS_AT_ONCE = 256
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


# -- bodies


def json_response(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response with a rendered JSON body."""
    return web.Response(body=body, status=status, headers={hdrs.CONTENT_TYPE: JSON_TYPE, **(headers or {})})


def error_response(
    status: int, message: str, *, headers: Mapping[str, str] | None = None, details: str | None = None
) -> web.Response:
    """An error response. All errors have this form."""
    return json_response(error_body(message, details), status=status, headers=headers)


def error_body(message: str, details: str | None = None) -> bytes:
    """The body of an error."""
    body = {"status": "error", "message": message}
    return orjson.dumps(body if details is None else {**body, "details": details})


def conditional_response(body: bytes, headers: Mapping[str, str], if_match: str, if_none_match: str) -> web.Response:
    """A 200, 304 or 412, depending on the request's conditions and the ETag in the headers."""
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
    """A Retry-After with jitter: fixed values would bring all clients back at once."""
    return {"Retry-After": str(max(1, round(least_s * random.uniform(1, 3) + random.uniform(0, 2))))}  # noqa: S311


def freshness(source: Source, age_s: int, etag: str | None = None) -> dict[str, str]:
    """The headers about the source, the age and the version of an answer about processes."""
    headers = {"X-Cache": source.value, hdrs.AGE: str(age_s)}
    return headers if etag is None else {**headers, hdrs.ETAG: etag}


# -- headers


def complete(headers: MutableMapping[str, str], request_id: str, cors: Mapping[str, str]) -> None:
    """Add the headers that every response has. Headers that the response has already stay."""
    for name, value in BASE_HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-Id"] = request_id
    headers.update(cors)


def request_ids() -> Iterator[bytes]:
    """Unique request IDs, without end. They are no secrets, so they need no system call. Must not be used on both sides
    of a fork.
    """
    return chain.from_iterable(iter(_more_request_ids, []))


def _more_request_ids() -> list[bytes]:
    text = random.randbytes(16 * _IDS_AT_ONCE).hex().encode()  # noqa: S311 - no secret
    return [text[begin : begin + 32] for begin in range(0, len(text), 32)]


class DateHeader:
    """The Date header, rendered once per second. It is valid until `valid_until` on the clock of `perf_counter`."""

    def __init__(self) -> None:
        self._text = b""
        self.valid_until = float("-inf")

    def __call__(self) -> bytes:
        """The present text."""
        now = time.perf_counter()
        if now >= self.valid_until:
            second, fraction = divmod(time.time(), 1)
            self._text, self.valid_until = formatdate(second, usegmt=True).encode(), now + 1 - fraction
        return self._text


# -- heads


def close_head(headers: MutableMapping[str, str], version: Version, *, keep_alive: bool, length: int | None) -> None:
    """Add the last headers that HTTP needs: the body's length, and Connection if the version does not imply it."""
    if length is not None:
        headers[hdrs.CONTENT_LENGTH] = str(length)
    if keep_alive != (version >= HTTP_1_1):
        headers[hdrs.CONNECTION] = "keep-alive" if keep_alive else "close"


def header_lines(headers: Mapping[str, str]) -> bytes:
    """The lines of these headers. Surrogate escapes become their original bytes."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return lines.encode("utf-8", "surrogateescape")


def render_head(status: int, headers: Mapping[str, str], date: bytes, version: Version = HTTP_1_1) -> bytes:
    """The head of a response, without the empty line at its end."""
    begin = b"HTTP/1.%d %d %b\r\nDate: %b\r\n" % (version[1], status, _REASONS.get(status, b""), date)
    return begin + header_lines(headers)


def render(response: web.Response, date: bytes, version: Version, *, is_head: bool, keep_alive: bool) -> bytes:
    """A handler's response, head and body. HEAD gets the same head as GET."""
    body = body_of(response)
    is_bodiless = response.status in _BODILESS
    close_head(response.headers, version, keep_alive=keep_alive, length=None if is_bodiless else len(body))
    head = render_head(response.status, response.headers, date, version)
    return b"%b\r\n%b" % (head, b"" if is_head or is_bodiless else body)


def body_of(response: web.StreamResponse) -> bytes:
    """The body of a response, if it is bytes."""
    body = getattr(response, "body", None)
    return body if isinstance(body, bytes) else b""


_REFUSALS = {
    400: "Malformed HTTP request",
    408: "The request took too long to arrive",
    414: f"The request target is longer than {MAX_TARGET_BYTES} bytes",
    431: "The request has too many headers, or too long ones",
}


def refusal(status: int, request_id: bytes, date: bytes) -> bytes:
    """The whole answer to bytes that are no valid request. Its connection is closed."""
    response = error_response(status, _REFUSALS[status])
    complete(response.headers, request_id.decode(), {})
    return render(response, date, HTTP_1_1, is_head=False, keep_alive=False)
