"""What does waiting cost, and how soon does a change arrive? And what would the same freshness cost by polling?

One worker as `process-status serve` runs it, with its log; a local Firestore; the clients: each in a process of its
own. Prints one JSON object:
- `memory`: resident memory of the worker for each of `--clients` waiting clients, long polls and event streams, the
  time from a commit until all of them have the change, and how long an unrelated request waited meanwhile;
- `delay`: at `--watchers` clients of one process, from commit to client over `--changes` changes;
- `polling`: the same clients asking once a second instead: requests, CPU seconds and median delay, and the ratios.

Delays are from the commit's time to the client's read, clients included. Run it with `python -m benchmarks.watchers`.
"""

import argparse
import contextlib
import heapq
import json
import multiprocessing
import os
import random
import re
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

KINDS = ("long_polls", "event_streams")
PROCESS_ID = "import-1"
PATIENCE_S = 20.0
_VERSION = re.compile(rb'\n(?:ETag: "v|id: )(\d+)', re.IGNORECASE)
_LENGTH = re.compile(rb"Content-Length: (\d+)", re.IGNORECASE)


# -- the local Firestore, in a process of its own


def _firestore(pipe: Connection) -> None:
    import asyncio

    from service.local_firestore import LocalFirestore

    async def run() -> None:
        async with LocalFirestore() as server:
            pipe.send(server.host)
            loop = asyncio.get_running_loop()
            while (order := await loop.run_in_executor(None, pipe.recv)) is not None:
                project, fields = order
                pipe.send(server.database(project).commit_plain({f"webServiceLogs/{PROCESS_ID}": fields}))

    asyncio.run(run())


class Firestore:
    """Commits new versions of the one process."""

    def __init__(self) -> None:
        self.project = f"bench-{uuid.uuid4().hex[:8]}"
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_firestore, args=(theirs,), daemon=True)
        self._process.start()
        self.host = self._pipe.recv()
        self._number = 0

    def begin_commit(self) -> None:
        self._number += 1
        fields = {
            "status": "running",
            "start_time": "2026-01-01T00:00:00Z",
            "last_updated": time.time(),
            "csv_url": "https://storage.example.com/imports/00000001.csv",
            "products_processed": self._number,
            "products_failed": 0,
        }
        self._pipe.send((self.project, fields))

    def commit(self) -> int:
        """Returns the version."""
        self.begin_commit()
        return int(self._pipe.recv())

    def committed(self) -> int | None:
        """The version of the commit that was begun, once it is known."""
        return int(self._pipe.recv()) if self._pipe.poll() else None

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join(10)


# -- the worker


class Worker:
    """One serving process, seen from outside."""

    def __init__(self, firestore: Firestore, listener: str) -> None:
        environment = {
            **os.environ,
            "FIRESTORE_EMULATOR_HOST": firestore.host,
            "PROJECT_ID": firestore.project,
            "START_TIME_TYPE": "string",
            "LISTENER": listener,
            "HOST": "127.0.0.1",
            "PORT": "0",
        }
        self._log = Path(f"/tmp/benchmark-watchers-{os.getpid()}.log")  # noqa: S108 - removed at the end
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "service", "serve"], stdout=log, env=environment)
        self.pid = self._process.pid
        self.port = self._listening()

    def _listening(self) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = re.search(rb"listening on http://[\d.]+:(\d+)", self._log.read_bytes())
            if found:
                return int(found[1])
            time.sleep(0.05)
        raise RuntimeError("the worker did not start")

    @property
    def rss_kib(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() // 1024

    @property
    def cpu_s(self) -> float:
        parts = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def get(self, path: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def watchers(self) -> int:
        found = re.search(rb"^process_status_watchers (\d+)", self.get("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0

    def until(self, claim: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not claim():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not in time: {what}; {self.watchers()} wait")
            time.sleep(0.02)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._log.unlink()


# -- the clients


@dataclass
class Client:
    """One connection: what it knows, and what it has not read to the end of an answer yet."""

    socket: socket.socket
    version: int = 0
    unread: bytes = b""


@dataclass
class Clients:
    """Many connections on one epoll. `heard` is told of each new version a client reads, and when."""

    port: int
    kind: str
    heard: Callable[[Client, int, float], None] = lambda client, version, at: None
    by_fd: dict[int, Client] = field(default_factory=dict)
    epoll: select.epoll = field(default_factory=select.epoll)
    requests: int = 0
    asks_again: bool = True

    def connect(self, count: int, version: int) -> None:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port))
            client = Client(connection, version)
            self.by_fd[connection.fileno()] = client
            self.epoll.register(connection, select.EPOLLIN)
            if self.kind != "polls":
                self.ask(client)

    def ask(self, client: Client) -> None:
        self.requests += 1
        path = {"long_polls": "?wait=60", "event_streams": "/events", "polls": ""}[self.kind]
        seen = "Last-Event-ID: %d" if self.kind == "event_streams" else 'If-None-Match: "v%d"'
        head = f"GET /status/{PROCESS_ID}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmark\r\nAccept: */*\r\n"
        client.socket.sendall(f"{head}{seen % client.version}\r\n\r\n".encode())

    def turn(self, timeout_s: float) -> None:
        for fd, _ in self.epoll.poll(timeout_s):
            client = self.by_fd[fd]
            client.unread += client.socket.recv(65536)
            at = time.time()
            for version in map(int, _VERSION.findall(client.unread)):
                if version > client.version:
                    client.version = version
                    self.heard(client, version, at)
            if self.kind == "event_streams" or _is_whole(client.unread):
                client.unread = b""
                if self.kind == "long_polls" and self.asks_again:
                    self.ask(client)

    def close(self) -> None:
        for client in self.by_fd.values():
            client.socket.close()
        self.epoll.close()


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(separator) and len(body) >= (int(length[1]) if length and b" 304 " not in head[:16] else 0)


# -- what is measured


def _bystander(port: int, pipe: Connection) -> None:
    """Asks for /healthz again and again, and tells the longest it had to wait."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        longest_s = 0.0
        pipe.send("ready")
        while not pipe.poll():
            began = time.monotonic()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(4096)
            longest_s = max(longest_s, time.monotonic() - began)
            time.sleep(0.002)
        pipe.send(longest_s)


@contextlib.contextmanager
def bystander(port: int, result: dict[str, Any]) -> Iterator[None]:
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_bystander, args=(port, theirs), daemon=True)
    process.start()
    mine.recv()
    yield
    mine.send("stop")
    result.setdefault("bystander_waited_longest_ms", []).append(round(mine.recv() * 1000, 1))
    process.join()


def memory(worker: Worker, firestore: Firestore, kind: str, count: int, rounds: int = 3) -> dict[str, Any]:
    """Memory of each waiting client, and the time until one change has reached all."""
    version = firestore.commit()
    worker.until(lambda: b'"v%d"' % version in worker.get(f"/status/{PROCESS_ID}"), "the worker holds the process")
    worker.until(lambda: worker.watchers() == 0, "nobody waits any more")
    before_kib = worker.rss_kib
    clients = Clients(worker.port, kind)
    clients.connect(count, version)
    worker.until(lambda: worker.watchers() == count, "all wait")
    each_kib = (worker.rss_kib - before_kib) / count
    result: dict[str, Any] = {"clients": count, "kib_each": round(each_kib, 2), "reached_all_s": [], "cpu_s": []}
    clients.asks_again = False
    for _ in range(rounds):
        arrived: list[float] = []
        clients.heard = lambda client, version, at, arrived=arrived: arrived.append(at)  # type: ignore[misc]
        with bystander(worker.port, result):
            cpu_s, version = worker.cpu_s, firestore.commit()
            while len(arrived) < count:
                clients.turn(1)
        result["reached_all_s"].append(round(arrived[-1] - version / 1e6, 3))
        result["cpu_s"].append(round(worker.cpu_s - cpu_s, 2))
        if kind == "long_polls":
            for client in clients.by_fd.values():
                clients.ask(client)
        worker.until(lambda: worker.watchers() == count, "all wait again")
    clients.close()
    worker.until(lambda: worker.watchers() == 0, "all have left")
    result["kib_each_kept_after_they_left"] = round((worker.rss_kib - before_kib) / count, 2)
    return result


def watched(
    worker: Worker, firestore: Firestore, kind: str, count: int, changes: int, interval_s: float
) -> dict[str, Any]:
    """`count` clients of one process, `changes` changes of it at random intervals."""
    delays: list[float] = []
    clients = Clients(worker.port, kind)
    clients.connect(count, firestore.commit() - 1)
    rng = random.Random(7)
    started, cpu_s = time.monotonic(), worker.cpu_s
    polls = [(started + rng.random(), fd) for fd in clients.by_fd] if kind == "polls" else []
    heapq.heapify(polls)
    end = started + 2  # what comes before the first change is their first answer
    due, made = end, 0
    clients.heard = lambda client, version, at: delays.append(at - version / 1e6) if made else None
    while time.monotonic() < end + 2:
        now = time.monotonic()
        while polls and polls[0][0] <= now:
            at, fd = heapq.heappop(polls)
            clients.ask(clients.by_fd[fd])
            heapq.heappush(polls, (at + 1, fd))
        if now >= due and made < changes:
            firestore.begin_commit()
            made += 1
            due += rng.uniform(0.5, 1.5) * interval_s
            end = due
        firestore.committed()
        clients.turn(max(0.0, min(due - now, polls[0][0] - now if polls else 0.05)))
    seconds = time.monotonic() - started
    result = {
        "watchers": count,
        "changes": changes,
        "seconds": round(seconds, 1),
        "requests": clients.requests,
        "cpu_s": round(worker.cpu_s - cpu_s, 2),
        "heard": len(delays),
        **{f"p{part}_ms": round(_quantile(delays, part) * 1000, 1) for part in (50, 90, 99)},
        "max_ms": round(max(delays) * 1000, 1),
    }
    clients.close()
    worker.until(lambda: worker.watchers() == 0, "all have left")
    return result


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def ratios(by_polling: dict[str, Any], by_waiting: dict[str, Any]) -> dict[str, float]:
    """How many times what waiting needs, polling once a second needs."""
    return {name: round(by_polling[name] / max(by_waiting[name], 0.01), 1) for name in ("requests", "cpu_s", "p50_ms")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--watchers", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--interval-s", type=float, default=1.0)
    parser.add_argument("--listener", default="stream")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result: dict[str, Any] = {"listener": options.listener, "memory": {}, "delay": {}, "polling": {}}
    firestore = Firestore()
    try:
        for kind in KINDS:
            with contextlib.closing(Worker(firestore, options.listener)) as worker:
                result["memory"][kind] = memory(worker, firestore, kind, options.clients)
            print(kind, result["memory"][kind], file=sys.stderr)
        asked = (options.watchers, options.changes, options.interval_s)
        with contextlib.closing(Worker(firestore, options.listener)) as worker:
            for kind in KINDS:
                result["delay"][kind] = watched(worker, firestore, kind, *asked)
                print(kind, result["delay"][kind], file=sys.stderr)
            polled = watched(worker, firestore, "polls", *asked)
    finally:
        firestore.stop()
    result["polling"] = {"once_a_second": polled}
    for kind in KINDS:
        result["polling"][f"ratios_to_{kind}"] = ratios(polled, result["delay"][kind])
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
