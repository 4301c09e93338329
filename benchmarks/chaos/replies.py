"""HTTP responses off a raw connection, at the least cost: a client must not need more CPU than what it asks."""

import asyncio
import time
from typing import NamedTuple, cast


class Reply(NamedTuple):
    """An HTTP response and when it had come."""

    received_us: int
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class ReplyReader(asyncio.Protocol):
    """Splits what comes into responses."""

    def __init__(self) -> None:
        self._buffer = b""
        self.replies: list[Reply] = []
        self._expected = 0
        self._done: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.is_open = cast("asyncio.Transport", transport), True  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        received_us = time.time_ns() // 1000
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            status_line, *lines = self._buffer[:end].split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            status = int(status_line[9:12])
            length = 0 if status == 304 else int(headers.get(b"Content-Length", b"0"))
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self.replies.append(Reply(received_us, status, headers, body))
        if len(self.replies) >= self._expected:
            self._wake()

    def _wake(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def close(self) -> None:
        """Leave."""
        self.is_open = False
        if self.transport is not None:
            self.transport.abort()

    async def ask(self, requests: bytes, count: int, patience_s: float) -> list[Reply]:
        """The replies, fewer than `count` where the connection broke. Raises: TimeoutError."""
        assert self.transport is not None
        self.replies, self._expected = [], count
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(requests)
        async with asyncio.timeout(patience_s):
            await self._done
        return self.replies
