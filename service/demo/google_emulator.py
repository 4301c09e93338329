"""Google's Firestore emulator as a child process, on a free port. `stop` ends it with all its children. Blocking."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import grpc

HOW_TO_GET_IT = (
    "Google's Firestore emulator is not installed: it comes with the Google Cloud CLI "
    "(`gcloud components install cloud-firestore-emulator`, or Debian's google-cloud-cli-firestore-emulator) "
    "and needs Java 11 or newer"
)


class EmulatorFailed(Exception):
    """The emulator did not start or did not stop; the text has the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Emulator:
    """One running emulator at `host` ("127.0.0.1:port"). A new `start` begins without documents."""

    START_TIMEOUT_S = 40.0
    LOOK_AFTER_S = 0.25
    """How often `start` checks whether the process has ended, by itself or by `stop` in another thread."""

    def __init__(self, log: Path) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("gcloud") is not None and shutil.which("java") is not None

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["gcloud", "emulators", "firestore", "start", f"--host-port={self.host}", "--quiet"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        channel = grpc.insecure_channel(self.host)
        try:
            if not self._comes_up(channel, self._process):
                self.stop()
                raise EmulatorFailed(f"the emulator did not start:\n{self._log.read_text()[-2000:]}")
        finally:
            channel.close()
        return self

    def _comes_up(self, channel: grpc.Channel, process: subprocess.Popen[bytes]) -> bool:
        ready = grpc.channel_ready_future(channel)
        deadline = time.monotonic() + self.START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(grpc.FutureTimeoutError):
                ready.result(timeout=self.LOOK_AFTER_S)
                return True
        ready.cancel()
        return False

    def stop(self) -> None:
        """End the whole process group: gcloud is a shell script, and its child, a Java process, serves."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        self._wait_until_refused()

    def _wait_until_refused(self) -> None:
        address = self.host.split(":")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((address[0], int(address[1]))) != 0:
                    return
        raise EmulatorFailed(f"something still listens on {self.host}")
