"""The streams of every process in the model.

An event's ID is the read time (µs) of the batch it belongs to; it means the same on every replica and after a restart.
Only the last event of a batch carries it. The first of several events carries an ID without meaning: a client that is
cut off between them holds a state that no consistent point has, so it begins anew with `reset`.

A client that comes back with the ID R gets the processes whose version is after R, those that entered the window after
R, and those that were removed after R, provided that this replica's model has been at R itself (see batch_log);
otherwise `reset` and the whole present state. Nothing from R or before is sent again.

A stream with a status filter gets a change where the process matches before or after it; after a reconnect it gets
every change, whatever the status. So a client never keeps believing that a process matches.

The present state is sent while it is walked through, a piece at a time, whatever changes meanwhile. A version after the
read time at which the stream began is left to its batch, which is delivered later.
"""

from collections.abc import Generator, Iterator, Sequence

from sortedcontainers import SortedKeyList

from service.api.event_ids import BEFORE_ALL
from service.model.read_model import Applied, ReadModel
from service.runtime.chunked_set import ChunkedSet
from service.runtime.slicer import Slicer
from service.watch.batch_log import BatchLog, Moves
from service.watch.containment import contain
from service.watch.event_frames import Frame, frame
from service.watch.model_stream import PIECE_BYTES, Backlog, Beginning, Item, ModelStream, Removed, block


class _Filter:
    """The streams with the same status filter."""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.streams: ChunkedSet[ModelStream] = ChunkedSet()

    def news(self, applied: Applied) -> Iterator[Item | None]:
        """What of the batch these streams get; None for each change that they do not get."""
        for summary in applied.upserts:
            matches = summary.status == self.status or self._matched(summary.process_id, applied)
            yield summary if matches else None
        for process_id, deleted in applied.removed.items():
            matched = self._matched(process_id, applied)
            yield Removed(process_id, applied.read_time, deleted) if matched else None

    def _matched(self, process_id: str, applied: Applied) -> bool:
        """Whether the process matched before."""
        return self.status is None or applied.status_before.get(process_id) == self.status


class ModelStreams:
    """Opens the streams and delivers every batch to them."""

    def __init__(self, model: ReadModel, slicer: Slicer) -> None:
        self._model = model
        self._failures = slicer.failures
        self._log = BatchLog()
        self._filters: dict[str | None, _Filter] = {}
        self._batches = slicer.lane()

    def open(self, status: str | None, since: int | None) -> ModelStream:
        """A stream that gets everything that becomes visible from now on. `since`: the last ID its client has seen."""
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
        """The stream gets nothing more."""
        group = self._filters[status]
        group.streams.discard(stream)
        if not group.streams:
            del self._filters[status]

    def every(self) -> list[ModelStream]:
        """All open streams."""
        return [stream for group in self._filters.values() for stream in group.streams]

    def applied(self, applied: Applied) -> None:
        """A batch has become visible: remember it, deliver it later and in slices."""
        self._log.add(applied)
        if self._filters:
            self._batches.add(self._deliver(applied))

    def _deliver(self, applied: Applied) -> Iterator[None]:
        for group in tuple(self._filters.values()):
            try:
                batch = yield from _render(group, applied)
            except Exception as error:  # noqa: BLE001 - contained: streams with another filter get the batch
                yield from self._fail(group, error)
                continue
            for streams in group.streams.chunks() if batch else ():
                for stream in streams:
                    try:
                        stream.on_batch(batch, applied.read_time)
                    except Exception as error:  # noqa: BLE001 - contained
                        contain(self._failures, stream, "on_batch", error)
                    yield

    def _fail(self, group: _Filter, error: Exception) -> Iterator[None]:
        """A stream that misses a change must end: its client connects again and gets the change."""
        for streams in group.streams.chunks():
            for stream in streams:
                contain(self._failures, stream, "on_batch", error)
                yield

    def _present(self, status: str | None, ceiling: int, *, is_reset: bool) -> Backlog:
        """All processes that match, the newest first."""
        if is_reset:
            yield Beginning.RESET
        for summary in self._model.walk({} if status is None else {"status": status}):
            yield summary if summary is not None and summary.version <= ceiling else None

    def _changed_since(self, since: int, ceiling: int, remembered: Sequence[Moves]) -> Backlog:
        """First what was removed, each process once, then what has changed, both in the order of the changes."""
        last: dict[str, Removed] = {}
        belated = set()
        for batch in remembered:
            for process_id, deleted in batch.removed.items():
                last[process_id] = Removed(process_id, batch.read_time, deleted)
                yield None
            for process_id in batch.belated:
                belated.add(process_id)
                yield None
        for removed in last.values():
            yield removed if self._model.get(removed.process_id) is None else None
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
    """A batch's frames, each at most one piece; only the last event carries the ID."""
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
        rendered = block(item, applied.read_time if is_last else BEFORE_ALL if is_first else None)
        blocks.append(rendered)
        size += len(rendered)
        if size >= PIECE_BYTES:
            frames.append(frame(b"".join(blocks)))
            blocks, size = [], 0
        yield
    if blocks:
        frames.append(frame(b"".join(blocks)))
    return frames
