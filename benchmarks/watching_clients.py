"""Thousands of clients that wait for one process on one thread, and a bystander who asks for something else meanwhile.

The clients are plain sockets on one epoll, so that they cost less than what they measure.
"""

import re
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from benchmarks.firestore import process_id
from benchmarks.processes import Child

PROCESS_ID = process_id(0)
_VERSION = re.compile(rb'\n(?:ETag: "v|id: )(\d+)', re.IGNORECASE)
_LENGTH = re.compile(rb"Content-Length: (\d+)", re.IGNORECASE)


@dataclass
class Client:
    """One connection: what it knows, and what it has not read to the end of an answer yet."""

    socket: socket.socket
    version: int = 0
    process: str = ""
    """Where it is not the one that all ask for."""
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
    process: str = PROCESS_ID

    def connect(self, count: int, version: int, processes: Sequence[str] = ("",)) -> None:
        """So many clients that know this version of the processes, in turn."""
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port))
            client = Client(connection, version, processes[number % len(processes)])
            self.by_fd[connection.fileno()] = client
            self.epoll.register(connection, select.EPOLLIN)
            if self.kind != "polls":
                self.ask(client)

    def ask(self, client: Client) -> None:
        self.requests += 1
        path = {"long_polls": "?wait=60", "event_streams": "/events", "polls": ""}[self.kind]
        seen = "Last-Event-ID: %d" if self.kind == "event_streams" else 'If-None-Match: "v%d"'
        head = f"GET /status/{client.process or self.process}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += "User-Agent: benchmark\r\nAccept: */*\r\n"
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


def bystander(port: int) -> Child:
    """Asks for /healthz again and again; answers `longest_ms`: how long it had to wait at most."""
    return Child(_bystander, port, name="bystander")


def _bystander(pipe: Connection, port: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    longest_s = 0.0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            if pipe.poll():
                if pipe.recv() == ("stop",):
                    return
                pipe.send(("done", longest_s * 1000))
            began = time.monotonic()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(4096)
            longest_s = max(longest_s, time.monotonic() - began)
            time.sleep(0.002)
