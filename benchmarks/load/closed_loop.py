"""The built-in load client: raw sockets on asyncio, each connection asking again as soon as it is answered.

Run by `loader.py`, in a process of its own: `python -m benchmarks.load.closed_loop PORT SECONDS CONNECTIONS REQUESTS`,
where the file holds whole requests with a NUL between them. Prints one JSON object, as `wrk.lua` does.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.load.http_answers import AnswerReader, NotHttp
from benchmarks.load.latencies import Latencies

ERROR_STATUS = 400


class Load:
    """What all connections share: the requests, the end, and the counts."""

    def __init__(self, port: int, seconds: float, requests: list[bytes]) -> None:
        self.requests = itertools.cycle(requests)
        self.errors: Counter[str] = Counter()
        self.latencies = Latencies()
        self.answers = 0
        self.bytes = 0
        self._port = port
        self._seconds = seconds
        self.ends_at = 0.0

    async def run(self, connections: int) -> dict[str, Any]:
        """Load, and tell."""
        started = time.perf_counter()
        self.ends_at = started + self._seconds
        opened = [asyncio.create_task(self._keep_asking()) for _ in range(connections)]
        await asyncio.wait(opened, timeout=self._seconds)
        seconds = time.perf_counter() - started
        for each in opened:
            each.cancel()
        await asyncio.gather(*opened, return_exceptions=True)
        return {
            "answers": self.answers,
            "seconds": seconds,
            "bytes": self.bytes,
            "errors": self.errors,
            "latency_ms": self.latencies.percentiles_ms() if self.answers else {},
        }

    async def _keep_asking(self) -> None:
        """One connection at a time: another one where the server has closed it."""
        loop = asyncio.get_running_loop()
        while time.perf_counter() < self.ends_at:
            ended = loop.create_future()
            try:
                await loop.create_connection(lambda ended=ended: Connection(self, ended), "127.0.0.1", self._port)  # type: ignore[misc]
            except OSError:
                self.errors["connect"] += 1
                await asyncio.sleep(0.01)
                continue
            await ended


class Connection(asyncio.Protocol):
    """Asks, reads the answer, asks again."""

    __slots__ = ("_asked_at", "_ended", "_load", "_reader", "_transport", "_waits")

    def __init__(self, load: Load, ended: "asyncio.Future[None]") -> None:
        self._load = load
        self._ended = ended
        self._reader = AnswerReader()
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._ask()

    def _ask(self) -> None:
        self._waits = True
        self._asked_at = time.perf_counter()
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        try:
            for answer in self._reader.feed(data):
                self._answered(answer.status, answer.size)
                if answer.closes:
                    self._transport.close()
                elif time.perf_counter() < self._load.ends_at:
                    self._ask()
        except NotHttp:
            self._load.errors["not HTTP"] += 1
            self._transport.abort()

    def _answered(self, status: int, size: int) -> None:
        load = self._load
        self._waits = False
        load.latencies.record(time.perf_counter() - self._asked_at)
        load.answers += 1
        load.bytes += size
        if status >= ERROR_STATUS:
            load.errors[f"answers {status}"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits and time.perf_counter() < self._load.ends_at:
            self._load.errors["connections lost"] += 1
        if not self._ended.done():
            self._ended.set_result(None)


def main() -> None:
    port, seconds, connections, requests_file = sys.argv[1:]
    load = Load(int(port), float(seconds), Path(requests_file).read_bytes().split(b"\0"))
    print(json.dumps(uvloop.run(load.run(int(connections)))))


if __name__ == "__main__":
    main()
