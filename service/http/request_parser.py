"""Reads the requests of one connection: llhttp parses every byte once and calls the methods `on_…`.

A plain request is answered by `poll` in the same step, where the model can answer it, while the parser itself still
holds it as its present Request: that saves a record of its own. Every other request becomes a Head in `heads`, in its
order. What breaks HTTP becomes its status there, and nothing after it is read. Bodies are never parsed: nothing is read
after the head that announces one.
"""

from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from service.http.requests import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    MAX_TARGET_BYTES,
    Head,
    Line,
    Request,
    are_too_large,
    plain_fields,
)
from service.http.router import Router, Target


class _Refused(Exception):
    """A head that is not read to its end. The argument is the status."""


class RequestParser:
    """`poll` returns the whole answer to a plain request, which goes to `write`, or None.

    The connection sets `may_poll`, and `arrived_at` before each `feed`. `takes_more` is False once nothing more is
    read. `count` is the number of heads read.
    """

    is_last = False
    """At the end of the service no request is offered."""

    target: Target
    fields: dict[bytes, bytes]
    method: bytes
    write: Callable[[bytes], object]

    def __init__(self, router: Router, poll: Callable[[Request], bytes | None]) -> None:
        self._router = router
        self._remembered = router.remembered
        self._poll = poll
        self.may_poll = False
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._raw_target = b""
        self._lines: list[Line] = []
        self._head_bytes = 0
        self.is_in_head = False
        self.takes_more = True
        self.heads: list[Head | int] = []
        self.count = 0
        self.arrived_at = 0.0
        self.remote = ""

    def feed(self, data: bytes) -> None:
        """Read what has come. Raises what `poll` raises."""
        while self.takes_more and self._parser is not None:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]  # another protocol is never begun: what follows is HTTP too
            except HttpParserError as error:
                self._refuse(error)
        self.is_in_head = self.is_in_head and self.takes_more
        if self.is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_TARGET_BYTES + MAX_HEADER_BYTES:
                self._refuse(_Refused(431))  # the target has a bound of its own

    def stop(self) -> None:
        """Read nothing more, and drop what is not answered."""
        self.heads, self.takes_more, self.is_in_head = [], False, False

    def close(self) -> None:
        """Leave no cycle behind."""
        self.stop()
        self._parser = None
        del self.write

    # -- the calls of llhttp

    def on_message_begin(self) -> None:
        self.is_in_head = True

    def on_url(self, part: bytes) -> None:
        self._raw_target += part
        if len(self._raw_target) > MAX_TARGET_BYTES:
            raise _Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        parser, lines, raw = self._parser, self._lines, self._raw_target
        self._lines = []
        self._raw_target = b""
        self.is_in_head = False
        self.count += 1
        if (self._head_bytes or len(lines) > MAX_HEADER_LINES) and are_too_large(lines):
            raise _Refused(431)
        self._head_bytes = 0
        if not self.takes_more or parser is None:
            return
        self.method = method = parser.get_method()
        keep_alive = parser.should_keep_alive()
        self.target = target = self._remembered.get(raw) or self._router.read(raw)
        fields = plain_fields(method, lines, keep_alive, parser)
        if fields is not None and self.may_poll and not self.heads:
            self.fields = fields
            answer = self._poll(self)
            if answer is not None:
                self.write(answer)
                return
        if raw == b"*" and method != b"OPTIONS":
            raise _Refused(400)
        head = Head(method, target, lines, self.arrived_at, self.remote, keep_alive, parser.get_http_version)
        self.heads.append(head)
        self.takes_more = not head.closes

    def _refuse(self, error: Exception) -> None:
        cause = error if isinstance(error, _Refused) else error.__context__
        if cause is not None and not isinstance(cause, _Refused):
            raise cause
        if self.takes_more:
            self.takes_more = self.is_in_head = False
            self.heads.append(400 if cause is None else cause.args[0])
