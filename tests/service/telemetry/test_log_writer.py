"""Lines leave complete and in order, whatever the other end of stdout does."""

import errno
import io
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TextIO

import pytest

from service.telemetry.logs.writer import LATE_LINES, LogWriter


def dropped_line(count: int) -> bytes:
    return b"dropped %d\n" % count


class Pipe:
    """A real pipe: `stream` is the writing end, `read_all` what a reader finds until the end of it."""

    def __init__(self) -> None:
        self._reading_end, writing_end = os.pipe()
        self.stream: TextIO = os.fdopen(writing_end, "w")
        self._pool = ThreadPoolExecutor(1)

    def start_reading(self) -> "Future[bytes]":
        return self._pool.submit(self._read)

    def _read(self) -> bytes:
        with os.fdopen(self._reading_end, "rb") as end:
            return end.read()

    def close(self) -> None:
        self.stream.close()
        self._pool.shutdown()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


Put = Callable[[LogWriter, bytes], None]


@pytest.fixture(params=["at once", "later"])
def put(request: pytest.FixtureRequest) -> Put:
    """Both ways in which a line comes."""
    return LogWriter.write if request.param == "at once" else write_later


def write_later(writer: LogWriter, line: bytes) -> None:
    """As RequestLog does."""
    writer.render = taken
    writer.late.append(line)
    if not 1 < len(writer.late) < LATE_LINES:
        writer.take_late()


def taken(late: deque[bytes]) -> bytes:
    return b"".join(late.popleft() for _ in range(len(late)))


def test_a_stalled_reader_blocks_no_caller_and_the_gap_is_logged_in_its_place(pipe: Pipe, put: Put) -> None:
    writer = LogWriter(pipe.stream, dropped_line, max_bytes=200_000)
    for number in range(20_000):  # 1.2 MB, and not one byte is read meanwhile
        put(writer, b"%05d %s\n" % (number, b"x" * 53))
        assert writer.held_bytes <= 200_000
    reading = pipe.start_reading()
    assert writer.flush(10)
    writer.write(b"20000 after the stall\n")
    assert writer.close(10)
    pipe.stream.close()

    lines = reading.result(10).splitlines()
    expected, gaps = 0, 0
    for line in lines:
        if line.startswith(b"dropped"):
            expected += int(line.split()[1])
            gaps += 1
        else:
            assert int(line[:5]) == expected
            expected += 1
    assert expected == 20_001
    assert 1 <= gaps <= 3


def test_lines_are_written_without_anyone_asking_for_it(pipe: Pipe, put: Put) -> None:
    writer = LogWriter(pipe.stream, dropped_line)
    put(writer, b"a line\n")
    assert os.read(pipe._reading_end, 100) == b"a line\n"
    writer.close()
    os.close(pipe._reading_end)


def test_a_full_batch_leaves_before_its_time(pipe: Pipe) -> None:
    waits = threading.Event()

    class Writer(LogWriter):
        def _is_due(self) -> bool:
            waits.set()
            return super()._is_due()

    writer = Writer(pipe.stream, dropped_line, flush_interval_s=3600, batch_bytes=100)
    writer.write(b"123456789\n")
    assert waits.wait(10)
    for _ in range(9):
        writer.write(b"123456789\n")
    assert os.read(pipe._reading_end, 1000) == b"123456789\n" * 10
    writer.close()
    os.close(pipe._reading_end)


def test_lines_written_in_one_interval_leave_together(put: Put) -> None:
    sink = Recorder()
    writer = LogWriter(sink, dropped_line, flush_interval_s=3600)
    for number in range(100):
        put(writer, b"%d\n" % number)
    assert writer.flush()
    assert len(sink.writes) == 1
    writer.close()


def test_closing_gives_up_on_a_reader_that_has_stopped_for_good(pipe: Pipe) -> None:
    writer = LogWriter(pipe.stream, dropped_line)
    writer.write(b"x" * 100_000 + b"\n")
    assert not writer.close(0.05)
    pipe.start_reading()  # lets the thread end, for the tests that follow
    assert writer.close(10)
    pipe.stream.close()


def test_lines_logged_after_closing_are_still_written(pipe: Pipe, put: Put) -> None:
    writer = LogWriter(pipe.stream, dropped_line)
    put(writer, b"before\n")
    assert writer.close()
    put(writer, b"after\n")
    pipe.stream.close()
    put(writer, b"stdout is gone\n")
    assert pipe.start_reading().result(10) == b"before\nafter\n"


def test_a_line_written_later_stands_before_what_is_written_after_it(pipe: Pipe) -> None:
    writer = LogWriter(pipe.stream, dropped_line, batch_bytes=512)
    reading = pipe.start_reading()
    expected = []
    for number in range(20_000):
        line = b"%d" % number
        expected.append(line)
        if number % 700:
            write_later(writer, line + b"\n")
        else:
            writer.write(line + b"\n")
    assert writer.close(10)
    pipe.stream.close()
    assert reading.result(10).splitlines() == expected


def test_lines_from_many_threads_stay_whole_and_each_thread_s_in_order(pipe: Pipe) -> None:
    writer = LogWriter(pipe.stream, dropped_line, batch_bytes=512)
    reading = pipe.start_reading()

    def write(name: int) -> None:
        for number in range(500):
            writer.write(b"%d %d %s\n" % (name, number, b"-" * (number % 70)))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    pipe.stream.close()
    lines = [line.split() for line in reading.result(10).splitlines()]
    for name in (b"0", b"1", b"2", b"3"):
        assert [int(line[1]) for line in lines if line[0] == name] == list(range(500))


def test_a_full_disk_loses_lines_but_not_the_count_of_them() -> None:
    sink = Recorder()
    writer = LogWriter(sink, dropped_line)
    sink.error = OSError(errno.ENOSPC, "No space left on device")
    writer.write(b"lost\n")
    writer.write(b"lost too\n")
    assert writer.flush()
    sink.error = None
    writer.write(b"kept\n")
    assert writer.flush()
    writer.close()
    assert sink.writes == ["kept\n", "dropped 2\n"]


def test_stdout_made_non_blocking_by_someone_else_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    writer = LogWriter(pipe.stream, dropped_line)
    for _ in range(100):
        writer.write(b"x" * 9_999 + b"\n")
    reading = pipe.start_reading()
    assert writer.close(10)
    pipe.stream.close()
    assert len(reading.result(10)) == 1_000_000


class Recorder(io.StringIO):
    """A stream without a descriptor that keeps its writes apart and fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        self.writes.append(text)
        return len(text)


def run(program: str) -> list[str]:
    prelude = "import os, sys\nfrom service.telemetry.logs.writer import LATE_LINES, LogWriter\n"
    prelude += "writer = LogWriter(sys.stdout, lambda count: b'dropped %d\\n' % count)\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + program], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.splitlines()


def test_the_end_of_the_program_loses_no_line() -> None:
    lines = run("for number in range(5000): writer.write(b'%d\\n' % number)\nsys.exit(0)")
    assert lines == [str(number) for number in range(5000)]


def test_a_forked_child_writes_its_own_lines_and_none_of_its_parent_s() -> None:
    program = """
writer.write(b"parent\\n")
child = os.fork()
if child == 0:
    writer.write(b"child\\n")
    writer.close()
    os._exit(0)
os.waitpid(child, 0)
"""
    assert sorted(run(program)) == ["child", "parent"]
