"""A comment to every event stream each COMMENT_INTERVAL_S, so that proxies and clients see that it lives.

One timer for all streams; a part of them has its turn each second.
"""

from collections.abc import Iterator

from service.runtime.failure_log import FailureLog
from service.runtime.slices import CallLater, Handle, Slices
from service.watch.containment import contain
from service.watch.event_stream import EventStream

COMMENT_INTERVAL_S = 15


class Comments:
    """Runs its timer while there are streams."""

    def __init__(self, call_later: CallLater, slices: Slices) -> None:
        self._call_later = call_later
        self._slices = slices
        self._streams: list[dict[EventStream, None]] = [{} for _ in range(COMMENT_INTERVAL_S)]
        self._turn = 0
        self._timer: Handle | None = None

    def add(self, stream: EventStream) -> None:
        """Its first comment is due in COMMENT_INTERVAL_S."""
        stream.comment_turn = self._turn
        self._streams[self._turn][stream] = None
        if self._timer is None:
            self._timer = self._call_later(1.0, self._tick)

    def discard(self, stream: EventStream) -> None:
        """No more comments for this one."""
        del self._streams[stream.comment_turn][stream]
        if not any(self._streams):
            self.stop()

    def stop(self) -> None:
        """No more comments for anybody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._turn = (self._turn + 1) % COMMENT_INTERVAL_S
        self._timer = self._call_later(1.0, self._tick)
        if self._streams[self._turn]:
            self._slices.add(_comment(tuple(self._streams[self._turn]), self._slices.failures))


def _comment(streams: tuple[EventStream, ...], failures: FailureLog) -> Iterator[None]:
    for stream in streams:
        try:
            stream.comment()
        except Exception as error:  # noqa: BLE001 - contained
            contain(failures, stream, "comment", error)
        yield
