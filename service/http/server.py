"""aiohttp's server, with two differences: what its parser refuses is answered as JSON too, and nobody is waited for
without end, neither a client that writes its request byte by byte nor one that does not read its answer.

An idle connection may stay: it holds a few kilobytes.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from service.api.headers import BASE_HEADERS
from service.http.fast_path import FastConnection, FastPath
from service.http.middleware import JSON_TYPE, HttpFrame, error_response, new_request_id

log = logging.getLogger(__name__)

HEAD_TIMEOUT_S = 10.0
"""How long the head of a request may take from its first byte to its last."""

READER_TIMEOUT_S = 30.0
"""How long answers may wait in a connection's buffer for their reader to make room."""

KEEPALIVE_TIMEOUT_S = 3630.0
"""How long a connection may be idle: longer than load balancers keep theirs, so that it is they who close it."""

AT_ONCE_S = 0.001
"""The shortest grace that requests under way are given at the end: aiohttp takes 0 for no limit at all."""

TOO_SLOW = b'{"status":"error","message":"The request took too long to arrive"}'


def _headers() -> dict[str, str]:
    """What every response carries, of those that no frame goes around."""
    return {**BASE_HEADERS, "X-Request-Id": new_request_id(), "Connection": "close"}


def _too_slow() -> bytes:
    """The whole response: no request has come of it that one could be made for."""
    headers = {"Content-Type": JSON_TYPE, "Content-Length": str(len(TOO_SLOW)), **_headers()}
    lines = ["HTTP/1.1 408 Request Timeout", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + TOO_SLOW


class JsonErrorHandler(RequestHandler):
    """One connection."""

    __slots__ = (
        "_answered",
        "_close_asked",
        "_head_timer",
        "_is_kept",
        "_is_open_after_answer",
        "_reader_timer",
        "lent_at",
    )

    head_timeout_s = HEAD_TIMEOUT_S
    reader_timeout_s = READER_TIMEOUT_S

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self.lent_at: float | None = None
        self._answered = 0
        self._is_open_after_answer = False
        self._is_kept = self._close_asked = False

    @property
    def has_answered_all(self) -> bool:
        """Whether all it was given is answered and the connection stays open.

        True before aiohttp's loop has come round to waiting: on a fast network the next request is here earlier.
        """
        return self._is_open_after_answer and self._answered == self._request_count

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write what is left of an answer, and take note of it."""
        response, is_reset = await super().finish_response(request, resp, start_time)
        self._answered += 1
        self._is_open_after_answer = bool(response.keep_alive) and not is_reset
        return response, is_reset

    @property
    def silent_since(self) -> float | None:
        """When it was used last, on the loop's clock; None before the first request and while one is under way."""
        waits_for_request = self._waiter is not None and not self._waiter.done()
        if self._request_count == 0 or not waits_for_request or self._is_kept or self._head_timer is not None:
            return None
        return self._next_keepalive_close_time - self._keepalive_timeout

    def count_from_now(self) -> None:
        """The connection has been used just now: how long it may be idle counts from here."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def keep_open(self) -> None:
        """Until `release`, however often it is asked to close: somebody waits for an answer that is none of its."""
        self._is_kept = True

    def release(self) -> None:
        """Close now, where it has been asked to."""
        self._is_kept = False
        if self._close_asked:
            self._loop.call_soon(self.close)  # the answer is written in this step

    def close(self) -> None:
        """Also where aiohttp's loop has not come round to waiting for the first request: it would wait for it still."""
        if self._is_kept:
            self._close_asked = True
            return
        super().close()
        if self._request_count == 0 and self._waiter is None:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Bytes that leave the connection waiting for a request are the beginning of one: from now on time counts."""
        super().data_received(data)
        if self._request_count == 0 or (self._waiter is not None and not self._waiter.done()):
            if self._head_timer is None and data.strip(b"\r\n"):  # empty lines may stand between requests
                self._head_timer = self._loop.call_later(self.head_timeout_s, self._head_is_late)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self.transport is not None:
            self.transport.write(_too_slow())
            self.force_close()

    def pause_writing(self) -> None:
        """The reader is behind: see how long it takes."""
        super().pause_writing()
        self._reader_timer = self._loop.call_later(self.reader_timeout_s, self._reader_is_late)

    def resume_writing(self) -> None:
        """The reader has made room."""
        super().resume_writing()
        self._stop_timing_the_reader()

    def _reader_is_late(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _stop_timing_the_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """No timer outlives its connection."""
        super().connection_lost(exc)
        self._stop_timing_the_reader()
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not become a request of the application, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun; the connection can only be closed")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("unexpected error outside of any handler", exc_info=exc)
            response = error_response(status, "Internal error")
        else:
            log.info("refused a malformed request: %s", type(exc).__name__)
            response = error_response(status, "Malformed HTTP request")
        response.headers.update(_headers())
        response.force_close()
        return response


class JsonErrorServer(web.Server):
    """Makes a JsonErrorHandler for each connection, or lets it begin on the fast path."""

    keepalive_timeout_s = KEEPALIVE_TIMEOUT_S
    _requests_of_aiohttp = 0

    def __init__(self, *args: Any, fast_path: FastPath | None, **options: Any) -> None:
        self._fast_path = fast_path
        super().__init__(*args, keepalive_timeout=self.keepalive_timeout_s, **options)

    @property
    def requests_count(self) -> int:
        """Requests answered, by which gunicorn replaces a worker; set by aiohttp, for its own."""
        return self._requests_of_aiohttp + (0 if self._fast_path is None else self._fast_path.requests_count)

    @requests_count.setter
    def requests_count(self, count: int) -> None:
        self._requests_of_aiohttp += count - self.requests_count

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override] # all that a listening socket asks for
        return self.handler() if self._fast_path is None else FastConnection(self._fast_path, self)

    def handler(self) -> JsonErrorHandler:
        """aiohttp's own protocol for one connection."""
        return JsonErrorHandler(self, loop=self._loop, **self._kwargs)

    @property
    def connections(self) -> list[asyncio.Protocol]:  # type: ignore[override] # those on the fast path too
        """All that are open."""
        begun_fast = [] if self._fast_path is None else self._fast_path.connections
        return [*super().connections, *begun_fast]

    def close_silent(self, count: int, silent_for_s: float) -> int:
        """Close up to `count` idle connections that were silent for that long, the longest silent first."""
        before = self._loop.time() - silent_for_s
        since = [(each.silent_since, number, each) for number, each in enumerate(self.connections)]  # type: ignore[attr-defined]
        silent = sorted(each for each in since if each[0] is not None and each[0] <= before)[:count]
        for _, _, connection in silent:
            connection.close()  # type: ignore[attr-defined]
        return len(silent)

    def pre_shutdown(self) -> None:
        """Connections that wait for nothing are closed."""
        if self._fast_path is not None:
            self._fast_path.turns.serve_all()
        super().pre_shutdown()
        if self._fast_path is not None:
            self._fast_path.close()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Also those that have come since."""
        if self._fast_path is not None:
            await self._fast_path.end(timeout)
        await super().shutdown(timeout)


def _in_http_1(factory: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """aiohttp answers in the version that it was asked in, even where its parser takes a line for HTTP/0.9 or 2.0."""

    def request(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
        version = min(max(message.version, HttpVersion10), HttpVersion11)
        return factory(message if version == message.version else message._replace(version=version), *others)

    return request


class ServiceRunner(web.AppRunner):
    """An AppRunner, as gunicorn's aiohttp worker takes one, with the frame around all that it answers.

    A handler whose client has gone away is cancelled, so that it frees what it held.
    """

    def __init__(
        self,
        app: web.Application,
        frame: HttpFrame,
        *,
        shutdown_timeout_s: float,
        fast_path: FastPath | None = None,
    ) -> None:
        super().__init__(app, shutdown_timeout=max(shutdown_timeout_s, AT_ONCE_S))
        self._frame = frame
        self._fast_path = fast_path

    async def _make_server(self) -> Any:
        made = await super()._make_server()
        return JsonErrorServer(
            self._frame.around(made.request_handler),
            request_factory=_in_http_1(made.request_factory),
            handler_cancellation=True,
            access_log=None,
            fast_path=self._fast_path,
        )
