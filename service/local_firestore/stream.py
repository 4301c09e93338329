"""The server's side of one Listen stream: an ordered, bounded queue, a writer, heartbeats, an end.

Messages leave one at a time, in the order of the queue, and only while the stream is not stalled. If a reader is too
slow for the bound, its stream ends (ABORTED); the server neither waits for it nor skips messages.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

import grpc

from service.local_firestore.errors import FirestoreError
from service.local_firestore.messages import Message

OnRequest = Callable[["ListenStream", Message], None]


@dataclass(frozen=True, slots=True)
class End:
    """How a stream ends; OK is a graceful end."""

    code: grpc.StatusCode
    detail: str


class ListenStream:
    """The server's side of one stream. `run` is its whole life."""

    def __init__(
        self, on_request: OnRequest, on_idle: Callable[["ListenStream"], None], *, heartbeat_s: float, max_queued: int
    ) -> None:
        self.sent = 0
        self._stalled_by: set[object] = set()
        self._on_request = on_request
        self._on_idle = on_idle
        self._heartbeat_s = heartbeat_s
        self._max_queued = max_queued
        self._queue: deque[bytes | Iterator[bytes]] = deque()
        self._wake = asyncio.Event()
        self._end: End | None = None
        self._end_after: tuple[int, End] | None = None
        self._overflowed = False
        self._last_sent = 0.0

    @property
    def stalled(self) -> bool:
        return bool(self._stalled_by)

    async def run(self, requests: AsyncIterator[Message], write: Callable[[bytes], Awaitable[None]]) -> End:
        """Serve the stream until either side ends it."""
        loop = asyncio.get_running_loop()
        self._last_sent = loop.time()
        reader = loop.create_task(self._read(requests), name="local firestore: listen requests")
        self._heart = loop.call_later(self._heartbeat_s, self._beat)
        reader.add_done_callback(lambda done: self._wake.set())
        try:
            end = await self._write_until_end(write, reader)
        finally:
            self._heart.cancel()
            reader.cancel()
            await asyncio.wait([reader])
        return end

    async def _read(self, requests: AsyncIterator[Message]) -> None:
        try:
            async for request in requests:
                self._on_request(self, request)
        except FirestoreError as refused:
            self.end(refused.code, refused.message)
        else:
            self.end()

    async def _write_until_end(self, write: Callable[[bytes], Awaitable[None]], reader: asyncio.Task[None]) -> End:
        while True:
            end = await self._until_ready(reader)
            if end is not None:
                return end
            item = self._queue.popleft()
            for message in (item,) if isinstance(item, bytes) else item:
                end = await self._until_free()
                if end is not None:
                    return end
                self.sent += 1  # counted before it is sent, so that a client that has it also finds it counted
                await write(message)
                self._note_sent()

    async def _until_ready(self, reader: asyncio.Task[None]) -> End | None:
        while self._end is None and (self.stalled or not self._queue):
            if reader.done():
                reader.result()  # it is done, but the stream has no end: raises an unexpected error
            self._wake.clear()
            await self._wake.wait()
        return self._end

    async def _until_free(self) -> End | None:
        while self._end is None and self.stalled:
            self._wake.clear()
            await self._wake.wait()
        return self._end

    def _note_sent(self) -> None:
        self._last_sent = asyncio.get_running_loop().time()
        if self._end_after is not None and self.sent >= self._end_after[0]:
            self._end = self._end_after[1]

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._last_sent + self._heartbeat_s
        if loop.time() >= due - 0.001:
            if not self.stalled and not self._queue:
                self._on_idle(self)
            due = loop.time() + self._heartbeat_s
        self._heart = loop.call_at(due, self._beat)

    def push(self, messages: Iterable[bytes]) -> None:
        """Queue messages. If there are more than the bound, the stream ends."""
        if self._end is not None or self._overflowed:
            return
        self._queue.extend(messages)
        if len(self._queue) > self._max_queued:
            self._queue.clear()
            self._overflowed = True
            if not self.stalled:
                self._end_overflowed()
        self._wake.set()

    def push_lazily(self, messages: Iterator[bytes]) -> None:
        """Queue messages that are serialized when they are sent; they count as one message."""
        if self._end is None and not self._overflowed:
            self._queue.append(messages)
            self._wake.set()

    def stall(self, by: object) -> None:
        """Send nothing until every fault that stalled the stream resumes it. Messages queue up to the bound."""
        self._stalled_by.add(by)

    def resume(self, by: object) -> None:
        self._stalled_by.discard(by)
        if self.stalled:
            return
        if self._overflowed:
            self._end_overflowed()
        self._wake.set()

    def _end_overflowed(self) -> None:
        self.end(grpc.StatusCode.ABORTED, "the stream's reader is too slow")

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK, detail: str = "", *, after_messages: int = 0) -> None:
        """End the stream, now or after this many more messages. Only the first call has an effect."""
        if after_messages:
            self._end_after = (self.sent + after_messages, End(code, detail))
            return
        if self._end is None:
            self._end = End(code, detail)
            self._wake.set()
