"""The streams of every process in the model.

An event's ID is the read time (µs) of the batch it belongs to, which means the same on every replica and after a
restart; only the last event of a batch carries it. Of several events the first carries an ID that means nothing: a
client that is cut off between them holds the state of no point, and begins anew with `reset`. A
client that comes back with the ID R is told what is held with a version after R, what moved up into the window after
R, and what was removed after R, where this replica's model has been at R itself (see batch_log); else `reset` and the
whole present state. Nothing at or before R is told again.

With a status filter a change is told where the process matches before or after it, and on coming back whatever its
status is: a client never goes on believing that a process matches.

What is held is told as it is walked through, a piece at a time, whatever changes meanwhile: a version after the read
time at which the stream began is left to its batch, which is told later. So a stream costs the same to begin with,
whatever is held.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from sortedcontainers import SortedKeyList

from service.api.event_ids import BEFORE_ALL
from service.model.read_model import Applied, ReadModel
from service.runtime.crowd import Crowd
from service.runtime.slices import InOrder, Slices
from service.schema.compiled import ProcessSummary
from service.watch.batch_log import BatchLog, Moves
from service.watch.containment import contain
from service.watch.event_frames import Frame, frame, removed_block, reset_block, status_block
from service.watch.event_stream import Client, EventStream, StreamState

MAX_WAITING_BYTES = 1024 * 1024
"""What may wait for one client, beside one batch: past it the client is dropped."""

PIECE_BYTES = 64 * 1024
"""What is rendered into one frame, and sent before the loop gets its turn."""

STEPS_A_PIECE = 1000
"""Processes looked at for one frame: few of them may match, or have changed."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A process that left the model; `deleted` as in events.Removal."""

    process_id: str
    read_time: int
    deleted: bool | None


class Beginning(Enum):
    """What may come before the present state."""

    RESET = "reset"


Item = ProcessSummary | Removed | Beginning

Backlog = Iterator[Item | None]
"""What a client lacks, in the order it is told; None for a step in which nothing was found."""


def _block(item: Item, event_id: int | None) -> bytes:
    if isinstance(item, Removed):
        return removed_block(item.process_id, item.deleted, event_id)
    if isinstance(item, Beginning):
        return reset_block(BEFORE_ALL if event_id is None else event_id)
    return status_block(item.body, event_id)


class ModelStream(EventStream):
    """One client's stream. `floor`: the read time up to which it needs nothing told."""

    __slots__ = ("_backlog", "_backlog_id", "_floor", "_has_begun", "_latest", "_waiting", "_waiting_bytes")

    def __init__(self, backlog: Backlog, backlog_id: int, floor: int) -> None:
        super().__init__()
        self._backlog: Backlog | None = backlog
        self._backlog_id = backlog_id
        self._latest: Item | None = None  # of the backlog, not told yet: it may be the last
        self._has_begun = False
        self._floor = floor
        self._waiting: deque[Frame] = deque()
        self._waiting_bytes = 0

    def begin(self, client: Client) -> None:
        """Send what the client lacks; from now on changes follow."""
        self._client = client
        if not self.is_over:
            self.state = StreamState.FLOWING
            self._send_waiting()

    def take(self, batch: Sequence[Frame], read_time: int) -> None:
        """The frames of one batch."""
        if read_time <= self._floor or self.is_over:
            return
        if self.state is StreamState.FLOWING and len(batch) == 1:
            self._send(batch[0])
            return
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._backlog, self._waiting = None, deque()
            self._drop()
            return
        self._waiting.extend(batch)
        self._waiting_bytes += sum(len(part.plain) for part in batch)
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
        """The next piece's blocks, which may be none. Only the last event of the backlog carries its ID."""
        blocks: list[bytes] = []
        size = 0
        try:
            for _ in range(STEPS_A_PIECE):
                item = next(backlog)
                if item is None:
                    continue
                if self._latest is not None:
                    blocks.append(_block(self._latest, None if self._has_begun else BEFORE_ALL))
                    self._has_begun = True
                    size += len(blocks[-1])
                self._latest = item
                if size >= PIECE_BYTES:
                    break
        except StopIteration:
            if self._latest is not None:
                blocks.append(_block(self._latest, self._backlog_id))
            self._backlog, self._latest = None, None
        return blocks


class _Filter:
    """The streams with the same status filter."""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.streams: Crowd[ModelStream] = Crowd()

    def news(self, applied: Applied) -> Iterator[Item | None]:
        """What of the batch its streams are told; None for each change that is none of theirs."""
        for summary in applied.upserts:
            concerns = summary.status == self.status or self._concerned(summary.process_id, applied)
            yield summary if concerns else None
        for process_id, deleted in applied.removed.items():
            concerns = self._concerned(process_id, applied)
            yield Removed(process_id, applied.read_time, deleted) if concerns else None

    def _concerned(self, process_id: str, applied: Applied) -> bool:
        """Whether the process matched before."""
        return self.status is None or applied.status_before.get(process_id) == self.status


class ModelStreams:
    """Opens the streams and tells them of every batch."""

    def __init__(self, model: ReadModel, slices: Slices) -> None:
        self._model = model
        self._failures = slices.failures
        self._log = BatchLog()
        self._filters: dict[str | None, _Filter] = {}
        self._untold = InOrder(slices, self._tell)

    def open(self, status: str | None, since: int | None) -> ModelStream:
        """A stream that has everything that becomes visible from now on. `since`: the ID its client saw last."""
        latest = self._log.latest
        ceiling = max(latest, self._model.newest_version)
        if since is not None and self._log.can_resume(since):
            backlog = self._changed_since(since, ceiling, self._log.since(since))
        else:
            backlog = self._present(status, ceiling, is_reset=since is not None)
        stream = ModelStream(backlog, latest, latest)
        group = self._filters.get(status)
        if group is None:
            group = self._filters[status] = _Filter(status)
        group.streams.add(stream)
        return stream

    def close(self, status: str | None, stream: ModelStream) -> None:
        """It is told nothing more."""
        group = self._filters[status]
        group.streams.discard(stream)
        if not group.streams:
            del self._filters[status]

    def every(self) -> list[ModelStream]:
        """All that are open."""
        return [stream for group in self._filters.values() for stream in group.streams]

    def applied(self, applied: Applied) -> None:
        """A batch has become visible. What it costs to tell is spent in slices, later."""
        self._log.add(applied)
        if self._filters:
            self._untold.add(applied)

    def _tell(self, applied: Applied) -> Iterator[None]:
        for group in tuple(self._filters.values()):
            try:
                batch = yield from _render(group, applied)
            except Exception as error:  # noqa: BLE001 - contained: the streams of this filter can't be told, others can
                yield from self._fail(group, error)
                continue
            for streams in group.streams.groups() if batch else ():
                for stream in streams:
                    try:
                        stream.take(batch, applied.read_time)
                    except Exception as error:  # noqa: BLE001 - contained
                        contain(self._failures, stream, "take", error)
                    yield

    def _fail(self, group: _Filter, error: Exception) -> Iterator[None]:
        """A stream that misses a change must not go on: its client connects again and is told."""
        for streams in group.streams.groups():
            for stream in streams:
                contain(self._failures, stream, "take", error)
                yield

    def _present(self, status: str | None, ceiling: int, *, is_reset: bool) -> Backlog:
        """What is held and matches, the newest first."""
        if is_reset:
            yield Beginning.RESET
        for summary in self._model.walk({} if status is None else {"status": status}):
            yield summary if summary is not None and summary.version <= ceiling else None

    def _changed_since(self, since: int, ceiling: int, remembered: Sequence[Moves]) -> Backlog:
        """What is gone, each told once, and then what has changed, both in the order in which they did."""
        last: dict[str, Removed] = {}
        belated = set()
        for batch in remembered:
            for process_id, deleted in batch.removed.items():
                last[process_id] = Removed(process_id, batch.read_time, deleted)
                yield None
            for process_id in batch.belated:
                belated.add(process_id)
                yield None
        for gone in last.values():
            yield gone if self._model.get(gone.process_id) is None else None
        changed = SortedKeyList(key=lambda summary: summary.version)
        for summary in self._model.walk({}):
            if summary is None or summary.version > ceiling:
                yield None
                continue
            if summary.version > since or summary.process_id in belated:
                changed.add(summary)
            yield None
        yield from changed


def _render(group: _Filter, applied: Applied) -> Generator[None, None, list[Frame]]:
    """A batch's frames, each of a piece at most; only the last event carries the ID."""
    news: list[Item] = []
    for item in group.news(applied):
        if item is not None:
            news.append(item)
        yield
    frames: list[Frame] = []
    blocks: list[bytes] = []
    size = 0
    for item in news:
        is_first, is_last = item is news[0], item is news[-1]
        block = _block(item, applied.read_time if is_last else BEFORE_ALL if is_first else None)
        blocks.append(block)
        size += len(block)
        if size >= PIECE_BYTES:
            frames.append(frame(b"".join(blocks)))
            blocks, size = [], 0
        yield
    if blocks:
        frames.append(frame(b"".join(blocks)))
    return frames
