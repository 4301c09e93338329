"""The server: the shared parts of all connections, and their end.

When the server stops, requests that have arrived are answered, each with `Connection: close`. Idle connections stay
open for IDLE_GRACE_S more, because a client's request can still be on its way. Then requests that are still being
answered have the rest of the time.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from aiohttp import web
from yarl import URL

from service.http.accounting import Accounting
from service.http.connection import Connection
from service.http.middleware import HEAD, Middleware
from service.http.model_answers import WAITED_STATUS, ModelAnswers
from service.http.request_reader import AskModel
from service.http.requests import Head
from service.http.responses import DateHeader
from service.http.router import Router
from service.runtime.compat import Runner, make_request
from service.runtime.fair_queue import FairQueue
from service.runtime.slicer import Slicer

IDLE_GRACE_S = 1.0
"""How long idle connections stay open while the server stops."""

AT_ONCE_S = 0.001
"""The shortest time to drain: 0 would mean no limit at all to aiohttp."""


@dataclass(frozen=True, slots=True)
class ServerParts:
    """The parts of a server. `model_answers` is None if the model answers nothing, as on METRICS_PORT."""

    router: Router
    middleware: Middleware
    accounting: Accounting
    model_answers: ModelAnswers | None
    date: DateHeader
    fair_queue: FairQueue
    slicer: Slicer


class HttpServer:
    """Makes the connections of a listening socket. aiohttp's runner and gunicorn's worker use it as their server."""

    waited_label = WAITED_STATUS

    def __init__(self, parts: ServerParts) -> None:
        self.loop = asyncio.get_running_loop()
        self.middleware = parts.middleware
        self.accounting = parts.accounting
        self.router = parts.router
        self.ask_model: AskModel = _no_answer
        if parts.model_answers is not None:
            self.ask_model, self.complete_wait = parts.model_answers.answer, parts.model_answers.complete
        self.date = parts.date
        self.fair_queue = parts.fair_queue
        self.is_closing = False
        self.is_over = False
        """True when the server stops: requests that have arrived are answered, and later bytes are thrown away."""
        self._context = contextvars.copy_context()
        self._redispatching = parts.slicer.lane()
        self._closing = parts.slicer.lane()
        self._connections: set[Connection] = set()
        self._all_gone = asyncio.Event()

    def __call__(self) -> Connection:
        return Connection(self)

    @property
    def connections(self) -> list[Connection]:
        """All open connections."""
        return list(self._connections)

    @property
    def requests_count(self) -> int:
        """The number of answered requests; gunicorn uses it to replace workers."""
        return self.accounting.requests_count

    def opened(self, connection: Connection) -> None:
        """A connection has begun."""
        self._connections.add(connection)
        self._all_gone.clear()

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    def close_silent(self, count: int, silent_for_s: float) -> int:
        """Close up to `count` idle connections that were silent for that long, the longest silent first.

        While there are connections that have never sent anything, only those are closed.
        """
        before = perf_counter() - silent_for_s
        unused = [each for each in self.connections if each.is_unused]
        silent = [each for each in unused or self.connections if each.silent_since <= before]
        silent = sorted(silent, key=lambda each: each.silent_since)[:count]
        for connection in silent:
            connection.close()
        return len(silent)

    def request(self, head: Head, connection: Connection) -> web.Request:
        """The request in aiohttp's form, for handlers."""
        target = head.target
        url = URL.build(path=target.path, query_string=target.query, encoded=True)
        request = make_request(
            connection, self.loop, head.method.decode(), target.raw, url, head.lines, head.version, closes=head.closes
        )
        request[HEAD] = head
        return request

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` outside of the present request, whose trace belongs only to its own log lines."""
        self.loop.call_soon(callback, context=self._context)

    def redispatch_later(self, connection: Connection) -> None:
        """Let the handlers answer the connection's wait, in slices: after a lapse of the lease
        there can be thousands.
        """
        self._redispatching.add(_redispatch(connection))

    def close_later(self, connection: Connection) -> None:
        """Close a connection whose client has left, in slices."""
        self._closing.add(_close(connection))

    # -- the end

    def pre_shutdown(self) -> None:
        """From now on, the answer to the last request that has arrived on a connection ends it."""
        self.is_closing = True
        for connection in self._connections:
            connection.update()
        self.fair_queue.serve_all()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait until all connections have ended, for at most `timeout` seconds."""
        limit_s = 60.0 if timeout is None else timeout
        ends_at = self.loop.time() + limit_s
        await self._until_gone(min(IDLE_GRACE_S, limit_s))
        self.is_over = True
        for connection in self.connections:
            if connection.is_idle:
                connection.end()
        await self._until_gone(ends_at - self.loop.time())
        for connection in self.connections:
            connection.abort()
        await self._until_gone(1.0)

    async def _until_gone(self, seconds: float) -> None:
        if self._connections:
            try:
                async with asyncio.timeout(seconds):
                    await self._all_gone.wait()
            except TimeoutError:
                pass


def _no_answer(*_: object) -> None:
    """Stands for a model that answers nothing."""


def _redispatch(connection: Connection) -> Iterator[None]:
    connection.redispatch()
    yield


def _close(connection: Connection) -> Iterator[None]:
    connection.close()
    yield


class ServiceRunner(Runner):
    """Serves an application's handlers. Its set-up begins the application, its clean-up ends it."""

    def __init__(self, app: web.Application, parts: ServerParts, *, shutdown_timeout_s: float) -> None:
        super().__init__(app, lambda: HttpServer(parts), shutdown_timeout=max(shutdown_timeout_s, AT_ONCE_S))

    @property
    def server(self) -> Any:
        """An HttpServer, between set-up and clean-up."""
        return super().server
