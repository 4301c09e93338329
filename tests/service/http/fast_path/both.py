"""Two services, one with the fast path and one without, and all that can be seen of what the same bytes do to them."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.telemetry.logs import LogWriter, RequestLog
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time import Clock, settle
from tests.waiting import PATIENCE_S

HELD = ["import-1", "a~b.c", "x:y@z,(1)", "a+b", "ä", "50%", "what?", "a b", "a#b", 'quo"te']
COMPLETED = "completed"
FIELDS = {
    "status": "running",
    "csv_url": "https://example.com/x.csv",
    "start_time": datetime(2026, 11, 23, tzinfo=UTC),
}
LAST = b"GET /healthz HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
"""Ends every connection, so that its end need not be waited for; what swallows it does so in both services."""

MADE = re.compile(rb"(?<=Date: )[^\r]+|(?<=X-Request-Id: )[0-9a-f]{32}(?=\r)")
"""What must differ between two answers."""

LEAST = [b"Host: s", b"X-API-Key: key-1"]


def head(
    target: bytes = b"/status/import-1",
    headers: Sequence[bytes] = LEAST,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    end: bytes = b"\r\n",
) -> bytes:
    return b"%b %b %b%b" % (method, target, version, end) + b"".join(each + end for each in headers) + end


class Client(asyncio.Protocol):
    """Keeps what comes, however the connection ends."""

    def __init__(self) -> None:
        self.received = b""
        self.closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)


class Observed:
    """One of the two services, and all that can be seen of it."""

    def __init__(self, running: RunningService, writer: LogWriter, stream: io.StringIO) -> None:
        self.running = running
        self._writer = writer
        self._stream = stream
        self._counted: dict[tuple[str, ...], float] = {}
        self.list_etag = b""

    async def answers(self, parts: list[bytes]) -> bytes:
        """What it sends until it closes the connection, which it does in the end."""
        host, _, port = self.running.url.removeprefix("http://").partition(":")
        transport, client = await asyncio.get_running_loop().create_connection(Client, host, int(port))
        for part in parts:
            if not client.closed.done():
                transport.write(part)
                await settle(5)
        async with asyncio.timeout(PATIENCE_S):
            await client.closed
        return MADE.sub(b"...", client.received)

    @property
    def connections(self) -> list[asyncio.Protocol]:
        """That are open."""
        server = self.running.service.runner.server
        return [] if server is None else list(server.connections)

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
        server = self.running.service.runner.server
        self._counted["by gunicorn",] = 0 if server is None else server.requests_count
        changed = {key: value - before.get(key, 0) for key, value in self._counted.items()}
        return {key: value for key, value in changed.items() if value}


@dataclass(frozen=True)
class Both:
    """With the fast path, and without it. Both hold the same processes, all of one version."""

    fast: Observed
    plain: Observed
    firestore: BackgroundFirestore
    project: str
    version: int

    def __iter__(self) -> Iterator[Observed]:
        return iter((self.fast, self.plain))

    def filled_in(self, data: bytes) -> bytes:
        """With the ETags that are meant."""
        etags = {"now": self.version, "old": self.version - 1, "new": self.version + 1}
        for name, value in etags.items():
            data = data.replace(b"{%b}" % name.encode(), b"%d" % value)
        return data.replace(b"{list}", self.plain.list_etag)

    async def assert_same_effect(self, parts: list[bytes]) -> None:
        """Of these bytes, sent part by part on one connection."""
        parts = [self.filled_in(part) for part in parts]
        answers = await asyncio.gather(*(each.answers([*parts, LAST]) for each in self))
        assert answers[0] == answers[1]
        self.assert_same_trace()

    def assert_same_trace(self) -> None:
        """Of all that has been sent since the last time: log lines and counts."""
        assert (self.fast.logged(), self.fast.counted()) == (self.plain.logged(), self.plain.counted())

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
        for fast_path in (True, False):
            stream = io.StringIO()
            writer = LogWriter(stream, lambda _: b"")
            log = RequestLog(writer, environment="production", level="INFO", project_id=project)
            running = await stack.enter_async_context(
                running_service(firestore.host, project, clock=clock, request_log=log, fast_path=fast_path, **options)
            )
            observed.append(Observed(await running.synced(), writer, stream))
            stack.callback(writer.close)
        for each in observed:
            listed = await each.answers([head(b"/status"), LAST])
            (each.list_etag,) = re.findall(rb'Etag: "([0-9a-f]{24})"', listed)
            each.logged()
            each.counted()
        fast, plain = observed
        yield Both(fast, plain, firestore, project, version)
