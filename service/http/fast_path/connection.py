"""One connection of a client: what to do with the bytes that come."""

import asyncio
import re
from time import perf_counter
from typing import cast

from aiohttp.tcp_helpers import tcp_keepalive, tcp_nodelay

from service.http.fast_path.canonical_requests import (
    MAX_HEAD_BYTES,
    NOTHING_DIFFERENT,
    POLL_LINE,
    POLL_TARGET,
    WAIT_LINE,
    Different,
    apart,
    is_bodiless,
)
from service.http.fast_path.ports import Handler, Server
from service.http.fast_path.shared import FOUND, NOT_MODIFIED, Connection, FastPath, Found, Headers, WaitingRequest
from service.reads.answers import Answer
from service.runtime.turns import OTHER_S
from service.telemetry.logs.writer import LATE_LINES
from service.telemetry.metrics import QUICK_S
from service.watch.long_polls import DirectWait

MAX_WAITING_BYTES = 65_536
"""Of one connection, for its turn: aiohttp, which can stop reading, takes the rest."""

FIRST_REQUEST_S = 10.0
"""A new connection counts as silent only after this time: its first request is probably under way."""

MAX_CLIENTS = 16
"""Of one proxy's connection, whose headers are remembered at a time, together no longer than one head may be."""

MAX_AT_ONCE = 16
"""Requests of one pipeline answered before anybody else has a turn; aiohttp, which takes turns, answers the rest."""


def _address(transport: asyncio.Transport) -> str | None:
    """The client's, as aiohttp tells it."""
    name = transport.get_extra_info("peername")
    return str(name[0] if isinstance(name, tuple) else name) if name else None


class FastConnection(Connection):
    """One connection, until it is handed over. Holds no byte that is not answered.

    Its handler, once there is one, is who closes it: after its time, at the end of the service, for a slow reader.
    """

    __slots__ = (
        "_after_etag",
        "_answered_at",
        "_arrived_at",
        "_before_etag",
        "_handler",
        "_headers",
        "_idle_timer",
        "_known",
        "_path",
        "_rest",
        "_server",
        "_transport",
        "_turns",
        "_unserved",
        "_waiting",
    )

    _transport: asyncio.Transport
    _idle_timer: asyncio.TimerHandle

    def __init__(self, path: FastPath, server: Server) -> None:
        self._path = path
        self._turns = path.turns
        self._server = server
        self._handler: Handler | None = None
        self._known: dict[bytes, Headers | None] = {}
        self._headers: Headers | None = None
        """What is known of the client, once it is: then all it sends behind a target, but for an ETag, is `_rest`."""
        self._rest = b""
        self._before_etag = self._after_etag = b""
        """The two parts of what it sends with one; empty until it does."""
        self._unserved: tuple[bytes, ...] = ()
        """What waits for its turn, as it came, since `_arrived_at`."""
        self._waiting: tuple[WaitingRequest, DirectWait] | None = None
        """For a change. `_headers` is None meanwhile: what comes is not answered here; it hands the connection over."""
        self._arrived_at = self._answered_at = perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket up as aiohttp does."""
        self._transport = cast("asyncio.Transport", transport)
        tcp_nodelay(self._transport, True)
        tcp_keepalive(self._transport)
        self._path.connections.add(self)
        self._close_after(self._server.keepalive_timeout_s)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Every request has been answered when it was read, or lent, but for one that waits for a change."""
        self._forget()
        self._unserved = ()
        try:
            if self._waiting is not None:
                self._path.left(self._stop_waiting())
        finally:
            if self._handler is not None:
                self._handler.connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether it has a request that waits for a change."""
        return self._waiting is not None

    @property
    def silent_since(self) -> float | None:
        """When it was used last; None while a request is under way, and for 10 s before the first one."""
        if self.waits or self._unserved:
            return None
        is_new = self._answered_at == self._arrived_at
        return self._arrived_at + FIRST_REQUEST_S if is_new else self._answered_at

    def close(self) -> None:
        """End it once what has been written is sent."""
        self._transport.close()

    def data_received(self, data: bytes, arrived_at: float = 0.0) -> None:
        """Answer what has come, or let aiohttp do it from the first request on that is not for here. What has waited
        for its turn has an `arrived_at`.

        First of all what is one whole poll but for its target, and the ETag of the answer that it has still, what this
        client has sent before.
        """
        started = arrived_at
        if not arrived_at:
            started = perf_counter()
            if started >= self._turns.ends_at and not self._turns.takes(started):
                self._wait(data, started)
                return
        if self._handler is not None and not self._handler.has_answered_all:
            self._hand_over(data)
            return
        headers = self._headers
        if headers is not None and len(data) <= MAX_HEAD_BYTES:
            end, etag_seen = -1, b""
            if data.endswith(self._rest):
                end = len(data) - len(self._rest)
            elif self._after_etag and data.endswith(self._after_etag):
                end = data.find(self._before_etag)
                etag_seen = data[end + len(self._before_etag) : -len(self._after_etag)]
            target = POLL_TARGET.fullmatch(data, 0, end)
            found = self._path.find(target) if target is not None else None
            if target is not None and found is not None and (not etag_seen or etag_seen == found[2]):
                self._write(found, target, etag_seen, NOTHING_DIFFERENT, headers, started)
                return
        self._receive(data, started)

    def _wait(self, data: bytes, arrived_at: float) -> None:
        if self._waiting is not None:
            self._hand_over_waiting(data)
            return
        if not self._unserved:
            self._unserved, self._arrived_at = (data,), arrived_at
            if self._handler is not None:
                self._handler.count_from_now()
            self._turns.wait(self._serve)
            return
        self._unserved += (data,)
        if len(self._unserved) > MAX_AT_ONCE or sum(map(len, self._unserved)) > MAX_WAITING_BYTES:
            self._hand_over(b"")

    def _serve(self) -> None:
        """The turn has come of what waits, if it does still. Where that fails, the connection ends, as it does where
        what has just come fails.
        """
        try:
            self._take_waiting()
        except BaseException:
            self._transport.abort()
            raise

    def _take_waiting(self) -> None:
        """As it came: what can't be read spoils what it came with, but not what came before."""
        while self._unserved:
            first, later = self._unserved[0], self._unserved[1:]
            self._unserved = ()
            self.data_received(first, self._arrived_at)
            if not later:
                return
            if self._transport.get_protocol() is not self:
                for data in later:
                    cast("Handler", self._handler).data_received(data)
                return
            self._unserved = later
            if not self._turns.takes(perf_counter()):
                self._turns.wait(self._serve)
                return

    def _receive(self, data: bytes, started: float) -> None:
        if self._waiting is not None:
            self._hand_over_waiting(data)
            return
        line = POLL_LINE.match(data) or WAIT_LINE.match(data)
        if line is None or data.find(b"\r\n\r\n", line.end() - 2) + 4 != len(data) or len(data) > MAX_HEAD_BYTES:
            self._receive_unusual(data, started)
            return
        asked = self._read(data[line.end(1) :])
        if asked is None:
            self._pass_on(data, started, is_lendable=is_bodiless(data, None))
        elif line.re is WAIT_LINE:
            self._answer_later(data, line, *asked, started)
        elif not self._answer(line, *asked, started):
            self._pass_on(data, started, is_lendable=True)

    def _receive_unusual(self, data: bytes, started: float) -> None:
        """What is not one whole poll: several, or something else."""
        requests = self._requests_in(data)
        if requests is None:
            known_rest = self._rest if self._headers is not None else None
            self._pass_on(data, started, is_lendable=is_bodiless(data, known_rest))
            return
        for begin, line, different, headers in requests:
            if self._transport.get_protocol() is not self:  # the reader is behind
                cast("Handler", self._handler).data_received(data[begin:])
                return
            if not self._answer(line, different, headers, started):
                self._hand_over(data[begin:])
                return
            started = self._answered_at

    # -- waiting for a change

    def _answer_later(
        self, data: bytes, line: re.Match[bytes], different: Different, headers: Headers, asked_at: float
    ) -> None:
        """Or at once, where there is nothing to wait for."""
        answer = self._path.wait(line, different.etag or b"", asked_at, self._wait_is_over)
        if answer is None:
            self._pass_on(data, asked_at, is_lendable=True)
            return
        request = WaitingRequest(data, line, different, headers, asked_at)
        if isinstance(answer, DirectWait):
            self._wait_for(request, answer)
        else:
            self._write_waited(answer, request)

    def _wait_for(self, request: WaitingRequest, wait: DirectWait) -> None:
        self._waiting = request, wait
        self._headers = None
        self._arrived_at = request.asked_at
        self._path.waits_began()
        if self._handler is not None:
            self._handler.count_from_now()
            self._handler.keep_open()

    def _wait_is_over(self, answer: Answer | None) -> None:
        """Where that fails, the connection ends."""
        try:
            self._end_wait(answer)
        except BaseException:
            self._transport.abort()
            raise

    def _end_wait(self, answer: Answer | None) -> None:
        if answer is None:
            self._path.let_ask_again(self)
            return
        self._write_waited(answer, self._stop_waiting())
        if self._path.is_closing and self._handler is None:
            self.close()

    def ask_again(self) -> None:
        """Of aiohttp, where the client is still there. What has still to be waited for is what is left of its time."""
        if self._waiting is not None:
            request = self._stop_waiting()
            self._pass_on(request.data, request.asked_at, is_lendable=True)

    def _write_waited(self, answer: Answer, request: WaitingRequest) -> None:
        if answer.summary is None:
            self._transport.write(self._path.gone(answer.age_s, request))
            self._answered_at = perf_counter()
            return
        found = self._path.waited, answer.age_s, b'"v%d"' % answer.version, answer.body
        etag_seen = request.different.etag or b""
        self._write(found, request.line, etag_seen, request.different, request.headers, request.asked_at)

    def _stop_waiting(self) -> WaitingRequest:
        """The request that waits: from now on it is as if it had just come."""
        request, wait = cast("tuple[WaitingRequest, DirectWait]", self._waiting)
        self._waiting = None
        wait.leave()
        self._headers = request.headers
        self._path.waits_ended()
        if self._handler is not None:
            self._handler.release()
        return request

    def _hand_over_waiting(self, data: bytes) -> None:
        """Who sends more before there is an answer is aiohttp's, with the request that waits.

        One after the other: what can't be read spoils what it came with.
        """
        request, handler = self._stop_waiting(), self._with_handler()
        handler.lent_at = request.asked_at
        self._hand_over(request.data)
        handler.data_received(data)

    def pause_writing(self) -> None:
        """The reader is behind: aiohttp waits for readers, and not without end."""
        self._hand_over(b"")
        cast("Handler", self._handler).pause_writing()

    def _requests_in(self, data: bytes) -> list[tuple[int, re.Match[bytes], Different, Headers]] | None:
        """Where each begins, its line and headers; None where they are not all canonical, or too many.

        All are read before one is answered, as aiohttp does: what can't be read spoils what came with it.
        """
        requests: list[tuple[int, re.Match[bytes], Different, Headers]] = []
        begin = 0
        while begin < len(data):
            line = POLL_LINE.match(data, begin)
            if line is None or len(requests) == MAX_AT_ONCE:
                return None
            end = data.find(b"\r\n\r\n", line.end() - 2) + 4
            asked = self._read(data[line.end(1) : end]) if 4 <= end <= begin + MAX_HEAD_BYTES else None
            if asked is None:
                return None
            requests.append((begin, line, *asked))
            begin = end
        return requests

    def _read(self, rest: bytes) -> tuple[Different, Headers] | None:
        """What differs in this request, and what the headers say besides."""
        parts = apart(rest)
        if parts is None:
            return None
        lasting, different = parts
        if lasting != self._rest:
            self._headers = self._headers_of(lasting)
            self._rest, self._after_etag = lasting, b""
        if self._headers is None:
            return None
        if different.etag is not None and different.etag_alone:
            end = different.etag_at + len(different.etag)
            self._before_etag, self._after_etag = rest[: different.etag_at], rest[end:]
        return different, self._headers

    def _headers_of(self, lasting: bytes) -> Headers | None:
        """Of one of the clients that a proxy speaks for on this connection."""
        known = self._known
        if lasting not in known:
            if len(known) >= MAX_CLIENTS or sum(map(len, known)) + len(lasting) > MAX_HEAD_BYTES:
                known.clear()
            known[lasting] = self._path.read_headers(lasting, _address(self._transport))
        return known[lasting]

    def _answer(self, line: re.Match[bytes], different: Different, headers: Headers, started: float) -> bool:
        """Answer one request, where the model may."""
        etag_seen = different.etag or b""
        found = self._path.find(line, int(etag_seen[2:-1]) if etag_seen[1:2] == b"v" else 0)
        if found is None:
            return False
        self._write(found, line, etag_seen, different, headers, started)
        return True

    def _write(
        self,
        found: Found,
        target: re.Match[bytes],
        etag_seen: bytes,
        different: Different,
        headers: Headers,
        started: float,
    ) -> None:
        path = self._path
        (found_tally, not_modified_tally), age_s, etag, body = found
        if different is NOTHING_DIFFERENT:
            request_id, line_end = path.next_request_id(), path.usual_line_end
        else:
            request_id, line_end = path.request_id(different), path.line_end(different)
        if etag == etag_seen:
            if headers.not_modified_line is None:
                headers.not_modified_line = path.template(304, headers)
            body, tally, template = b"", not_modified_tally, headers.not_modified_line
            response = NOT_MODIFIED % (age_s, etag, request_id, headers.cors, path.date())
        else:
            if headers.found_line is None:
                headers.found_line = path.template(200, headers)
            tally, template = found_tally, headers.found_line
            response = FOUND % (age_s, etag, request_id, headers.cors, len(body), path.date(), body)
        self._transport.write(response)
        self._answered_at = answered_at = perf_counter()
        seconds = answered_at - started
        if seconds <= QUICK_S:  # RequestTally.add, without the call
            tally.seconds += seconds
            tally.quick += 1
        else:
            tally.add(seconds)
        if template:  # RequestLog.log, without the call
            late = path.late_records
            late.append((template, target[1], len(body), seconds, answered_at, request_id, line_end))
            if not 1 < len(late) < LATE_LINES:
                path.take_late()
        if self._handler is not None:
            self._handler.count_from_now()

    def _pass_on(self, unanswered: bytes, arrived_at: float, *, is_lendable: bool) -> None:
        if is_lendable:
            handler = self._with_handler()
            handler.lent_at = arrived_at
            self._turns.spend(OTHER_S)
            handler.data_received(unanswered)
        else:
            self._hand_over(unanswered)

    def _hand_over(self, unanswered: bytes) -> None:
        """For good, and whatever waits."""
        unserved, self._unserved = self._unserved, ()
        handler = self._with_handler()
        self._transport.set_protocol(cast("asyncio.Protocol", handler))
        for data in (unanswered, *unserved):
            if data:
                handler.data_received(data)

    def _with_handler(self) -> Handler:
        if self._handler is None:
            self._forget()
            self._handler = self._server.handler()
            self._handler.connection_made(self._transport)
            if self._path.is_closing:  # it has missed being told to
                asyncio.get_running_loop().call_soon(self._handler.close)
        return self._handler

    def _forget(self) -> None:
        self._path.connections.discard(self)
        self._idle_timer.cancel()

    def _close_after(self, seconds: float) -> None:
        self._idle_timer = asyncio.get_running_loop().call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        used_at = max(self._answered_at, self._arrived_at)
        remaining_s = used_at + self._server.keepalive_timeout_s - perf_counter()
        if remaining_s > 0:
            self._close_after(remaining_s)
        else:
            self.close()
