"""Writes log lines to stdout: complete lines, in order, without making the event loop wait.

`write` works on any thread and only appends to a buffer. One daemon thread writes the buffer out, at the latest
`flush_interval_s` after a line was added, and sooner when the buffer has `batch_bytes`. A thread is needed for two
reasons. The alternative, O_NONBLOCK, would change the open file description that stdout shares with other processes.
And a regular file always counts as writable, even while its disk is slow.

Request lines wait in `late` as records and are rendered in batches, so that the lock is taken less often. They still
come before every line written after them. The thread is woken as seldom as possible, because it takes the interpreter
away from the event loop: under load it wakes once per `flush_interval_s`.

While nothing reads stdout, the buffer grows to at most `max_bytes`. Further lines are dropped and counted. When stdout
drains, a line with their number is logged in their place. `close` (at exit at the latest) writes out the rest.
"""

import atexit
import contextlib
import io
import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO

CHUNK_BYTES = 256 * 1024
"""The bytes of one call, in whole lines. If stdout refuses the call, all of them are lost."""

_MOST_AT_ONCE = 1024
"""The number of buffers that one system call accepts."""

LATE_LINES = 256
"""The number of records that are rendered together, on the thread that appended them: a tenth of a millisecond."""


class LogWriter:
    """A bounded buffer of lines in front of `stream`. `dropped_line` renders the line that reports a gap."""

    def __init__(
        self,
        stream: TextIO,
        dropped_line: Callable[[int], bytes],
        *,
        flush_interval_s: float = 0.05,
        batch_bytes: int = 2 * 1024 * 1024,
        max_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        self._sink = _sink_of(stream)
        self._dropped_line = dropped_line
        self._flush_interval_s = flush_interval_s
        self._batch_bytes = batch_bytes
        self._max_bytes = max_bytes
        self._resume_bytes = max_bytes // 2  # after dropping began, drop until half is free: few large gaps
        self.late: deque[Any] = deque()
        """Records, appended from one thread only: the event loop's."""
        self.render: Callable[[deque[Any]], bytes] = b"".join
        """Removes records from the left and renders them as lines."""
        self._reset()
        _WRITERS.add(self)
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"<LogWriter held={self.held_bytes} bytes dropped={self._dropped} closing={self._closing}>"

    @property
    def held_bytes(self) -> int:
        """Bytes that stdout has not taken yet: at most `max_bytes` and one line that reports a gap."""
        return self._waiting_bytes + self._leaving_bytes

    def write(self, line: bytes) -> None:
        """Add one line, newline included. Never fails because of stdout, and waits only after `close`."""
        with self._lock:
            self._take_late()
            self._take(line)

    def take_late(self) -> None:
        """Render `late`, unless the thread is about to do it. Call it after the first append, and at LATE_LINES."""
        if self._sleeps or len(self.late) >= LATE_LINES:
            with self._lock:
                self._take_late()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until all earlier lines are written. False if stdout did not take them in time."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not (self.late or self.held_bytes or self._has_gap()), timeout_s)
            finally:
                self._flushing -= 1

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write out the rest and end the thread. Later lines are written on the caller's thread.

        Returns False if stdout did not take everything in time: an exit must not hang because a reader has stopped.
        """
        atexit.unregister(self.close)
        with self._changed:
            self._closing = self._sleeps = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._thread is None, timeout_s)

    def _reset(self) -> None:
        """Start empty; also in a forked child, which has no thread, and where the lines belong to the parent."""
        # Re-entrant: a signal handler or a finaliser can log while its own thread is inside `write`.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._sleeps = True  # the thread sleeps or ends: it will not look into `late` unless it is woken
        self.late.clear()
        self._lines: list[bytes] = []
        self._waiting_bytes: int = 0  # in _lines
        self._leaving_bytes: int = 0  # no longer in _lines, and not yet taken by stdout
        self._dropped: int = 0
        self._refused = False  # whether stdout refused the last write
        self._flushing = 0
        self._closing = False

    def _take_late(self) -> None:
        lines = self.render(self.late)
        if lines:
            self._take(lines)

    def _take(self, lines: bytes) -> None:
        size = len(lines)
        if self._closing and self._thread is None:
            self._write_now([lines])
            return
        limit_bytes = self._resume_bytes if self._dropped else self._max_bytes
        if self._waiting_bytes + self._leaving_bytes + size > limit_bytes:
            self._dropped += lines.count(b"\n")
            return
        if self._dropped:
            self._report_gap()
        before: int = self._waiting_bytes
        self._lines.append(lines)
        self._waiting_bytes += size
        if self._sleeps or before < self._batch_bytes <= self._waiting_bytes:
            self._wake()

    def _has_gap(self) -> bool:
        return self._dropped > 0 and not self._refused

    def _report_gap(self) -> None:
        if self._has_gap():
            line = self._dropped_line(self._dropped)
            self._dropped = 0
            self._lines.append(line)
            self._waiting_bytes += len(line)

    def _wake(self) -> None:
        self._sleeps = self._closing
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._sleeps = True
                self._changed.wait_for(lambda: self.late or self._lines or self._has_gap() or self._closing)
                self._sleeps = self._closing
                self._changed.wait_for(self._is_due, self._flush_interval_s)
                self._take_late()
                self._report_gap()
                lines, self._lines = self._lines, []
                self._leaving_bytes, self._waiting_bytes = self._waiting_bytes, 0
                if not lines:  # closing
                    self._thread = None
                    self._changed.notify_all()
                    return
            self._write_out(lines)

    def _is_due(self) -> bool:
        return self._waiting_bytes >= self._batch_bytes or self._flushing > 0 or self._closing

    def _write_out(self, lines: list[bytes]) -> None:
        left_bytes = sum(map(len, lines))
        for chunk in _chunks(lines):
            refused = not self._write_now(chunk)
            left_bytes -= sum(map(len, chunk))
            with self._changed:
                self._refused = refused
                self._dropped += sum(each.count(b"\n") for each in chunk) if refused else 0
                self._leaving_bytes = left_bytes
                self._changed.notify_all()

    def _write_now(self, lines: list[bytes]) -> bool:
        """Write to stdout. False if stdout refused: its disk is full, or its reader is gone."""
        try:
            self._sink(lines)
        except (OSError, ValueError):  # ValueError: stdout is closed
            return False
        return True


_WRITERS: "weakref.WeakSet[LogWriter]" = weakref.WeakSet()


def _reset_all() -> None:
    for writer in _WRITERS:
        writer._reset()


os.register_at_fork(after_in_child=_reset_all)


def _chunks(lines: list[bytes]) -> Iterator[list[bytes]]:
    chunk, size = list[bytes](), 0
    for line in lines:
        if chunk and (size + len(line) > CHUNK_BYTES or len(chunk) == _MOST_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield chunk


def _sink_of(stream: TextIO) -> Callable[[list[bytes]], None]:
    """The function that writes lines to `stream`: through its descriptor or, if it has none, as text."""
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
    try:
        descriptor = stream.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return lambda lines: _write_text(stream, lines)
    return lambda lines: _write_all(descriptor, lines)


def _write_text(stream: TextIO, lines: list[bytes]) -> None:
    stream.write(b"".join(lines).decode("utf-8", "replace"))
    stream.flush()


def _write_all(descriptor: int, lines: list[bytes]) -> None:
    """Write the lines; without copying them if one system call takes all of them."""
    written = 0
    with contextlib.suppress(BlockingIOError):  # another process that shares stdout made it non-blocking
        written = os.writev(descriptor, lines)
    if written == sum(map(len, lines)):
        return
    view = memoryview(b"".join(lines))[written:]
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
