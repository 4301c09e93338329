"""Sends a comment to every event stream each COMMENT_INTERVAL_S, so that proxies and clients see a live connection.

All streams share one timer: each second it serves the streams of one slot.
"""

from collections.abc import Iterator

from service.runtime.clock import CallLater, Timer
from service.runtime.failure_log import FailureLog
from service.runtime.slicer import Slicer
from service.watch.containment import contain
from service.watch.event_stream import EventStream

COMMENT_INTERVAL_S = 15


class Comments:
    """Runs its timer while there are streams."""

    def __init__(self, call_later: CallLater, slicer: Slicer) -> None:
        self._call_later = call_later
        self._slicer = slicer
        self._slots: list[dict[EventStream, None]] = [{} for _ in range(COMMENT_INTERVAL_S)]
        self._slot = 0
        self._timer: Timer | None = None

    def add(self, stream: EventStream) -> None:
        """The stream's first comment is due in COMMENT_INTERVAL_S."""
        stream.comment_slot = self._slot
        self._slots[self._slot][stream] = None
        if self._timer is None:
            self._timer = self._call_later(1.0, self._tick)

    def discard(self, stream: EventStream) -> None:
        """No more comments for this stream."""
        del self._slots[stream.comment_slot][stream]
        if not any(self._slots):
            self.stop()

    def stop(self) -> None:
        """No more comments for any stream."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._slot = (self._slot + 1) % COMMENT_INTERVAL_S
        self._timer = self._call_later(1.0, self._tick)
        if self._slots[self._slot]:
            self._slicer.add(_comment(tuple(self._slots[self._slot]), self._slicer.failures))


def _comment(streams: tuple[EventStream, ...], failures: FailureLog) -> Iterator[None]:
    for stream in streams:
        try:
            stream.comment()
        except Exception as error:  # noqa: BLE001 - contained
            contain(failures, stream, "comment", error)
        yield
