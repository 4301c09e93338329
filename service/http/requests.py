"""The head of a request after parsing, and its meaning in HTTP: whether it can be answered, and whether a body or
another request follows. Pure.

No route takes a body: if a request announces one, it is answered, and its connection is closed.
"""

from time import perf_counter

from service.api.caller import Caller
from service.http.router import Target, is_host
from service.runtime.remembered import Remembered

MAX_TARGET_BYTES = 32 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_LINES = 128

Line = tuple[bytes, bytes]
"""The name of a header in lower case, and its value."""

Version = tuple[int, int]
HTTP_1_0 = (1, 0)
HTTP_1_1 = (1, 1)

NAMES_A_HOST: Remembered[bytes | None, bool] = Remembered(
    lambda host: host is not None and is_host(host.decode("latin-1")), 64 * 1024, lambda host, _: len(host or b"") + 256
)
"""Whether the value of a Host header names a host (RFC 9112, 3.2)."""

NOT_PLAIN = frozenset(b"cache-control content-length expect if-match prefer transfer-encoding".split())
"""Headers that announce a body, or need the handlers."""

_SINGLE = frozenset(
    b"content-length content-location content-range content-type etag host max-forwards server transfer-encoding"
    b" user-agent".split()
)
"""Headers that RFC 9110 allows only once. aiohttp also refuses them if they are there twice."""


class Head:
    """One request. Its connection sets `target`, `method`, `arrived_at` (on the clock of `perf_counter`), `fields` (the
    first value of each header by its name in lower case), `repeated` (the others), and `is_last` if its answer ends the
    connection. `caller` is set when the request is admitted.

    `is_plain`: the model alone can answer it. It is a GET that keeps its connection open, has no body, has every header
    only once, and has no header that needs the handlers. If the request breaks HTTP, `refusal` is status and message of
    the answer.
    """

    __slots__ = (
        "arrived_at",
        "caller",
        "closes",
        "fields",
        "is_last",
        "is_plain",
        "method",
        "refusal",
        "remote",
        "repeated",
        "target",
        "version",
    )

    target: Target
    caller: Caller
    fields: dict[bytes, bytes]
    repeated: list[Line]
    method: bytes

    def __init__(self, remote: str) -> None:
        self.remote = remote
        self.arrived_at = 0.0
        self.is_plain = self.closes = self.is_last = False
        self.refusal: tuple[int, str] | None = None
        self.version = HTTP_1_1

    def text(self, name: bytes) -> str | None:
        """The first value of a header. Bytes that are not UTF-8 become surrogate escapes, as in aiohttp."""
        value = self.fields.get(name)
        return None if value is None else value.decode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[Line]:
        """All headers; values of one name are in their order."""
        return [*self.fields.items(), *self.repeated]

    @property
    def is_too_large(self) -> bool:
        """Whether there are too many header bytes or lines."""
        lines = self.lines
        size = sum(len(name) + len(value) + 4 for name, value in lines)
        return len(lines) > MAX_HEADER_LINES or size > MAX_HEADER_BYTES

    @property
    def waited_s(self) -> float:
        """The seconds since the request came."""
        return perf_counter() - self.arrived_at

    @property
    def expectation(self) -> str | None:
        """The value of Expect, if this service does not support it; None also for `100-continue`."""
        expected = self.text(b"expect")
        return None if expected is None or expected.lower() == "100-continue" else expected

    def inspect(self, keep_alive: bool, version: str) -> None:
        """Find the meaning of a request that is not plain."""
        fields = self.fields
        self.version = HTTP_1_0 if version < "1.1" else HTTP_1_1
        self._find_fault()
        has_body = b"transfer-encoding" in fields or bool(fields.get(b"content-length", b"0").strip(b"0"))
        self.closes = not keep_alive or has_body or self.refusal is not None

    def _find_fault(self) -> None:
        fields = self.fields
        if not _SINGLE.isdisjoint(name for name, _ in self.repeated):
            self.refusal = 400, "A header that can be given only once is there twice"
        elif fields.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self.refusal = 501, "Transfer-Encoding can only be chunked"
        elif self.method == b"CONNECT":
            self.refusal = 400, "This is no proxy: there is no CONNECT"
        elif not self.target.is_path and self.target.raw != "*":
            self.refusal = 400, "The request target names no host"
        elif not NAMES_A_HOST[fields.get(b"host")] and (b"host" in fields or self.version >= HTTP_1_1):
            self.refusal = 400, "The request needs one Host header that names a host"
