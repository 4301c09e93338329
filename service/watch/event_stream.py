"""One client's event stream: written to at once while its connection takes it, bounded while it does not.

Lives on the event loop and needs no task of its own: whoever announces a change writes it to every stream. The
connection's handler sleeps in `wait` and is woken only to drain the connection or to end it.
"""

import asyncio
from abc import ABC, abstractmethod
from enum import Enum
from typing import Protocol

from service.watch.event_frames import COMMENT, FAREWELL, Frame


class Client(Protocol):
    """The connection that a stream is written to."""

    def send(self, frame: Frame) -> bool:
        """Take the frame; never blocks or raises. False: no more, please, until the connection has drained."""

    def abort(self) -> None:
        """Close the connection without sending what waits in it."""


class StreamState(Enum):
    """What becomes of the next frame."""

    OPENING = "opening"  # it waits: the client has not been told the present state yet
    FLOWING = "flowing"  # it is written
    STUCK = "stuck"  # it waits: the connection has to drain first
    ENDED = "ended"
    DROPPED = "dropped"  # the client did not read: its connection is to be closed


class EventStream(ABC):
    """What both kinds have in common."""

    __slots__ = ("_client", "_signal", "comment_turn", "state")

    def __init__(self) -> None:
        self.state = StreamState.OPENING
        self.comment_turn = 0
        self._client: Client | None = None
        self._signal: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state.value}>"

    @property
    def is_over(self) -> bool:
        """Whether it is told nothing more."""
        return self.state in (StreamState.ENDED, StreamState.DROPPED)

    async def wait(self) -> StreamState:
        """Sleep while frames flow. Returns STUCK (drain, then call `drained`), ENDED or DROPPED."""
        if self.state is StreamState.FLOWING:
            self._signal = asyncio.get_running_loop().create_future()
            await self._signal
        return self.state

    def drained(self) -> None:
        """The connection takes more: send a piece of what waits. STUCK again while there is more of it."""
        if self.state is StreamState.STUCK:
            self.state = StreamState.FLOWING
            self._send_waiting()

    @abstractmethod
    def _send_waiting(self) -> None:
        """Send what has waited, at most about a frame's worth; enter STUCK where more is left."""

    def comment(self) -> None:
        """A sign of life, for those who can take it."""
        if self.state is StreamState.FLOWING:
            self._send(COMMENT)

    def farewell(self) -> None:
        """End it because the server stops, which waits for nobody who does not read."""
        if self.state is StreamState.FLOWING:
            self._send(FAREWELL)
        if self.state is StreamState.STUCK:
            self._drop()
        elif not self.is_over:
            self._enter(StreamState.ENDED)

    def fail(self, _: Exception) -> None:
        """See CanFail."""
        if not self.is_over:
            self._drop()

    def _drop(self) -> None:
        """Whether the handler sleeps or drains: the connection's end wakes it."""
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
