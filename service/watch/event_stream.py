"""One client's event stream. It writes frames at once; while the connection is full, they wait, within a bound.

Lives on the event loop and needs no task of its own: a delivery writes to the stream directly. The connection's handler
sleeps in `wait`; it wakes up only to drain the connection or to end it.
"""

import asyncio
from abc import ABC, abstractmethod
from enum import Enum
from typing import Protocol

from service.watch.event_frames import CALLER_EXPIRES, COMMENT, SERVER_STOPS, Frame


class Client(Protocol):
    """The connection to which a stream writes."""

    def send(self, frame: Frame) -> bool:
        """Take the frame; never blocks or raises.

        Returns False if nothing more may be sent before the connection drains.
        """

    def abort(self) -> None:
        """Close the connection without sending the bytes that wait in it."""


class StreamState(Enum):
    """What happens to the next frame."""

    OPENING = "opening"  # the frame waits: the client has not got the present state yet
    FLOWING = "flowing"  # the frame is written
    STUCK = "stuck"  # the frame waits: the connection has to drain first
    ENDED = "ended"
    DROPPED = "dropped"  # the client did not read: its connection must be closed


class EventStream(ABC):
    """The common part of the streams of one process and of all processes."""

    __slots__ = ("_client", "_signal", "comment_slot", "state")

    def __init__(self) -> None:
        self.state = StreamState.OPENING
        self.comment_slot = 0
        self._client: Client | None = None
        self._signal: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state.value}>"

    @property
    def is_over(self) -> bool:
        """Whether the client gets nothing more."""
        return self.state in (StreamState.ENDED, StreamState.DROPPED)

    async def wait(self) -> StreamState:
        """Sleep while frames flow. Returns STUCK (drain, then call `drained`), ENDED or DROPPED."""
        if self.state is StreamState.FLOWING:
            self._signal = asyncio.get_running_loop().create_future()
            await self._signal
        return self.state

    def drained(self) -> None:
        """The connection has room again: send a part of the waiting frames. Enters STUCK again while more is left."""
        if self.state is StreamState.STUCK:
            self.state = StreamState.FLOWING
            self._send_waiting()

    @abstractmethod
    def _send_waiting(self) -> None:
        """Send waiting frames, at most about one frame's size; enter STUCK if more is left."""

    def comment(self) -> None:
        """Send a sign of life, if the connection has room."""
        if self.state is StreamState.FLOWING:
            self._send(COMMENT)

    def finish(self) -> None:
        """End the stream because the server stops."""
        self._end(SERVER_STOPS)

    def expire(self) -> None:
        """End the stream because its caller's token has expired."""
        self._end(CALLER_EXPIRES)

    def _end(self, last: Frame) -> None:
        """End the stream. If the client does not read, drop it."""
        if self.state is StreamState.FLOWING:
            self._send(last)
        if self.state is StreamState.STUCK:
            self._drop()
        elif not self.is_over:
            self._enter(StreamState.ENDED)

    def fail(self, _: Exception) -> None:
        """See CanFail."""
        if not self.is_over:
            self._drop()

    def _drop(self) -> None:
        """Close the connection. This wakes the handler, whether it sleeps or drains."""
        self._enter(StreamState.DROPPED)
        if self._client is not None:
            self._client.abort()

    def _send(self, frame: Frame) -> None:
        assert self._client is not None  # noqa: S101 - frames flow only once there is a client
        if not self._client.send(frame) and self.state is StreamState.FLOWING:
            self._enter(StreamState.STUCK)

    def _enter(self, state: StreamState) -> None:
        self.state = state
        if self._signal is not None and not self._signal.done():
            self._signal.set_result(None)
