"""The streams of every process in the model.

An event's ID is the read time (µs) of the batch it belongs to, which means the same on every replica and after a
restart; only the last event of a batch carries it, so a client that was cut off within one gets all of it again. A
client that comes back with the ID R is told what is held with a version after R, what moved up into the window after
R, and what was removed after R; where the log does not reach back to R, `reset` and the whole present state. Nothing
at or before R is told again.

With a status filter a change is told where the process matches before or after it, and on coming back whatever its
status is: a client never goes on believing that a process matches.
"""

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.documents import ProcessSummary
from service.read_model import Applied, ReadModel
from service.watching.event_frames import Frame, frame, removed_block, reset_block, status_block
from service.watching.event_stream import Client, EventStream, StreamState
from service.watching.slices import InOrder, Slices

LOG_LENGTH = 10_000
"""Comings and goings remembered for those who come back."""

MAX_WAITING_BYTES = 1024 * 1024
"""What may wait for one client, beside one batch: past it the client is dropped."""

PIECE_BYTES = 64 * 1024
"""What is rendered into one frame, and sent before the loop gets its turn."""

MAX_AHEAD_US = 300 * 1_000_000
"""An ID further ahead of this replica's model than this is no replica's."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A process that left the model; `deleted` as in events.Removal."""

    process_id: str
    read_time: int
    deleted: bool | None


class Log:
    """What versions don't tell: who left the model, and who came into it with a version from before.

    Kept by the batch, so that a large one costs no more than a small one to remember. `reaches_back_to`: the read time
    after which it knows of every one; None before any load.
    """

    def __init__(self, length: int = LOG_LENGTH) -> None:
        self._length = length
        self._batches: deque[tuple[int, Mapping[str, bool | None], Sequence[str]]] = deque()
        self._count = 0
        self.reaches_back_to: int | None = None

    def add(self, applied: Applied) -> None:
        """Remember a batch's; the first batch is where the log begins."""
        if self.reaches_back_to is None:
            self.reaches_back_to = applied.read_time
        before = applied.read_time_before
        moved_up = [each.process_id for each in applied.upserts if each.version <= before] if before else []
        if applied.removed or moved_up:
            self._batches.append((applied.read_time, applied.removed, moved_up))
            self._count += len(applied.removed) + len(moved_up)
        while self._count > self._length:
            self.reaches_back_to, *forgotten = self._batches.popleft()
            self._count -= sum(map(len, forgotten))

    def removed_since(self, read_time: int) -> list[Removed]:
        """The last removal of each process after `read_time`, oldest first."""
        last = {
            process_id: Removed(process_id, removed_at, deleted)
            for removed_at, removed, _ in self._batches
            if removed_at > read_time
            for process_id, deleted in removed.items()
        }
        return list(last.values())

    def moved_up_since(self, read_time: int) -> set[str]:
        """Those that came in after `read_time`, in a version that may be older than that."""
        return {process_id for came_at, _, moved_up in self._batches if came_at > read_time for process_id in moved_up}


Item = ProcessSummary | Removed


def _block(item: Item, event_id: int | None) -> bytes:
    if isinstance(item, Removed):
        return removed_block(item.process_id, item.deleted, event_id)
    return status_block(item.body, event_id)


class ModelStream(EventStream):
    """One client's stream. `floor`: the read time up to which it needs nothing told."""

    __slots__ = ("_at", "_backlog", "_backlog_id", "_floor", "_is_reset", "_waiting", "_waiting_bytes")

    def __init__(self, backlog: Sequence[Item], backlog_id: int, floor: int, *, is_reset: bool) -> None:
        super().__init__()
        self._backlog = backlog
        self._backlog_id = backlog_id
        self._at = 0
        self._is_reset = is_reset
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
            self._backlog, self._waiting = (), deque()
            self._drop()
            return
        self._waiting.extend(batch)
        self._waiting_bytes += sum(len(part.plain) for part in batch)
        if self.state is StreamState.FLOWING:
            self._enter(StreamState.STUCK)

    def _send_waiting(self) -> None:
        if self._is_reset or self._at < len(self._backlog):
            self._send(self._next_of_backlog())
        elif self._waiting:
            next_frame = self._waiting.popleft()
            self._waiting_bytes -= len(next_frame.plain)
            self._send(next_frame)
        if self.state is StreamState.FLOWING and (self._at < len(self._backlog) or self._waiting):
            self._enter(StreamState.STUCK)

    def _next_of_backlog(self) -> Frame:
        """The next piece. Only the last event of the backlog carries its ID."""
        blocks: list[bytes] = []
        size, last = 0, len(self._backlog) - 1
        if self._is_reset:
            self._is_reset = False
            blocks.append(reset_block(None if self._backlog else self._backlog_id))
        while self._at <= last and size < PIECE_BYTES:
            block = _block(self._backlog[self._at], self._backlog_id if self._at == last else None)
            blocks.append(block)
            size += len(block)
            self._at += 1
        if self._at > last:
            self._backlog, self._at = (), 0
        return frame(b"".join(blocks))


class _Filter:
    """The streams with the same status filter, and, where there is one, the processes that match it now."""

    def __init__(self, status: str | None, matching: Sequence[ProcessSummary]) -> None:
        self.status = status
        self.streams: dict[ModelStream, None] = {}
        self._members = {summary.process_id for summary in matching} if status is not None else set()

    def news(self, applied: Applied) -> Iterator[Item | None]:
        """What of the batch its streams are told; None for each change that is none of theirs."""
        for summary in applied.upserts:
            yield summary if self._concerns(summary) else None
        for process_id, deleted in applied.removed.items():
            was_member = self.status is None or process_id in self._members
            self._members.discard(process_id)
            yield Removed(process_id, applied.read_time, deleted) if was_member else None

    def _concerns(self, summary: ProcessSummary) -> bool:
        if self.status is None:
            return True
        was_member = summary.process_id in self._members
        if summary.status == self.status:
            self._members.add(summary.process_id)
            return True
        self._members.discard(summary.process_id)
        return was_member


class ModelStreams:
    """Opens the streams and tells them of every batch."""

    def __init__(self, model: ReadModel, slices: Slices, *, log_length: int = LOG_LENGTH) -> None:
        self._model = model
        self._log = Log(log_length)
        self._filters: dict[str | None, _Filter] = {}
        self._untold = InOrder(slices, self._tell)
        self._present: dict[str | None, Sequence[ProcessSummary]] = {}

    def open(self, status: str | None, since: int | None) -> ModelStream:
        """A stream that has everything that becomes visible from now on. `since`: the ID its client saw last."""
        read_time = self._model.read_time
        is_reset = since is not None and not self._can_resume(since)
        if since is None or is_reset:
            stream = ModelStream(self._matching(status), read_time, read_time, is_reset=is_reset)
        else:
            stream = ModelStream(self._changed_since(since), read_time, max(since, read_time), is_reset=False)
        group = self._filters.get(status)
        if group is None:
            group = self._filters[status] = _Filter(status, self._matching(status))
        group.streams[stream] = None
        return stream

    def close(self, status: str | None, stream: ModelStream) -> None:
        """It is told nothing more."""
        group = self._filters[status]
        del group.streams[stream]
        if not group.streams:
            del self._filters[status]

    def every(self) -> list[ModelStream]:
        """All that are open."""
        return [stream for group in self._filters.values() for stream in group.streams]

    def applied(self, applied: Applied) -> None:
        """A batch has become visible. What it costs to tell is spent in slices, later."""
        self._log.add(applied)
        self._present.clear()
        if self._filters:
            self._untold.add(applied)

    def _tell(self, applied: Applied) -> Iterator[None]:
        for group in tuple(self._filters.values()):
            batch = yield from _render(group, applied)
            for stream in tuple(group.streams) if batch else ():
                stream.take(batch, applied.read_time)
                yield

    def _can_resume(self, since: int) -> bool:
        reaches = self._log.reaches_back_to
        return reaches is not None and reaches <= since <= self._model.read_time + MAX_AHEAD_US

    def _matching(self, status: str | None) -> Sequence[ProcessSummary]:
        """What is held and matches; one list for all who come between two batches."""
        found = self._present.get(status)
        if found is None:
            held = self._model.held()
            found = held if status is None else [summary for summary in held if summary.status == status]
            self._present[status] = found
        return found

    def _changed_since(self, since: int) -> list[Item]:
        removed = [gone for gone in self._log.removed_since(since) if self._model.get(gone.process_id) is None]
        moved_up = self._log.moved_up_since(since)
        held = self._model.held()
        changed = [each for each in held if each.version > since or each.process_id in moved_up]
        changed.sort(key=lambda summary: summary.version)
        return [*removed, *changed]


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
        block = _block(item, applied.read_time if item is news[-1] else None)
        blocks.append(block)
        size += len(block)
        if size >= PIECE_BYTES:
            frames.append(frame(b"".join(blocks)))
            blocks, size = [], 0
        yield
    if blocks:
        frames.append(frame(b"".join(blocks)))
    return frames
