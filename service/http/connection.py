"""One client's connection: answers its requests in order, and ends.

The parser reads every request once. If the model can answer a request, it is answered in the step in which it is read.
For any other request a task runs the handlers, on the same connection. Bytes that come while a request waits or is
handled, or while other connections have their turn, are kept unparsed.

The connection is in one state at a time, and only `_enter` changes it. When the connection ends, every request that it
took and did not answer is accounted for as abandoned.
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

from service.http.backlog import PIECE_BYTES, Backlog
from service.http.request_reader import Parked, RequestReader
from service.http.requests import HTTP_1_1, Head
from service.http.responses import refusal, render
from service.reads.answers import Answer
from service.runtime.fair_queue import HANDLER_S
from service.runtime.timers import Timers

if TYPE_CHECKING:
    from service.http.server import HttpServer

log = logging.getLogger(__name__)

MAX_DISCARDED_BYTES = 256 * 1024
"""Bytes to read and throw away after the last answer, so that the client gets a chance to read the answer."""

FIRST_REQUEST_S = 3.0
"""A new connection counts as silent only after this time, because its first request is probably on its way."""

LINGER_S = 1.0
"""How long the service waits after the last answer for the client to close its side."""


class State(Enum):
    """What happens to the next request."""

    READY = "ready"  # it is answered when it is read
    QUEUED = "queued"  # it waits: other connections have their turn
    PARKED = "parked"  # it waits: an earlier request waits for a change, without a task
    HANDLING = "handling"  # it waits: a task answers an earlier request
    BLOCKED = "blocked"  # it waits: the client does not read its answers
    LINGERING = "lingering"  # it is thrown away: the last answer has been written
    CLOSED = "closed"


_READY = State.READY  # Python 3.11 takes a tenth of a microsecond to look up a member
_HEAD, _IDLE, _READER, _UNREAD = "head", "idle", "reader", "unread"  # timers


class Connection(RequestReader):
    """One connection. `transport` is None after the client has gone."""

    head_timeout_s = 10.0
    """The longest time for the head of a request, from its first byte to its last."""

    reader_timeout_s = 30.0
    """How long answers can wait in a connection's buffer for the client to read."""

    keepalive_timeout_s = 3630.0
    """How long a connection can be idle: longer than load balancers keep connections, so that they close first."""

    unread_timeout_s = 1.0
    """How long a request can take while reading is paused. The connection cannot see its client leave then, so a wait
    would last to its end."""

    ssl_context = sockname = None
    """Attributes, like `peername`, that aiohttp's requests read. TLS ends in front of this service."""

    __slots__ = (
        "_backlog",
        "_discarded",
        "_drain_waiter",
        "_fair_queue",
        "_parked",
        "_server",
        "_state",
        "_task",
        "_timers",
        "_unstarted",
        "is_writable",
        "peername",
    )

    _backlog: Backlog

    def __init__(self, server: "HttpServer") -> None:
        super().__init__(server.router, server.ask_model)
        self._server = server
        self._fair_queue = server.fair_queue
        self._state = State.READY
        self.transport = None
        self._discarded = 0
        self.is_writable = True
        """Whether the client has room for more bytes."""
        self._parked: Parked | None = None
        self._task: asyncio.Task[None] | None = None
        self._unstarted: Head | None = None
        """The request for the task, until the task runs: a task that is cancelled earlier accounts for nothing."""
        self._drain_waiter: asyncio.Future[None] | None = None
        self._timers = Timers(server.loop)

    def __repr__(self) -> str:
        return f"<Connection of {self.remote}, {self._state.value}>"

    # -- calls of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._backlog = Backlog(self.transport)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.peername = transport.get_extra_info("peername")
        self.remote = str(self.peername[0] if isinstance(self.peername, tuple) else self.peername)
        self.arrived_at = perf_counter()
        self.update()
        self._timers.start(_IDLE, self.keepalive_timeout_s, self._close_if_idle)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if (
            self._state is not _READY
            or len(data) > PIECE_BYTES
            or not (now < self._fair_queue.ends_at or self._fair_queue.try_acquire(now))
        ):
            self._keep(data, now)
            return
        self.arrived_at = now
        self.feed(data)
        if self.heads:
            self._answer_parsed()
        if self.is_in_head:
            self._time_head()

    def pause_writing(self) -> None:
        """The client does not read its answers: give it some time."""
        self.is_writable = False
        self.update()
        self._timers.start(_READER, self.reader_timeout_s, self.abort)

    def resume_writing(self) -> None:
        """The client has made room."""
        self.is_writable = True
        self.update()
        self._timers.stop(_READER)
        self._wake_drain()
        if self._state is State.BLOCKED:
            self._enter(State.READY)
            self._resume()

    def eof_received(self) -> bool:
        """The client has closed its side. Connections without a request are closed in slices: thousands can leave at
        once.
        """
        has_request = self._state not in (State.READY, State.QUEUED) or bool(self.heads)
        if not has_request:
            self._server.close_later(self)
        return not has_request

    def connection_lost(self, exc: BaseException | None) -> None:
        """Clean up. Every step runs, even if another one fails."""
        task, parked = self._task, self._parked
        self._enter(State.CLOSED)
        with ExitStack() as stack:
            stack.callback(self._server.closed, self)
            stack.callback(self._forget)
            if parked is not None:
                stack.callback(self._server.accounting.abandoned, parked.head, self._server.waited_label)
                stack.callback(self._unpark)
            if task is not None:
                stack.callback(task.cancel)
            stack.callback(self._abandon_rest)

    # -- reading

    def _keep(self, data: bytes, now: float) -> None:
        """Keep the bytes until the connection has its turn."""
        if self._state is State.LINGERING or self._server.is_over:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED_BYTES:
                self.abort()
            return
        if not self._backlog:
            self.arrived_at = now
        self._backlog.add(data)
        if self._state is State.READY:
            self._queue()
        if not (self._backlog.is_reading or self._timers.is_running(_UNREAD)):
            self._timers.start(_UNREAD, self.unread_timeout_s, self._abort_if_unread)

    def _queue(self) -> None:
        self._enter(State.QUEUED)
        if self._fair_queue.try_acquire(perf_counter()):
            self._server.call_soon(self._turn_has_come)
        else:
            self._fair_queue.enqueue(self._turn_has_come)

    def _turn_has_come(self) -> None:
        if self._state is State.QUEUED:
            self._enter(State.READY)
            self._resume()

    def _resume(self) -> None:
        """Answer kept requests: one piece now, because the caller has a turn, and more while the turn lasts.

        A failure ends the connection.
        """
        has_turn = True
        try:
            self._answer_parsed()
            while self._state is State.READY and self._backlog:
                if not has_turn and not self._fair_queue.try_acquire(perf_counter()):
                    self._queue()
                    break
                has_turn = False
                self.feed(self._backlog.take())
                self._answer_parsed()
        except BaseException:
            self.abort()
            raise
        if self._server.is_over and self.is_idle:
            self.end()
        if self._backlog.is_reading:
            self._timers.stop(_UNREAD)
        if self.is_in_head:
            self._time_head()

    # -- answering

    def _answer_parsed(self) -> None:
        """Answer parsed requests in order, while each of them can be answered at once."""
        while self.heads and self._state is State.READY:
            if not self.is_writable:
                self._enter(State.BLOCKED)
                break
            head = self.heads.pop(0)
            if isinstance(head, Head):
                self._answer(head)
            elif isinstance(head, Parked):
                self._park(head)
            else:
                self._write_refusal(head)

    def _answer(self, head: Head) -> None:
        head.is_last = self._is_last(head)
        answer = self._ask_model(head, self.end_wait) if head.is_plain else None
        if answer is None:
            self._handle(head)
        elif isinstance(answer, Parked):
            self._park(answer)
        else:
            self._write(answer, is_last=head.is_last)

    def _park(self, parked: Parked) -> None:
        self._parked = parked
        self._enter(State.PARKED)

    def _is_last(self, head: Head) -> bool:
        """Whether the answer ends the connection: the service stops, and no later request has arrived."""
        return head.closes or (self._server.is_closing and not (self.heads or self._backlog))

    def _write(self, answer: bytes, *, is_last: bool) -> None:
        self.transport.write(answer)  # type: ignore[union-attr] # nothing is answered once it is gone
        if is_last:
            self._linger()

    def _write_refusal(self, status: int) -> None:
        log.info("refused a request that breaks HTTP: %d", status)
        server = self._server
        self._write(refusal(status, server.accounting.new_request_id(), server.date()), is_last=True)

    # -- waiting for a change, without a task

    @property
    def waits(self) -> bool:
        """Whether a request waits for a change."""
        return self._parked is not None

    def end_wait(self, answer: Answer | None) -> None:
        """End the wait. None: only the handlers can answer. A failure ends the connection."""
        if self._parked is None:
            return
        if answer is None:
            self._server.redispatch_later(self)
            return
        try:
            parked = self._unpark()
            self._enter(State.READY)
            parked.head.is_last = self._is_last(parked.head)
            self._write(self._server.complete_wait(parked.head, parked.seen, answer), is_last=parked.head.is_last)
        except BaseException:
            self.abort()
            raise
        self._resume()

    def redispatch(self) -> None:
        """If a request still waits, let the handlers answer it, within the rest of its time."""
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
        self._fair_queue.charge(HANDLER_S)
        self._unstarted = head
        self._task = self._server.loop.create_task(self._run_handler(head))

    async def _run_handler(self, head: Head) -> None:
        """Let the handlers answer the request. A failure ends the connection."""
        self._unstarted = None
        server = self._server
        try:
            response = await server.middleware.handle(server.request(head, self))
            if self.transport is not None and not self.transport.is_closing():
                self._finish(head, response)
        except Exception:
            log.exception("unexpected error outside of any handler")
            self.abort()
        finally:
            self._task = None
            if self._state is State.HANDLING:
                self._enter(State.QUEUED)
                server.call_soon(self._turn_has_come)

    def _finish(self, head: Head, response: web.StreamResponse) -> None:
        """Write the response, if the handler has not. In HTTP/1.0 an answer without a length ends its connection."""
        keep_alive = not self._is_last(head)
        if isinstance(response, web.Response):
            is_head = head.method == b"HEAD"
            answer = render(response, self._server.date(), head.version, is_head=is_head, keep_alive=keep_alive)
            self._write(answer, is_last=not keep_alive)
        elif not keep_alive or head.version < HTTP_1_1:
            self._linger()

    async def drain(self) -> None:
        """Wait until the client has room, or is gone."""
        if not self.is_writable and self.transport is not None:
            self._drain_waiter = self._server.loop.create_future()
            await self._drain_waiter

    def _wake_drain(self) -> None:
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)
        self._drain_waiter = None

    # -- timers

    def _time_head(self) -> None:
        """Limit the time of a head that has not arrived completely."""
        if not self._timers.is_running(_HEAD):
            count = self.count
            self._timers.start(_HEAD, self.head_timeout_s, lambda: self._check_head(count))

    def _check_head(self, count: int) -> None:
        """Refuse a head that takes too long. Time counts only while no earlier request is being answered."""
        if self._state is State.LINGERING or not self.is_in_head:
            return
        if self._state is State.READY and self.count == count:
            self._write_refusal(408)
        else:
            self._time_head()

    def _abort_if_unread(self) -> None:
        """Abort if a request takes long while reading is paused.

        If it only waits for its turn or its client, check later.
        """
        if self._state in (State.PARKED, State.HANDLING) and not self._backlog.is_reading:
            self.abort()
        elif not self._backlog.is_reading:
            self._timers.start(_UNREAD, self.unread_timeout_s, self._abort_if_unread)

    def _close_if_idle(self) -> None:
        remaining_s = self.arrived_at + self.keepalive_timeout_s - perf_counter()
        if remaining_s <= 0 and self.is_idle:
            self.close()
        else:
            self._timers.start(_IDLE, max(remaining_s, 1.0), self._close_if_idle)

    # -- the end

    @property
    def is_idle(self) -> bool:
        """Whether there is no complete request."""
        return self._state is State.READY and not self.heads

    @property
    def is_unused(self) -> bool:
        """Whether no byte of a request has ever arrived."""
        return not (self.count or self.is_in_head)

    @property
    def silent_since(self) -> float:
        """When something came last; infinity while a request is under way, and FIRST_REQUEST_S later before the first
        one, which is probably on its way.
        """
        if not self.is_idle or self.is_in_head:
            return inf
        return self.arrived_at + (0.0 if self.count else FIRST_REQUEST_S)

    def end(self) -> None:
        """Answer no more requests. Written bytes are sent; bytes that still arrive are thrown away."""
        if self._state not in (State.LINGERING, State.CLOSED):
            self._linger()

    def close(self) -> None:
        """End the connection after sending the written bytes."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close the connection without sending the bytes that wait in it."""
        if self.transport is not None:
            self.transport.abort()

    def _linger(self) -> None:
        """Close this side, and wait a short time for the client to close the other. If both sides were closed while
        unread bytes are left, the client would lose the answer.
        """
        self._enter(State.LINGERING)
        self.stop()
        self._backlog.take(None)
        transport = cast("asyncio.Transport", self.transport)
        if transport.can_write_eof():
            transport.write_eof()
        self._timers.start(_IDLE, LINGER_S, self.close)

    def _abandon_rest(self) -> None:
        """Account for requests that have arrived and were not answered."""
        self.feed(self._backlog.take(None))
        for each in (self._unstarted, *self.heads):
            head = each
            if isinstance(each, Parked):
                each.waiter.leave()
                head = each.head
            if isinstance(head, Head):
                self._server.accounting.abandoned(head, head.target.label)

    def _forget(self) -> None:
        """Leave no reference cycle and no timer behind."""
        self._wake_drain()
        self._timers.stop_all()
        self.forget()
        self.transport = None
        del self._backlog

    def _enter(self, state: State) -> None:
        """Change the state. No other code does."""
        if self._state is not State.CLOSED:
            self._state = state
            self.update()

    def update(self) -> None:
        """Let the parser answer plain requests itself, if nothing else has to be done."""
        self.answers_at_once = self._state is State.READY and self.is_writable and not self._server.is_closing
