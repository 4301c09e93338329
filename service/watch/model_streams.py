"""The streams of every process in the model.

The ID of an event is the read time (µs) of its batch; it means the same on every replica and after a restart. Only the
last event of a batch has it. If a batch has several events, the first one has an ID without meaning: a client that is
cut off between them holds a state that no consistent point has, so it starts again with `reset`.

A write that changes neither an answer nor a filter causes no event. A batch with only such writes is no point.

A client that reconnects with the ID R gets the processes whose content changed after R, those that entered the window
after R, and those that were removed after R. This needs a model of this replica that has been at R itself (see
batch_log). Otherwise the client gets `reset` and the whole present state. Events up to R are not sent again.

A stream with a status filter gets a change if the process matches before or after it. After a reconnect it gets every
change, whatever the status. A process that no longer matches another filter is sent as `removed`, because its body does
not have to show the filter's value. So a client never goes on believing that a process matches.

A caller that sees only its own processes has the owner as a further filter. If a process changes to another owner, the
event for the old owner says that it was deleted.

The present state is sent piece by piece, while further batches arrive. A version newer than the read time at which the
stream began comes with its batch, which is delivered later.
"""

import sys
from collections.abc import Generator, Hashable, Iterator, Sequence

from sortedcontainers import SortedKeyList

from service.api.caller import Caller
from service.api.event_ids import BEFORE_ALL
from service.api.list_query import Filters
from service.model.applied import Applied
from service.model.indexes import Scope
from service.model.read_model import ReadModel
from service.runtime.chunked_set import ChunkedSet
from service.runtime.slicer import Slicer
from service.schema.compiled import FilterValue, ProcessSummary
from service.watch.batch_log import BatchLog, Moves
from service.watch.containment import contain
from service.watch.event_frames import Frame, Identify, frame
from service.watch.model_stream import PIECE_BYTES, Backlog, Beginning, Item, ModelStream, Removed, Stalled, block


class _Group:
    """The streams with the same filters. `sight` has the filters that limit what the caller sees."""

    def __init__(self, filters: Filters, scope: Scope, sight: Scope) -> None:
        self.filters = filters
        self.status = filters.get("status")
        self.scope = scope
        self.sight = sight
        self.streams: ChunkedSet[ModelStream] = ChunkedSet()

    def news(self, applied: Applied) -> Iterator[Item | None]:
        """The items of the batch for these streams; None for each change that they do not get."""
        for summary in applied.upserts:
            process_id = summary.process_id
            is_known = not summary.is_new_content and process_id not in applied.filters_before
            if is_known and process_id not in applied.resumed:
                yield None
                continue
            matched = self._matched(summary.process_id, applied, summary.status, summary.filters)
            if not self.scope.holds(summary.filters):
                yield self.left(summary, applied.read_time) if matched else None
            else:
                yield summary if matched or self.status in (None, summary.status) else None
        for process_id, deleted in applied.removed.items():
            matched = self._matched(process_id, applied, None, ())
            yield Removed(process_id, applied.read_time, deleted) if matched else None

    def left(self, summary: ProcessSummary, read_time: int) -> Removed:
        """The event for a process that is still in the model, but no longer matches."""
        return Removed(summary.process_id, read_time, deleted=not self.sight.holds(summary.filters))

    def holds(self, summary: ProcessSummary) -> bool:
        """Whether the process matches."""
        return self.status in (None, summary.status) and self.scope.holds(summary.filters)

    def _matched(self, process_id: str, applied: Applied, status: str | None, filters: Sequence[FilterValue]) -> bool:
        """Whether the process matched before the batch.

        If the batch names no earlier value, the present value is the same.
        """
        had_status = self.status is None or applied.status_before.get(process_id, status) == self.status
        return had_status and self.scope.holds(applied.filters_before.get(process_id, filters))


class ModelStreams:
    """Opens the streams and delivers every batch to them."""

    def __init__(self, model: ReadModel, slicer: Slicer, identify: Identify) -> None:
        self._model = model
        self._identify = identify
        self._failures = slicer.failures
        self._log = BatchLog()
        self._groups: dict[Hashable, _Group] = {}
        self._batches = slicer.lane()

    def open(self, filters: Filters, caller: Caller, since: int | None) -> ModelStream:
        """A stream of all changes that become visible to the caller from now on.

        `since`: the last ID its client has seen.
        """
        latest = self._log.latest
        ceiling = max(latest, self._model.newest_version)
        group = self._group(filters, caller)
        if since is not None and self._log.can_resume(since):
            backlog = self._changed_since(since, ceiling, self._log.since(since), group)
        else:
            backlog = self._present(group.filters, ceiling, is_reset=since is not None)
        stream = ModelStream(backlog, latest, latest, self._identify)
        group.streams.add(stream)
        return stream

    def _group(self, filters: Filters, caller: Caller) -> _Group:
        key = _key(filters, caller)
        group = self._groups.get(key)
        if group is None:
            indexes, sight = self._model.indexes, self._model.sight
            filters = sight.within(filters, caller)
            group = _Group(filters, Scope(indexes, filters), Scope(indexes, sight.within({}, caller)))
            self._groups[key] = group
        return group

    def close(self, filters: Filters, caller: Caller, stream: ModelStream) -> None:
        """The stream gets nothing more."""
        key = _key(filters, caller)
        group = self._groups[key]
        group.streams.discard(stream)
        if not group.streams:
            del self._groups[key]

    def every(self) -> list[ModelStream]:
        """All open streams."""
        return [stream for group in self._groups.values() for stream in group.streams]

    def applied(self, applied: Applied) -> None:
        """A batch has become visible: remember it, and deliver it later in slices."""
        if not applied.is_news and applied.read_time > self._log.latest:
            return
        self._log.add(applied)
        if self._groups:
            self._batches.add(self._deliver(applied))

    def stalled(self, summaries: Sequence[ProcessSummary]) -> None:
        """These processes stall: deliver this after all earlier batches.

        It is no batch, and the log does not keep it.
        """
        if self._groups:
            self._batches.add(self._deliver_stalled(summaries))

    def _deliver_stalled(self, summaries: Sequence[ProcessSummary]) -> Iterator[None]:
        for group in tuple(self._groups.values()):
            found = [_stalled(summary) for summary in summaries if group.holds(summary)]
            yield
            if found:
                blocks = [block(each, None, self._identify) for each in found]
                yield from self._send(group, [frame(b"".join(blocks))], sys.maxsize)

    def _deliver(self, applied: Applied) -> Iterator[None]:
        for group in tuple(self._groups.values()):
            try:
                batch = yield from _render(group, applied, self._identify)
            except Exception as error:  # noqa: BLE001 - contained: streams with another filter get the batch
                yield from self._fail(group, error)
                continue
            if batch:
                yield from self._send(group, batch, applied.read_time)

    def _send(self, group: _Group, frames: Sequence[Frame], read_time: int) -> Iterator[None]:
        for streams in group.streams.chunks():
            for stream in streams:
                try:
                    stream.on_batch(frames, read_time)
                except Exception as error:  # noqa: BLE001 - contained
                    contain(self._failures, stream, "on_batch", error)
                yield

    def _fail(self, group: _Group, error: Exception) -> Iterator[None]:
        """End the streams of a group that missed a change: their clients reconnect and get the change."""
        for streams in group.streams.chunks():
            for stream in streams:
                contain(self._failures, stream, "on_batch", error)
                yield

    def _present(self, filters: Filters, ceiling: int, *, is_reset: bool) -> Backlog:
        """All matching processes, the newest first."""
        if is_reset:
            yield Beginning.RESET
        for summary in self._model.walk(filters):
            if summary is None or summary.content_version > ceiling:
                yield None
                continue
            yield summary
            if summary.is_stalled:
                yield _stalled(summary)

    def _changed_since(self, since: int, ceiling: int, remembered: Sequence[Moves], group: _Group) -> Backlog:
        """First the removals, each process once, then the changes, both in their order.

        At the end all processes that stall now, because the log does not keep when they began to.
        """
        moved: set[str] = set()
        stalled: list[Stalled] = []
        yield from self._left_since(remembered, group, moved)
        changed = SortedKeyList(key=lambda summary: summary.content_version)
        for summary in self._model.walk(group.scope.filters):
            if summary is None or summary.content_version > ceiling:
                yield None
                continue
            if summary.content_version > since or summary.process_id in moved:
                changed.add(summary)
            yield None
            if summary.is_stalled and group.holds(summary):
                stalled.append(_stalled(summary))
        yield from changed
        yield from stalled

    def _left_since(self, remembered: Sequence[Moves], group: _Group, moved: set[str]) -> Backlog:
        """Processes that have left the model or the filters and have not come back.

        Adds to `moved` what can be new there.
        """
        scope = group.scope
        last: dict[str, Removed] = {}
        for batch in remembered:
            for process_id, deleted in batch.removed.items():
                if scope.holds(batch.filters_before.get(process_id, ())):
                    last[process_id] = Removed(process_id, batch.read_time, deleted)
                yield None
            for process_id, before in batch.filters_before.items():
                moved.add(process_id)
                if scope.filters and process_id not in batch.removed and scope.holds(before):
                    # It can have changed to another owner: then the event must not even say whether it still exists.
                    last[process_id] = Removed(process_id, batch.read_time, None if group.sight.filters else False)
                yield None
            for process_id in batch.belated:
                moved.add(process_id)
                yield None
        for removed in last.values():
            held = self._model.get(removed.process_id)
            if held is None or not scope.holds(held.filters):
                yield removed if held is None else group.left(held, removed.read_time)
            else:
                yield None


def _key(filters: Filters, caller: Caller) -> Hashable:
    """A key that is equal for streams which get the same events."""
    return frozenset(filters.items()), caller.owner


def _stalled(summary: ProcessSummary) -> Stalled:
    return Stalled(summary.process_id, summary.version)


def _render(group: _Group, applied: Applied, identify: Identify) -> Generator[None, None, list[Frame]]:
    """The frames of a batch, each at most one piece. Only the last event has the ID."""
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
        rendered = block(item, applied.read_time if is_last else BEFORE_ALL if is_first else None, identify)
        blocks.append(rendered)
        size += len(rendered)
        if size >= PIECE_BYTES:
            frames.append(frame(b"".join(blocks)))
            blocks, size = [], 0
        yield
    if blocks:
        frames.append(frame(b"".join(blocks)))
    return frames
