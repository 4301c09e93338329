"""One client's connection: reads requests, answers each in its order, and ends.

llhttp parses every request once. What the model can answer is answered in the step in which it is read; anything else
is a task that runs the handlers on the same connection. While a request waits or is handled, and while it is others'
turn, what comes is kept as it came, and past a bound nothing more is read.

The connection is in one state at a time, and `_enter` alone changes it. At the end of a connection every request that
it took and did not answer is accounted for as abandoned.
"""

import asyncio
import logging
import socket
from contextlib import ExitStack
from enum import Enum
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, cast

from aiohttp import web
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from service.http.model_answers import ModelAnswers, Parked
from service.http.requests import (
    HTTP_1_1,
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    MAX_TARGET_BYTES,
    Head,
    Line,
    are_too_large,
    plain_fields,
)
from service.http.responses import refusal, render
from service.reads.answers import Answer
from service.runtime.turns import OTHER_S

if TYPE_CHECKING:
    from service.http.server import HttpServer

log = logging.getLogger(__name__)

PIECE_BYTES = 4096
"""Parsed at a time: a hundred of the shortest requests."""

MAX_AT_ONCE = 16
"""Requests of one pipeline answered before other connections have a turn."""

MAX_BACKLOG_BYTES = 64 * 1024
"""Of one connection, not parsed yet: past it nothing more is read."""

MAX_DISCARDED_BYTES = 256 * 1024
"""Read and thrown away after the last answer, so that the client gets to read it."""

FIRST_REQUEST_S = 10.0
"""A new connection counts as silent only after this time."""

LINGER_S = 1.0
"""How long a client has to close its side after the last answer."""


class State(Enum):
    """What becomes of the next request."""

    READY = "ready"  # it is answered when it is read
    QUEUED = "queued"  # it waits: other connections have their turn
    PARKED = "parked"  # it waits: one before it waits for a change, without a task
    HANDLING = "handling"  # it waits: a task answers one before it
    BLOCKED = "blocked"  # it waits: the client does not read what it got
    LINGERING = "lingering"  # it is thrown away: the last answer has been written
    CLOSED = "closed"


_READY = State.READY  # Python 3.11 takes a tenth of a microsecond to look a member up


class _Refused(Exception):
    """A head that is not read to its end. The argument is the status."""


_MESSAGES = {
    400: "Malformed HTTP request",
    408: "The request took too long to arrive",
    414: f"The request target is longer than {MAX_TARGET_BYTES} bytes",
    431: "The request has too many headers, or too long ones",
}


class Connection(asyncio.Protocol):
    """See above. `transport` is None once the client is gone."""

    __slots__ = (
        "_answer_from_model",
        "_arrived_at",
        "_backlog",
        "_discarded",
        "_drain_waiter",
        "_head_bytes",
        "_head_timer",
        "_heads",
        "_idle_timer",
        "_is_in_head",
        "_is_new",
        "_is_reading",
        "_is_writable",
        "_known_targets",
        "_lines",
        "_parked",
        "_parser",
        "_poll",
        "_reader_timer",
        "_server",
        "_state",
        "_takes_more",
        "_target",
        "_task",
        "_turns",
        "_unread_timer",
        "_unstarted",
        "peername",
        "remote",
        "transport",
    )

    head_timeout_s = 10.0
    """How long the head of a request may take from its first byte to its last."""

    reader_timeout_s = 30.0
    """How long answers may wait in a connection's buffer for their reader to make room."""

    keepalive_timeout_s = 3630.0
    """How long a connection may be idle: longer than load balancers keep theirs, so that it is they who close it."""

    unread_timeout_s = 1.0
    """How long a request can take while more than MAX_BACKLOG_BYTES wait behind it: nothing more is read then, so the
    connection cannot see its client leave, and a wait would last to its end."""

    ssl_context = sockname = None
    """What a request of aiohttp's asks for, beside `peername`: TLS ends in front of this service."""

    transport: asyncio.Transport | None

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._turns = server.turns
        self._known_targets = server.router.remembered
        self._answer_from_model = server.answer_from_model
        self._poll = server.poll_model
        self._state = State.READY
        self.transport = None
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._target = b""
        self._lines: list[Line] = []
        self._is_in_head = False
        self._head_bytes = 0
        self._heads: list[Head | int] = []
        """Parsed and not answered; a number is the status of what could not be parsed, after which nothing is."""
        self._takes_more = True
        self._backlog = b""
        self._discarded = 0
        self._is_new = True
        self._arrived_at = 0.0
        self._is_reading = self._is_writable = True
        self._parked: Parked | None = None
        self._task: asyncio.Task[None] | None = None
        self._unstarted: Head | None = None
        """What the task handles, until it runs: a task that is cancelled before accounts for nothing."""
        self._drain_waiter: asyncio.Future[None] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle

    def __repr__(self) -> str:
        return f"<Connection of {self.remote if self.transport else None}, {self._state.value}>"

    # -- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.peername = transport.get_extra_info("peername")
        self.remote = str(self.peername[0] if isinstance(self.peername, tuple) else self.peername)
        self._arrived_at = perf_counter()
        self._idle_timer = self._server.loop.call_later(self.keepalive_timeout_s, self._close_if_idle)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if self._state is not _READY or not (now < self._turns.ends_at or self._turns.takes(now)):
            self._keep(data, now)
            return
        self._arrived_at = now
        if len(data) > PIECE_BYTES:
            self._backlog = data
            self._resume()
            return
        self._feed(data)
        if self._heads:
            self._answer_parsed()

    def pause_writing(self) -> None:
        """The client is behind with reading: see how long it takes."""
        self._is_writable = False
        self._reader_timer = self._server.loop.call_later(self.reader_timeout_s, self.abort)

    def resume_writing(self) -> None:
        """The client has made room."""
        self._is_writable = True
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None
        self._wake_drain()
        if self._state is State.BLOCKED:
            self._enter(State.READY)
            self._resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Each of these is done, whatever becomes of the others."""
        task, parked = self._task, self._parked
        with ExitStack() as stack:
            stack.callback(self._server.closed, self)
            stack.callback(self._forget)
            stack.callback(self._enter, State.CLOSED)
            if parked is not None:
                stack.callback(self._server.accounting.abandoned, parked.head, self._server.waited_label)
                stack.callback(self._unpark)
            if task is not None:
                stack.callback(task.cancel)
            stack.callback(self._abandon_rest)

    # -- the parser's calls

    def on_message_begin(self) -> None:
        self._is_in_head = True

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > MAX_TARGET_BYTES:
            raise _Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """A body, where one follows, is never parsed: nothing is taken after its head."""
        parser, lines, target = self._parser, self._lines, self._target
        self._is_in_head = self._is_new = False
        self._lines = []
        self._target = b""
        if (self._head_bytes or len(lines) > MAX_HEADER_LINES) and are_too_large(lines):
            raise _Refused(431)
        self._head_bytes = 0
        if not self._takes_more or parser is None:
            return
        method, keep_alive = parser.get_method(), parser.should_keep_alive()
        meant = self._known_targets.get(target) or self._server.router.read(target)
        if self._state is _READY and self._is_writable and not self._heads:
            fields = plain_fields(method, meant, lines, keep_alive, parser.get_http_version)
            answer = None if fields is None else self._poll(meant, fields, self._arrived_at, self.remote)
            if answer is not None:
                self.transport.write(answer)  # type: ignore[union-attr] # nothing is read once it is gone
                if self._server.is_closing:
                    self._linger()
                return
        if target == b"*" and method != b"OPTIONS":
            raise _Refused(400)
        head = Head(method, meant, lines, self._arrived_at, self.remote, keep_alive, parser.get_http_version)
        self._heads.append(head)
        self._takes_more = not head.closes

    # -- reading

    def _feed(self, data: bytes) -> None:
        """Parse. What can't be parsed is answered too, after what came before it."""
        while self._takes_more and self._parser is not None:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]  # another protocol is never begun: what follows is HTTP too
            except HttpParserError as error:
                self._refuse(error)
        if self._is_in_head or self._head_timer is not None:
            self._time_head(len(data))

    def _time_head(self, more_bytes: int) -> None:
        """A head that is not whole has bounded time and size."""
        if self._is_in_head and self._takes_more:
            self._head_bytes += more_bytes
            if self._head_bytes > MAX_TARGET_BYTES + MAX_HEADER_BYTES:
                self._refuse(_Refused(431))  # the target has a bound of its own
            elif self._head_timer is None:
                self._head_timer = self._server.loop.call_later(self.head_timeout_s, self._head_is_late)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: Exception) -> None:
        cause = error if isinstance(error, _Refused) else error.__context__
        if isinstance(cause, _Refused):
            (status,) = cause.args
        elif cause is not None:
            raise cause
        else:
            status = 400
        if self._takes_more:
            self._takes_more = self._is_in_head = False
            self._heads.append(status)

    def _keep(self, data: bytes, now: float) -> None:
        """Until its turn has come."""
        if self._state is State.LINGERING:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED_BYTES:
                self.abort()
            return
        if not self._backlog:
            self._arrived_at = now
        self._backlog += data
        if self._state is State.READY:
            self._queue()
        if len(self._backlog) > MAX_BACKLOG_BYTES and self._is_reading:
            self._is_reading = False
            cast("asyncio.Transport", self.transport).pause_reading()
            self._unread_timer = self._server.loop.call_later(self.unread_timeout_s, self._is_unread)

    def _is_unread(self) -> None:
        """End a connection whose request takes long; look again later at one that waits for its turn or its reader."""
        if self._state in (State.PARKED, State.HANDLING):
            self.abort()
        elif not self._is_reading:
            self._unread_timer = self._server.loop.call_later(self.unread_timeout_s, self._is_unread)

    def _queue(self) -> None:
        self._enter(State.QUEUED)
        if self._turns.takes(perf_counter()):
            self._server.call_soon(self._turn_has_come)
        else:
            self._turns.wait(self._turn_has_come)

    def _turn_has_come(self) -> None:
        if self._state is State.QUEUED:
            self._enter(State.READY)
            self._resume()

    def _resume(self) -> None:
        """Answer what has been kept: a piece of it now, for whoever calls has a turn; more as long as the turn lasts.

        A failure ends the connection.
        """
        has_turn = True
        try:
            while True:
                self._answer_parsed()
                if self._state is not State.READY or not self._backlog:
                    break
                if not has_turn and not self._turns.takes(perf_counter()):
                    self._queue()
                    break
                has_turn = False
                piece, self._backlog = self._backlog[:PIECE_BYTES], self._backlog[PIECE_BYTES:]
                self._feed(piece)
        except BaseException:
            self.abort()
            raise
        if not self._is_reading and len(self._backlog) <= MAX_BACKLOG_BYTES // 2 and self.transport is not None:
            self._is_reading = True
            self.transport.resume_reading()
            if self._unread_timer is not None:
                self._unread_timer.cancel()

    # -- answering

    def _answer_parsed(self) -> None:
        """In order, as long as each is answered at once."""
        heads, count = self._heads, 0
        while heads and self._state is State.READY:
            if not self._is_writable:
                self._enter(State.BLOCKED)
            elif count >= MAX_AT_ONCE:
                self._queue()
            else:
                count += 1
                self._answer(heads.pop(0))

    def _answer(self, head: Head | int) -> None:
        if not isinstance(head, Head):
            self._write_refusal(head)
            return
        answer = self._answer_from_model(head, self)
        if type(answer) is bytes:
            self._write(answer)
        elif answer is None:
            self._handle(head)
        elif isinstance(answer, Parked):
            self._parked = answer
            self._enter(State.PARKED)

    def _write(self, answer: bytes, *, ends: bool = False) -> None:
        self.transport.write(answer)  # type: ignore[union-attr] # nothing is answered once it is gone
        if ends or self._server.is_closing:
            self._linger()

    def _write_refusal(self, status: int) -> None:
        log.info("refused a request that breaks HTTP: %d", status)
        server = self._server
        self._write(refusal(status, _MESSAGES[status], server.accounting.new_request_id(), server.date()), ends=True)

    def _head_is_late(self) -> None:
        """Time counts while nothing before it is being answered."""
        self._head_timer = None
        if self._state is State.READY:
            self._takes_more = False
            self._write_refusal(408)
        elif self._state is not State.LINGERING:
            self._head_timer = self._server.loop.call_later(self.head_timeout_s, self._head_is_late)

    # -- waiting for a change without a task

    @property
    def waits(self) -> bool:
        """Whether a request waits for a change."""
        return self._parked is not None

    def end_wait(self, answer: Answer | None) -> None:
        """None: only the handlers can tell. A failure ends the connection."""
        if self._parked is None:
            return
        if answer is None:
            self._server.dispatch_later(self)
            return
        try:
            parked, answers = self._unpark(), cast("ModelAnswers", self._server.model_answers)
            self._enter(State.READY)
            done = answers.complete(parked.head, parked.seen, answer)
            self._write(done)
        except BaseException:
            self.abort()
            raise
        self._resume()

    def redispatch(self) -> None:
        """Let the handlers answer the request that waits, if it does still, within what is left of its time."""
        if self._parked is not None:
            self._handle(self._unpark().head)

    def _unpark(self) -> Parked:
        parked = cast("Parked", self._parked)
        self._parked = None
        parked.waiter.leave()
        return parked

    # -- the handlers

    def _handle(self, head: Head) -> None:
        self._enter(State.HANDLING)
        self._turns.spend(OTHER_S)
        self._unstarted = head
        self._task = self._server.loop.create_task(self._run_handler(head))

    async def _run_handler(self, head: Head) -> None:
        """A failure ends the connection; so does an answer that can't be the last but is not to be followed."""
        self._unstarted = None
        server = self._server
        try:
            response = await server.middleware.handle(server.request(head, self))
            keep_alive = not head.closes and not server.is_closing
            if self.transport is None or self.transport.is_closing():
                return
            if isinstance(response, web.Response):
                is_head = head.method == b"HEAD"
                version = head.version
                answer = render(response, is_head=is_head, date=server.date(), keep_alive=keep_alive, version=version)
                self._write(answer, ends=not keep_alive)
            elif not keep_alive or head.version < HTTP_1_1:
                self._linger()
        except Exception:
            log.exception("unexpected error outside of any handler")
            self.abort()
        finally:
            self._task = None
            if self._state is State.HANDLING:
                self._enter(State.READY)
                server.call_soon(self._resume_ready)

    def _resume_ready(self) -> None:
        if self._state is State.READY:
            self._resume()

    @property
    def is_writable(self) -> bool:
        """Whether the client takes more."""
        return self._is_writable

    async def drain(self) -> None:
        """Wait until the client takes more, or is gone."""
        if not self._is_writable and self.transport is not None:
            self._drain_waiter = self._server.loop.create_future()
            await self._drain_waiter

    def _wake_drain(self) -> None:
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)
        self._drain_waiter = None

    # -- the end

    @property
    def is_idle(self) -> bool:
        """Whether no whole request is here."""
        return self._state is State.READY and not self._heads

    @property
    def silent_since(self) -> float:
        """When something came last; infinity while a request is under way, and 10 s later before the first one, which
        is probably on its way.
        """
        if not self.is_idle or self._is_in_head:
            return inf
        return self._arrived_at + (FIRST_REQUEST_S if self._is_new else 0.0)

    @property
    def is_open(self) -> bool:
        """Whether there can be another answer."""
        return self._state not in (State.LINGERING, State.CLOSED)

    def end(self) -> None:
        """No more answers. What has been written is sent; what still comes is thrown away."""
        if self.is_open:
            self._linger()

    def abort(self) -> None:
        """Close the connection without sending what waits in it."""
        if self.transport is not None:
            self.transport.abort()

    def _linger(self) -> None:
        """Close this side, and wait a little for the client to close its own: to close both while something is unread
        would take the answer from the client.
        """
        self._enter(State.LINGERING)
        self._heads, self._backlog, self._takes_more = [], b"", False
        transport = cast("asyncio.Transport", self.transport)
        if transport.can_write_eof():
            transport.write_eof()
        if not self._is_reading:
            self._is_reading = True
            transport.resume_reading()
        self._idle_timer.cancel()
        self._idle_timer = self._server.loop.call_later(LINGER_S, self.close)

    def close(self) -> None:
        """End it once what has been written is sent."""
        if self.transport is not None:
            self.transport.close()

    def _close_if_idle(self) -> None:
        remaining_s = self._arrived_at + self.keepalive_timeout_s - perf_counter()
        if remaining_s <= 0 and self.is_idle:
            self.close()
        else:
            self._idle_timer = self._server.loop.call_later(max(remaining_s, 1.0), self._close_if_idle)

    def _abandon_rest(self) -> None:
        """Account for what has come and was not answered."""
        if self._backlog and self._state is not State.LINGERING:
            self._feed(self._backlog)
        for head in (self._unstarted, *self._heads):
            if isinstance(head, Head):
                self._server.accounting.abandoned(head, head.target.label)

    def _forget(self) -> None:
        """Leave no cycle behind, and no timer."""
        self._wake_drain()
        for timer in (self._head_timer, self._reader_timer, self._unread_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self.transport = self._parser = None
        self._heads, self._backlog = [], b""

    def _enter(self, state: State) -> None:
        """The one place where the state changes."""
        if self._state is not State.CLOSED:
            self._state = state
