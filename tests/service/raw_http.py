"""HTTP as no client library would send it, and its answers as they came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.waiting import PATIENCE_S


class RawConnection:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Raises: ConnectionError where the service has had enough."""
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """No more will be sent."""
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def all(self) -> bytes:
        """Everything until the service closes the connection, or breaks it off."""
        received = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while data := await self._reader.read(2**16):
                    received += data
        return bytes(received)

    async def reply(self) -> tuple[int, bytes]:
        """One response's status and body."""
        head = await self.head()
        async with asyncio.timeout(PATIENCE_S):
            lines = head.lower().split(b"\r\n")
            length = next(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
            return int(head[9:12]), await self._reader.readexactly(length)

    async def head(self) -> bytes:
        """One response's status line and headers."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self, end: bytes) -> bytes:
        """What comes up to these bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readuntil(end)

    def stop_reading(self) -> None:
        """Let what comes pile up on the other side."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's has it


@asynccontextmanager
async def raw_connection(url: str, *, limit: int = 2**16) -> AsyncIterator[RawConnection]:
    """Connect; in the end the connection is broken off."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=limit)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def responses_in(data: bytes) -> list[tuple[int, bytes]]:
    """Split what came into responses (status and body), as their lengths say."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, data[:200]
        assert head.startswith(b"HTTP/1."), data[:200]
        lengths = [int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        length = lengths[0] if lengths else 0
        assert len(rest) >= length, data[:200]
        found.append((int(head[9:12]), rest[:length]))
        data = rest[length:]
    return found
