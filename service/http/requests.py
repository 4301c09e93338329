"""The head of a request as it was parsed, and what HTTP says about it: whether it can be answered, whether a body
or another request follows. Pure.

No route takes a body: a request that announces one is answered, and its connection is closed.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from httptools import HttpRequestParser

from service.api.caller import Caller
from service.http.router import Target, is_host

MAX_TARGET_BYTES = 32 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_LINES = 128

Line = tuple[bytes, bytes]
"""A header's name and value as they came."""

HTTP_1_0 = (1, 0)
HTTP_1_1 = (1, 1)

_KNOWN_HOSTS: set[bytes | None] = set()
_MAX_KNOWN_HOSTS = 256

_OF_BODY_OR_EXPECTATION = frozenset({b"content-length", b"expect", b"transfer-encoding"})
_FOR_HANDLERS = frozenset({b"cache-control", b"if-match", b"prefer"})
_NOT_PLAIN = _OF_BODY_OR_EXPECTATION | _FOR_HANDLERS

_SINGLE = frozenset(
    b"content-length content-location content-range content-type etag host max-forwards server transfer-encoding"
    b" user-agent".split()
)
"""Headers that RFC 9110 allows once; aiohttp refuses them twice, too."""

_READ = (
    "Host User-Agent Accept Accept-Encoding Accept-Language Authorization X-Api-Key Origin Cookie Connection Referer"
    " If-None-Match Traceparent Tracestate"
    " X-Cloud-Trace-Context X-Request-Id Last-Event-Id X-Forwarded-For X-Forwarded-Proto Via"
)
_SPELLINGS = {
    spelling.encode(): name.lower().encode()
    for name in _READ.split()
    for spelling in (name, name.lower(), name.replace("Id", "ID").replace("Api", "API"))
}


class Request(Protocol):
    """A request as every part sees it. `fields` has the first value of each header by its name in lower case;
    `arrived_at` is on the clock of `perf_counter`; `is_last`: its answer ends the connection.
    """

    @property
    def is_last(self) -> bool: ...

    target: Target
    fields: dict[bytes, bytes]
    arrived_at: float
    remote: str
    method: bytes


class Head:
    """The Request of everything that is not answered in the step in which it is parsed.

    `caller` is who sends it, set where the request is admitted.

    `is_plain`: one GET, kept open after it, that the model alone can answer: without a body, every header once, none
    that takes more. `refusal` is the status and the message of the answer to a request that breaks HTTP.
    """

    __slots__ = (
        "arrived_at",
        "caller",
        "closes",
        "fields",
        "is_last",
        "is_plain",
        "lines",
        "method",
        "refusal",
        "remote",
        "target",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: Target,
        lines: list[Line],
        arrived_at: float,
        remote: str,
        keep_alive: bool,
        read_version: Callable[[], str],
    ) -> None:
        self.method = method
        self.target = target
        self.lines = lines
        self.arrived_at = arrived_at
        self.remote = remote
        self.fields = {name.lower(): value for name, value in reversed(lines)}
        self.refusal: tuple[int, str] | None = None
        self.caller: Caller
        self.is_last = False
        self._inspect(keep_alive, read_version)

    def text(self, name: bytes) -> str | None:
        """A header's first value; bytes that are not UTF-8 become surrogate escapes, as aiohttp has them."""
        value = self.fields.get(name)
        return None if value is None else value.decode("utf-8", "surrogateescape")

    @property
    def waited_s(self) -> float:
        """How long ago the request came."""
        return perf_counter() - self.arrived_at

    @property
    def expectation(self) -> str | None:
        """What the client expects that this service does not do: None also for `100-continue`."""
        expected = self.text(b"expect")
        return None if expected is None or expected.lower() == "100-continue" else expected

    def _inspect(self, keep_alive: bool, read_version: Callable[[], str]) -> None:
        fields = self.fields
        is_repeated = len(fields) != len(self.lines)
        is_old = (not keep_alive or b"connection" in fields) and read_version() < "1.1"
        self.version = HTTP_1_0 if is_old else HTTP_1_1
        coding = fields.get(b"transfer-encoding")
        if is_repeated and self._repeats_a_single_one():
            self.refusal = 400, "A header that can be given only once is there twice"
        elif coding is not None and coding.lower() != b"chunked":
            self.refusal = 501, "Transfer-Encoding can only be chunked"
        elif self.method == b"CONNECT":
            self.refusal = 400, "This is no proxy: there is no CONNECT"
        elif self.target.path[:1] != "/" and self.target.raw != "*":
            self.refusal = 400, "The request target names no host"
        elif not self._has_valid_host():
            self.refusal = 400, "The request needs one Host header that names a host"
        has_body = coding is not None or bool(fields.get(b"content-length", b"0").strip(b"0"))
        self.closes = not keep_alive or has_body or self.refusal is not None
        is_usual = self.method == b"GET" and not (is_old or self.closes or is_repeated)
        self.is_plain = is_usual and _NOT_PLAIN.isdisjoint(fields)

    def _repeats_a_single_one(self) -> bool:
        names = [name.lower() for name, _ in self.lines]
        return any(names.count(name) > 1 for name in _SINGLE)

    def _has_valid_host(self) -> bool:
        """RFC 9112, 3.2."""
        host = self.fields.get(b"host")
        if host is None:
            return self.version < HTTP_1_1
        if not is_host(host.decode("latin-1")):
            return False
        if len(_KNOWN_HOSTS) < _MAX_KNOWN_HOSTS and len(host) <= 255:
            _KNOWN_HOSTS.add(host)
        return True


def plain_fields(
    method: bytes, lines: list[Line], keep_alive: bool, parser: HttpRequestParser
) -> dict[bytes, bytes] | None:
    """The fields of a plain request; None for all others, and for a few that are plain in an unusual way."""
    if method != b"GET" or not keep_alive:
        return None
    fields: dict[bytes, bytes] = {}
    for name, value in lines:
        field = _SPELLINGS.get(name)
        if field is None:
            field = name.lower()
            if field in _NOT_PLAIN:
                return None
        fields[field] = value
    # Only 1.1 is kept open without being asked to, so often the version need not be asked for.
    if b"connection" in fields and parser.get_http_version() < "1.1":
        return None
    return fields if fields.get(b"host") in _KNOWN_HOSTS and len(fields) == len(lines) else None


def are_too_large(lines: list[Line]) -> bool:
    """Whether these are more header bytes, or lines, than are taken."""
    return len(lines) > MAX_HEADER_LINES or sum(len(name) + len(value) + 4 for name, value in lines) > MAX_HEADER_BYTES
