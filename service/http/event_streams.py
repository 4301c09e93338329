"""The routes of Server-Sent Events: one process, or every process in the model.

EventStream decides what a stream sends and when. This module writes it directly to the transport, the same bytes for
all clients. A client gets as much as its socket takes. If it reads nothing for STALL_S, it is dropped. Browsers request
every stream with `Cache-Control: no-cache`, so this module ignores that header.
"""

import asyncio
import socket
from typing import cast

from aiohttp import hdrs, web

from service.api.listing import Listing
from service.api.parameters import FOLLOW, LAST_EVENT_ID, PROCESS_ID
from service.errors import Unreachable
from service.http.connection import Connection
from service.http.middleware import HEAD, PARAMETER, Middleware
from service.http.requests import HTTP_1_1
from service.http.responses import (
    DateHeader,
    close_head,
    error_response,
    freshness,
    process_not_found,
    render_head,
)
from service.http.routes import Route
from service.model.read_model import ReadModel
from service.watch.event_frames import Frame, frame, retry_block
from service.watch.event_stream import EventStream, StreamState
from service.watch.resuming import Resuming
from service.watch.watchers import Watchers

STALL_S = 30.0
"""A client is dropped if its connection takes no bytes for this time."""

WRITE_BUFFER_BYTES = 16 * 1024
SOCKET_BUFFER_BYTES = 128 * 1024
"""The bytes that can wait in this process and in the kernel for one client. With more, it counts as stuck."""


class EventResponse(web.StreamResponse):
    """The response that frames are written to. `sent_bytes` counts their bytes."""

    def __init__(self, headers: dict[str, str]) -> None:
        stream_headers = {hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}
        super().__init__(headers={**stream_headers, **headers})
        self.sent_bytes = 0
        self._is_chunked = False
        self._connection: Connection
        self._transport: asyncio.Transport

    def begin(self, request: web.Request, date: bytes) -> None:
        """Send the head; frames follow. Raises: ConnectionError if the client is gone."""
        self._connection = cast("Connection", request.protocol)
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport = transport
        head = request[HEAD]
        self._is_chunked = head.version >= HTTP_1_1
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        if self._is_chunked:
            self.headers[hdrs.TRANSFER_ENCODING] = "chunked"
        close_head(self.headers, head.version, keep_alive=not head.closes, length=None)
        transport.write(render_head(200, self.headers, date, head.version) + b"\r\n")
        self.headers.clear()  # they were sent; a stream lives long, and they take a kilobyte for each client

    def send(self, frame: Frame) -> bool:
        """See Client. Returns True for a lost connection, because its handler is about to be cancelled."""
        if self._transport.is_closing():
            return True
        self.sent_bytes += len(frame.plain)
        self._transport.write(frame.chunk if self._is_chunked else frame.plain)
        return self._connection.is_writable

    async def drain(self) -> None:
        """Wait until the connection has room."""
        await self._connection.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the end, and wait until the connection has taken it."""
        if self._is_chunked and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
        await self._connection.drain()

    def abort(self) -> None:
        """Close the connection without sending the bytes that wait in it."""
        self._transport.abort()


class EventStreams:
    """The handlers."""

    def __init__(
        self, watchers: Watchers, resuming: Resuming, model: ReadModel, date: DateHeader, listing: Listing
    ) -> None:
        self._listing = listing
        self._watchers = watchers
        self._resuming = resuming
        self._model = model
        self._date = date
        self.middleware: Middleware
        """Set after the middleware is built, because it is built from these routes."""

    def routes(self) -> list[Route]:
        """The routes. Streams have no HEAD, because an answer to HEAD must end."""
        return [Route(self._listing.process_events, self.process), Route(self._listing.events, self.every)]

    async def process(self, request: web.Request) -> web.StreamResponse:
        """One process: its present state, then every change, until it ends."""
        shown_id, caller = PROCESS_ID.read(request[PARAMETER]), request[HEAD].caller
        query = self._listing.process_events.query(request.rel_url.raw_query_string)
        process_id, follows = self._listing.key(shown_id, query, caller), FOLLOW.of(query)
        since = LAST_EVENT_ID.of(request.headers)
        stream = self._watchers.stream(process_id, caller, follows=follows)
        try:
            beginning = await self._resuming.process(process_id, caller, since, follows=follows)
            answer = beginning.answer
            headers = freshness(answer.source, answer.age_s)
            if answer.summary is None:
                return error_response(404, process_not_found(shown_id), headers=headers)
            if beginning.has_ended:
                return web.Response(status=204, headers=headers)  # after a 204 an EventSource does not reconnect
            self._watchers.keep_current(process_id)
            response = self._begin(request, headers)
            stream.begin(response, beginning.present, since, is_reset=beginning.is_reset)
            return await _flow(stream, response)
        finally:
            self._watchers.leave(process_id, stream)

    async def every(self, request: web.Request) -> web.StreamResponse:
        """Every process in the model, or those that match some filters."""
        filters, caller = self._listing.read_events(request.rel_url.raw_query_string), request[HEAD].caller
        since = LAST_EVENT_ID.of(request.headers)
        if since is not None:
            await self._resuming.catch_up(since)
        if not self._model.is_trusted():
            raise Unreachable("the model is not live, so there is no present state to begin a stream with")
        stream = self._watchers.stream_model(filters, caller, since)
        try:
            response = self._begin(request, {})
            stream.begin(response)
            return await _flow(stream, response)
        finally:
            self._watchers.leave_model(filters, caller, stream)

    def _begin(self, request: web.Request, headers: dict[str, str]) -> EventResponse:
        response = EventResponse(headers)
        self.middleware.begin(request, response)
        response.begin(request, self._date())
        response.send(frame(retry_block(self._watchers.retry_ms())))
        return response


async def _flow(stream: EventStream, response: EventResponse) -> web.StreamResponse:
    """Wait until the stream ends. Deliveries write the frames; this task only drains the connection and ends it."""
    try:
        while await stream.wait() is StreamState.STUCK:
            async with asyncio.timeout(STALL_S):
                await response.drain()
            await asyncio.sleep(0)
            stream.drained()
        if stream.state is StreamState.DROPPED:
            response.abort()
        else:
            async with asyncio.timeout(STALL_S):
                await response.write_eof()
    except TimeoutError:
        response.abort()
    except ConnectionError:
        pass  # the client has gone; this handler is being cancelled
    return response
