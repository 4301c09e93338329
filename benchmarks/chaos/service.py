"""The service under test: `python -m service serve`, as an operator starts it, in a process of its own."""

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
from pathlib import Path

from benchmarks.chaos.options import Options
from service.demo.google_emulator import free_port

REPOSITORY = Path(__file__).parents[2]


class Service:
    """Its process, URL and log."""

    def __init__(self, options: Options, firestore_host: str, log_file: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            **os.environ,
            **options.settings,
            "FIRESTORE_EMULATOR_HOST": firestore_host,
            "PORT": str(port),
        }
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def running(self) -> Iterator[None]:
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"],
                env=self._environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await_ready()
            yield
        finally:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGCONT)
                self._process.kill()
                self._process.wait()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as reply:  # noqa: S310 - our own
                    if b'"model_trusted":true' in reply.read():
                        return
            except (urllib.error.URLError, ConnectionError):
                pass
            if time.monotonic() > deadline or (self._process is not None and self._process.poll() is not None):
                raise RuntimeError(f"the service did not become ready:\n{self._log_file.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def errors_logged(self) -> list[str]:
        """What it logged as an error, but for the audit's finds."""
        lines = [json.loads(line) for line in self._log_file.read_text().splitlines() if line.startswith("{")]
        errors = [line for line in lines if line["severity"] in ("ERROR", "CRITICAL")]
        return [str(line) for line in errors if not line["message"].startswith("the model differs from Firestore")]

    def max_rss_mib(self) -> int:
        """The most memory it ever had in use."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024
