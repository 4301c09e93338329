"""Two services, one of them served by aiohttp, and all that can be seen of what the same bytes do to both."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.app import Service
from service.http.connection import State
from service.http.responses import error_body
from service.telemetry.logs import LogWriter, RequestLog
from tests.firestore_servers import BackgroundFirestore
from tests.service.http.oracle import OracleRunner
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time import Clock, settle
from tests.waiting import until

HELD = ["import-1", "a{b}", "a~b.c", "x:y@z,(1)", "a+b", "ä", "50%", "what?", "a b", "a#b", 'quo"te']
COMPLETED = "completed"
FIELDS = {
    "status": "running",
    "csv_url": "https://example.com/x.csv",
    "start_time": datetime(2026, 11, 23, tzinfo=UTC),
}
LAST = b"GET /healthz HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
"""Ends every connection, so that its end need not be waited for."""

MADE = re.compile(rb"[0-9a-f]{32}")
"""A request ID that the service has made: different in every answer."""

OUR_REFUSALS = {
    b"%d" % len(error_body(message))
    for message in (
        "The request target names no host",
        "This is no proxy: there is no CONNECT",
        "The request needs one Host header that names a host",
        "Transfer-Encoding can only be chunked",
        "A header that can be given only once is there twice",
    )
}
"""What this service refuses by itself, by the length of its answer; aiohttp refuses a part of it, in other words."""

LEAST = [b"Host: s", b"X-API-Key: key-1"]


def head(
    target: bytes = b"/status/import-1",
    headers: Sequence[bytes] = LEAST,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    end: bytes = b"\r\n",
) -> bytes:
    return b"%b %b %b%b" % (method, target, version, end) + b"".join(each + end for each in headers) + end


class Transport(asyncio.Transport):
    """A client's connection in memory: `sent` is what the service has written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 50_000)})
        self.sent = bytearray()
        self.is_over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_over:
            self.sent += data

    def write_eof(self) -> None:
        self.is_over = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.is_over = True

    abort = close

    def pause_reading(self) -> None:
        """Whoever feeds it has all bytes already."""

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It takes everything."""


class Answered(NamedTuple):
    """One answer: its status line, its headers (but for their order and what is made anew each time), its body."""

    line: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


def answers_in(data: bytes) -> list[Answered]:
    """Split what a connection has sent. An answer to HEAD has a length and no body: what follows is no JSON."""
    found = []
    while data:
        begin, separator, data = data.partition(b"\r\n\r\n")
        assert separator, begin
        line, *lines = begin.split(b"\r\n")
        headers: dict[bytes, bytes] = {
            name.lower(): value for name, _, value in (each.partition(b": ") for each in lines)
        }
        assert len(headers) == len(lines), begin
        assert headers.pop(b"date")
        if MADE.fullmatch(headers[b"x-request-id"]):
            headers[b"x-request-id"] = b"..."
        has_body = bool(data) and not data.startswith(b"HTTP/1.")
        length = int(headers.get(b"content-length", b"0")) if has_body else 0
        assert len(data) >= length
        found.append(Answered(line, headers, data[:length]))
        data = data[length:]
    return found


def _is_our_refusal(answers: Sequence[Answered]) -> bool:
    return bool(answers) and answers[-1].headers.get(b"content-length") in OUR_REFUSALS


class Observed:
    """One of the two services, and all that can be seen of it."""

    def __init__(self, running: RunningService, writer: LogWriter, stream: io.StringIO, *, is_oracle: bool) -> None:
        self.running = running
        self.is_oracle = is_oracle
        self._writer = writer
        self._stream = stream
        self._counted: dict[tuple[str, ...], float] = {}
        self.list_etag = b""

    async def exchange(self, parts: Iterable[bytes]) -> tuple[bytes, bool]:
        """What it sends for these bytes, fed part by part, and whether the connection stays open."""
        connection, transport = self.running.runner.server(), Transport()
        connection.connection_made(transport)
        try:
            for part in parts:
                if not transport.is_over:
                    connection.data_received(part)
            for _ in range(200):
                if transport.is_over or self._has_answered(connection):
                    break
                await asyncio.sleep(0)
            await until(lambda: transport.is_over or self._has_answered(connection), "it has answered")
            return bytes(transport.sent), not transport.is_over
        finally:
            connection.connection_lost(None)
            await settle(3)

    def _has_answered(self, connection: Any) -> bool:
        if self.is_oracle:
            return connection._waiter is not None and not connection._messages
        return bool(connection._state is State.READY and not (connection.heads or connection._backlog))

    @property
    def connections(self) -> list[Any]:
        """That are open."""
        server = self.running.runner.server
        return [] if server is None else list(server.connections)

    def trace(self) -> tuple[list[Any], dict[tuple[str, ...], float]]:
        """Of what has been sent since the last time: log lines and counts."""
        return self.logged(), self.counted()

    def logged(self) -> list[Any]:
        """The lines since the last time, without what must differ."""
        assert self._writer.flush()
        entries = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        self._stream.seek(0)
        self._stream.truncate()
        for entry in entries:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
            assert re.fullmatch(r"\d+\.\d{6}s", entry["httpRequest"].pop("latency"))
            entry["request_id"] = re.sub(r"^[0-9a-f]{32}$", "...", entry["request_id"])
        return entries

    def counted(self) -> dict[tuple[str, ...], float]:
        """How many requests and lookups of each kind there have been since the last time."""
        names = ("http_requests_total", "http_request_duration_seconds_count", "lookups_total")
        metrics = self.running.service.metrics
        metrics.publish()
        before = self._counted
        self._counted = {
            (sample.name, *sample.labels.values()): sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name.endswith(names)
        }
        changed = {key: value - before.get(key, 0) for key, value in self._counted.items()}
        return {key: value for key, value in changed.items() if value}


@dataclass(frozen=True)
class Both:
    """The service itself, and the oracle. Both hold the same processes, all of one version."""

    ours: Observed
    oracle: Observed
    firestore: BackgroundFirestore
    project: str
    version: int

    def __iter__(self) -> Iterator[Observed]:
        return iter((self.ours, self.oracle))

    def filled_in(self, data: bytes) -> bytes:
        """With the ETags that are meant."""
        etags = {"now": self.version, "old": self.version - 1, "new": self.version + 1}
        for name, value in etags.items():
            data = data.replace(b"{%b}" % name.encode(), b"%d" % value)
        return data.replace(b"{list}", self.oracle.list_etag)

    async def assert_same_effect(self, *ways: Sequence[bytes]) -> list[Answered]:
        """Of the same bytes, sent on one connection, in each of these ways of cutting them into parts.

        The oracle gets them one by one: what it has parsed in the part in which it finds a fault it does not answer.
        Returns its answers.
        """
        data = self.filled_in(b"".join(ways[0]))
        received, stays_open = await self.oracle.exchange(data[place : place + 1] for place in range(len(data)))
        expected, (lines, counts) = answers_in(received), self.oracle.trace()
        for parts in ways:
            received, is_open = await self.ours.exchange([self.filled_in(part) for part in parts])
            answers = answers_in(received)
            if not is_open and (_is_our_refusal(answers) or (not stays_open and _is_our_refusal(expected))):
                assert answers[:-1] == expected[: len(answers) - 1], parts
                self.ours.trace()
                return expected
            assert (answers, is_open) == (expected, stays_open), (
                f"{parts}\nours:   {answers}, {is_open}\noracle: {expected}, {stays_open}"
            )
        ours = self.ours.trace()
        theirs = lines * len(ways), {key: count * len(ways) for key, count in counts.items()}
        assert ours == theirs, f"{ways}\nours:   {ours}\noracle: {theirs}"
        return expected

    def assert_same_trace(self) -> None:
        """Of all that has been sent since the last time: log lines and counts."""
        assert self.ours.trace() == self.oracle.trace()

    def commit(self, fields: Mapping[str, object] | None, process_id: str = HELD[0]) -> int:
        """Of one process. Returns its version."""
        return self.firestore.commit(self.project, {f"{COLLECTION}/{process_id}": fields})


@asynccontextmanager
async def both_services(
    firestore: BackgroundFirestore, project: str, clock: Clock, **options: object
) -> AsyncIterator[Both]:
    """Live, and observed from now on."""
    held = {f"{COLLECTION}/{process_id}": FIELDS for process_id in HELD}
    version = firestore.commit(project, {**held, f"{COLLECTION}/{COMPLETED}": FIELDS | {"status": "completed"}})
    observed = []
    async with AsyncExitStack() as stack:
        runners: list[Callable[[Service], Any]] = [lambda service: service.runner, OracleRunner]
        for make_runner in runners:
            stream = io.StringIO()
            writer = LogWriter(stream, lambda _: b"")
            log = RequestLog(writer, environment="production", level="INFO", project_id=project)
            running = await stack.enter_async_context(
                running_service(
                    firestore.host, project, clock=clock, request_log=log, make_runner=make_runner, **options
                )
            )
            is_oracle = make_runner is OracleRunner
            observed.append(Observed(await running.synced(), writer, stream, is_oracle=is_oracle))
            stack.callback(writer.close)
        for each in observed:
            listed, _ = await each.exchange([head(b"/status")])
            (each.list_etag,) = re.findall(rb'Etag: "([0-9a-f]{24})"', listed)
            each.logged()
            each.counted()
        ours, oracle = observed
        yield Both(ours, oracle, firestore, project, version)
