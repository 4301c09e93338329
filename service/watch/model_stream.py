"""One client's stream of every process in the model: first its backlog, then the frames of each batch.

The backlog is everything that the client lacks when the stream begins. It is rendered piece by piece while the client
reads, so beginning a stream costs the same for every size of the model.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from service.api.event_ids import BEFORE_ALL
from service.schema.compiled import ProcessSummary
from service.watch.event_frames import (
    Frame,
    Identify,
    frame,
    removed_block,
    reset_block,
    stalled_block,
    status_block,
)
from service.watch.event_stream import Client, EventStream, StreamState

MAX_WAITING_BYTES = 1024 * 1024
"""The bytes that can wait for one client, in addition to one batch. A client with more is dropped."""

PIECE_BYTES = 64 * 1024
"""The bytes that are rendered into one frame and sent in one turn of the loop."""

STEPS_PER_PIECE = 1000
"""Processes looked at for one frame. Perhaps few of them match or have changed."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A process that left the model; `deleted` as in events.Removal."""

    process_id: str
    read_time: int
    deleted: bool | None


class Beginning(Enum):
    """An event that can come before the present state."""

    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Stalled:
    """A process that stalls, with the version that the client has."""

    process_id: str
    version: int


Item = ProcessSummary | Stalled | Removed | Beginning

Backlog = Iterator[Item | None]
"""The items that a client lacks, in sending order; None for a step that found nothing."""


def block(item: Item, event_id: int | None, identify: Identify) -> bytes:
    """The event of one item."""
    if isinstance(item, Removed):
        return removed_block(identify(item.process_id), item.deleted, event_id)
    if isinstance(item, Beginning):
        return reset_block(BEFORE_ALL if event_id is None else event_id)
    if isinstance(item, Stalled):
        return stalled_block(identify(item.process_id), item.version, event_id)
    return status_block(item.body, event_id)


class ModelStream(EventStream):
    """`floor`: the read time up to which the backlog covers everything, so the client needs no batch."""

    __slots__ = (
        "_backlog",
        "_backlog_id",
        "_floor",
        "_has_begun",
        "_identify",
        "_latest",
        "_waiting",
        "_waiting_bytes",
    )

    def __init__(self, backlog: Backlog, backlog_id: int, floor: int, identify: Identify) -> None:
        super().__init__()
        self._identify = identify
        self._backlog: Backlog | None = backlog
        self._backlog_id = backlog_id
        self._latest: Item | None = None  # the latest item of the backlog; not sent yet, because it may be the last
        self._has_begun = False
        self._floor = floor
        self._waiting: deque[Frame] = deque()
        self._waiting_bytes = 0

    def begin(self, client: Client) -> None:
        """Send the backlog, then changes."""
        self._client = client
        if not self.is_over:
            self.state = StreamState.FLOWING
            self._send_waiting()

    def on_batch(self, frames: Sequence[Frame], read_time: int) -> None:
        """The frames of one batch."""
        if read_time <= self._floor or self.is_over:
            return
        if self.state is StreamState.FLOWING and len(frames) == 1:
            self._send(frames[0])
            return
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._backlog, self._waiting = None, deque()
            self._drop()
            return
        self._waiting.extend(frames)
        self._waiting_bytes += sum(len(part.plain) for part in frames)
        if self.state is StreamState.FLOWING:
            self._enter(StreamState.STUCK)

    def _send_waiting(self) -> None:
        if self._backlog is not None:
            blocks = self._next_of(self._backlog)
            if blocks:
                self._send(frame(b"".join(blocks)))
        elif self._waiting:
            next_frame = self._waiting.popleft()
            self._waiting_bytes -= len(next_frame.plain)
            self._send(next_frame)
        if self.state is StreamState.FLOWING and (self._backlog is not None or self._waiting):
            self._enter(StreamState.STUCK)

    def _next_of(self, backlog: Backlog) -> list[bytes]:
        """The blocks of the next piece, perhaps none. Only the last event of the backlog has the backlog's ID."""
        blocks: list[bytes] = []
        size = 0
        try:
            for _ in range(STEPS_PER_PIECE):
                item = next(backlog)
                if item is None:
                    continue
                if self._latest is not None:
                    blocks.append(block(self._latest, None if self._has_begun else BEFORE_ALL, self._identify))
                    self._has_begun = True
                    size += len(blocks[-1])
                self._latest = item
                if size >= PIECE_BYTES:
                    break
        except StopIteration:
            if self._latest is not None:
                blocks.append(block(self._latest, self._backlog_id, self._identify))
            self._backlog, self._latest = None, None
        return blocks
