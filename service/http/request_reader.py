"""Reads the requests of one connection: llhttp parses every byte once and calls the methods `on_…`.

If the model can answer a plain request, and all earlier requests are answered, `ask_model` answers it in the step in
which it is read; its Head object is then used again. Every other request waits in `heads`, in order. A request that
breaks HTTP is its status there, and nothing after it is read. Bodies are never parsed: nothing is read after a head
that announces one.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from service.http.requests import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    MAX_TARGET_BYTES,
    NAMES_A_HOST,
    NOT_PLAIN,
    Head,
    Line,
)
from service.http.router import Router
from service.reads.answers import Answer
from service.watch.long_poll_waiter import LongPollWaiter, OnComplete


class Parked(NamedTuple):
    """A request that waits for a change of a process. Call `waiter.leave` exactly once, however the wait ends."""

    head: Head
    seen: str
    waiter: LongPollWaiter


AskModel = Callable[[Head, OnComplete], bytes | Parked | None]
"""Returns the whole answer, or a wait that ends with `on_complete`; None if only the handlers can answer."""


class _Refused(Exception):
    """A head that is not read to its end. The argument is the status of the answer."""


class RequestReader(asyncio.Protocol):
    """The connection sets `answers_at_once`, and `arrived_at` before each `feed`. `takes_more` is False after reading
    has ended. `count` is the number of heads read.
    """

    __slots__ = (
        "_ask_model",
        "_fields",
        "_head",
        "_head_bytes",
        "_parser",
        "_raw_target",
        "_repeated",
        "_targets",
        "answers_at_once",
        "arrived_at",
        "count",
        "heads",
        "is_in_head",
        "remote",
        "takes_more",
        "transport",
    )

    transport: asyncio.Transport | None
    """None after the client has gone."""

    def __init__(self, router: Router, ask_model: AskModel) -> None:
        self._targets = router.targets
        self._ask_model = ask_model
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._raw_target = b""
        self._fields: dict[bytes, bytes] = {}
        self._repeated: list[Line] = []
        self._head_bytes = 0
        self._head: Head | None = None
        self.answers_at_once = False
        self.is_in_head = False
        self.takes_more = True
        self.heads: list[Head | Parked | int] = []
        self.count = 0
        self.arrived_at = 0.0
        self.remote = ""

    def end_wait(self, answer: Answer | None) -> None:
        """End the wait of the parked request."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Read these bytes. Raises what `ask_model` raises."""
        while self.takes_more and self._parser is not None:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]  # the service never switches to another protocol: the rest is HTTP too
            except HttpParserError as error:
                self._refuse(error)
        self.is_in_head = self.takes_more and (self._raw_target != b"" or data[-1:] != b"\n")
        if self.is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_TARGET_BYTES + MAX_HEADER_BYTES:
                self._refuse(_Refused(431))  # the target has its own bound

    def stop(self) -> None:
        """Read nothing more, and drop requests that are not answered."""
        self.heads, self.takes_more, self.is_in_head = [], False, False

    def forget(self) -> None:
        """Leave no reference cycle behind."""
        self.stop()
        self._parser = None

    # -- callbacks of llhttp

    def on_url(self, part: bytes) -> None:
        self._raw_target = raw_target = self._raw_target + part
        if len(raw_target) > MAX_TARGET_BYTES:
            raise _Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        name, value = name.lower(), value.rstrip(b" \t")
        fields = self._fields
        if name in fields:
            self._repeated.append((name, value))
        else:
            fields[name] = value

    def on_headers_complete(self) -> None:
        head, parser, raw_target = self._head or Head(self.remote), self._parser, self._raw_target
        head.fields, head.repeated = self._fields, self._repeated
        self._head = None
        self._raw_target = b""
        self._fields = {}
        self.count += 1
        if (self._head_bytes or head.repeated or len(head.fields) > MAX_HEADER_LINES) and head.is_too_large:
            raise _Refused(431)
        self._head_bytes = 0
        if not self.takes_more or parser is None:
            return
        head.method = method = parser.get_method()
        head.target = target = self._targets[raw_target]
        head.arrived_at = self.arrived_at
        keep_alive, fields = parser.should_keep_alive(), head.fields
        head.is_plain = (
            keep_alive
            and target.is_path
            and method == b"GET"
            and not head.repeated
            and NAMES_A_HOST[fields.get(b"host")]
            and NOT_PLAIN.isdisjoint(fields)
            # Only HTTP/1.1 keeps connections open by default, so often the version need not be looked up.
            and (b"connection" not in fields or parser.get_http_version() >= "1.1")
        )
        if not head.is_plain:
            head.inspect(keep_alive, parser.get_http_version())
        item: Head | Parked = head
        if head.is_plain and self.answers_at_once and not self.heads:
            answer = self._ask_model(head, self.end_wait)
            if isinstance(answer, bytes):
                self.transport.write(answer)  # type: ignore[union-attr] # nothing is read once it is gone
                self._head = head
                return
            head.is_plain = False  # the model was already asked
            item = answer or head
        if raw_target == b"*" and head.method != b"OPTIONS":
            raise _Refused(400)
        self._repeated = []  # the head, which waits, keeps the old list
        self.heads.append(item)
        self.takes_more = not head.closes

    def _refuse(self, error: Exception) -> None:
        cause = error if isinstance(error, _Refused) else error.__context__
        if cause is not None and not isinstance(cause, _Refused):
            raise cause
        if self.takes_more:
            self.takes_more = self.is_in_head = False
            self.heads.append(400 if cause is None else cause.args[0])
