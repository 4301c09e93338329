"""Programs that a run starts: each in a session of its own, on its cores, with its log in a file, ended by its ID."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.machine import pinned

REPOSITORY = Path(__file__).parents[1]
PATIENCE_S = 30.0
PYTHON = sys.executable

_SESSION, _UTIME, _STIME, _CHILDREN_UTIME, _CHILDREN_STIME = 3, 11, 12, 13, 14
"""Places in /proc/PID/stat, counted from behind the program's name."""


class Program:
    """One that serves on a port of this host. A context manager: it serves inside, and is gone outside."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        port: int,
        directory: Path,
        *,
        cores: frozenset[int] = frozenset(),
        environment: Mapping[str, str] | None = None,
        counts_late_s: float = 0,
    ) -> None:
        """`counts_late_s`: until when its metrics tell of a request. Several workers publish theirs now and then."""
        self.name = name
        self.counts_late_s = counts_late_s
        self.port = port
        self._command = command
        self._cores = cores
        self._environment = {**os.environ, "GRPC_VERBOSITY": "ERROR", **(environment or {})}
        self._log_file = directory / f"{name.replace(' ', '-').replace(',', '')}-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        with self._log_file.open("ab") as log, pinned(self._cores):
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=REPOSITORY,
                start_new_session=True,  # Ctrl-C is for the run alone: it ends what it started, in order
            )
        try:
            self._await_port()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _await_port(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log_end()}")
            time.sleep(0.02)

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # a session of its own: its workers are in it, nobody else is
            self._process.wait()

    def get(self, path: str, timeout_s: float = 10) -> bytes:
        """The body of an answer. Raises: OSError."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout_s) as response:  # noqa: S310 - our own
            return bytes(response.read())

    def log_end(self) -> str:
        """The last of what it wrote."""
        return self._log_file.read_text(errors="replace")[-2000:]

    def forget_log(self) -> None:
        """Make room: a line for each of millions of requests would fill a disk."""
        os.truncate(self._log_file, 0)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far, those that have ended included."""
        ticks = 0
        for stat in _stats():
            if int(stat[_SESSION]) == self.pid:
                ticks += sum(int(stat[place]) for place in (_UTIME, _STIME, _CHILDREN_UTIME, _CHILDREN_STIME))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self, kind: str = "VmRSS") -> int:
        """Memory of its first process; `VmHWM` is the most it ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(f"{kind}:")) * 1024


def _stats() -> list[list[str]]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append(stat.read_text().rpartition(")")[2].split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found
