"""One replica under test: the service as an operator starts it, in a process of its own, with its log and its proxy."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.chaos import clocked_service
from benchmarks.chaos.clocked_service import move_clock
from benchmarks.chaos.options import Options
from service.demo.google_emulator import free_port

AUDIT_ALARM = "the model differs from Firestore"
PATIENCE_S = 60.0
SCHEMA_FILE = "schema.toml"
"""Of a group: in the directory of the run."""


class Logged(NamedTuple):
    """One line of the log that is an error. `at_s`: seconds since the epoch, by the replica's clock."""

    at_s: float
    message: str
    line: str


@dataclass
class Life:
    """What is known of one run of the process after its end."""

    exit_code: int
    server_errors: int
    max_rss_mib: int


class Service:
    """Its process, URL and log. `restart` begins another life on the same port."""

    def __init__(self, options: Options, firestore_host: str, directory: Path, name: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.name = name
        self.lives: list[Life] = []
        schema = {"SCHEMA_FILE": str(directory / SCHEMA_FILE)} if options.is_group else {}
        environment = {**options.settings, **schema, "FIRESTORE_EMULATOR_HOST": firestore_host, "PORT": str(port)}
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(options.checkout)}
        self._checkout = options.checkout
        self._log_file = directory / f"{name}.log"
        self._clock_file = directory / f"{name}.clock"
        self._clock_file.write_bytes(bytes(8))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def running(self) -> Iterator[None]:
        """Its process is there within, and is ready soon: `await_ready`."""
        try:
            self._start()
            yield
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGCONT)
                self._process.kill()
                self._process.wait()

    def _start(self) -> None:
        command = [sys.executable, "-P", clocked_service.__file__, str(self._clock_file)]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._checkout, stdout=log, stderr=subprocess.STDOUT
            )

    def await_ready(self) -> None:
        """Raises: RuntimeError."""
        deadline = time.monotonic() + PATIENCE_S
        while b'"model_trusted":true' not in self._get("/readyz"):
            if time.monotonic() > deadline or (self._process is not None and self._process.poll() is not None):
                raise RuntimeError(f"{self.name} did not become ready:\n{self._log_file.read_text()[-2000:]}")
            time.sleep(0.05)

    def _get(self, path: str) -> bytes:
        """b"" where there is no such answer."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as reply:  # noqa: S310 - our own
                return bytes(reply.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return b""

    def stop(self) -> None:
        """SIGTERM, and its end."""
        assert self._process is not None
        server_errors, max_rss_mib = self._server_errors(), self._max_rss_mib()
        self._process.terminate()
        self.lives.append(Life(self._process.wait(PATIENCE_S), server_errors, max_rss_mib))

    def restart(self) -> None:
        """As a rolling update does it: SIGTERM, the end, a new process on the same port, readiness."""
        self.stop()
        self._start()
        self.await_ready()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        os.kill(self.pid, number)

    def move_clock(self, offset_s: float) -> None:
        """Its wall clock is off by so much."""
        move_clock(self._clock_file, offset_s)

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def _server_errors(self) -> int:
        """5xx other than 503, as the service counts its answers."""
        families = text_string_to_metric_families(self._get("/metrics").decode())
        samples = [each for family in families for each in family.samples]
        codes = {"500", "501", "502", "504", "5xx"}
        named = [each for each in samples if each.name == "process_status_http_requests_total"]
        return int(sum(each.value for each in named if each.labels.get("code") in codes))

    def _max_rss_mib(self) -> int:
        """The most memory that this process ever had in use."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024

    def errors_logged(self) -> list[Logged]:
        """All of its lives."""
        lines: list[dict[str, Any]] = [
            json.loads(line) for line in self._log_file.read_text().splitlines() if line.startswith("{")
        ]
        errors = [line for line in lines if line["severity"] in ("ERROR", "CRITICAL")]
        return [
            Logged(datetime.fromisoformat(line["time"]).timestamp(), line["message"], f"{self.name}: {line}")
            for line in errors
        ]
