"""Bytes of one connection that came too early, and are not parsed yet. Above a bound, nothing more is read."""

import asyncio

PIECE_BYTES = 4096
"""Bytes to parse at a time: a hundred of the shortest requests."""

MAX_BYTES = 64 * 1024


class Backlog:
    """Pauses the reading of its transport while it has too many bytes."""

    __slots__ = ("_data", "_transport", "is_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._data = b""
        self.is_reading = True

    def __bool__(self) -> bool:
        return bool(self._data)

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > MAX_BYTES and self.is_reading:
            self.is_reading = False
            self._transport.pause_reading()

    def take(self, size: int | None = PIECE_BYTES) -> bytes:
        """The next piece; None for all. Reading goes on when half of the bound is left."""
        piece, self._data = self._data[:size], b"" if size is None else self._data[size:]
        if not self.is_reading and len(self._data) <= MAX_BYTES // 2:
            self.is_reading = True
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return piece
