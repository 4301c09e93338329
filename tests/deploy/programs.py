"""Programs that a test starts beside itself: each is waited for by what it says, and ended with its context."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 45.0
_TURN_S = 0.02

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
LISTENING = r"http://127\.0\.0\.1:\d+"


@dataclass
class Program:
    """A running program and all it has said, standard error included. `found` is what was waited for."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    found: str = ""

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


@contextmanager
def running(
    command: Sequence[str | Path],
    ready: str,
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
    patience_s: float = PATIENCE_S,
) -> Iterator[Program]:
    """Start `command` and wait until one of its lines holds the pattern `ready`; SIGTERM at the end."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    program = Program(process)
    is_ready = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            program.said.append(line)
            match = re.search(ready, line)
            if match and not is_ready.is_set():
                program.found = match[0]
                is_ready.set()
        is_ready.set()  # it has ended; what it said tells why

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        is_ready.wait(patience_s)
        assert program.found, f"{command} did not say {ready!r}:\n{''.join(program.said)}"
        yield program
    finally:
        _end(process)
        reader.join(PATIENCE_S)
        process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE_S)


@contextmanager
def serving(firestore_host: str, **settings: str) -> Iterator[Program]:
    """`process-status serve` on a free port, reading that Firestore; `found` is its URL."""
    environment = {
        "FIRESTORE_EMULATOR_HOST": firestore_host,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DRAIN_S": "0",
        **settings,
    }
    with running([sys.executable, "-m", "service", "serve"], LISTENING, environment=environment) as program:
        yield program


def eventually(claim: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Return once `claim()` is true. Raises: AssertionError naming `what` when patience ends."""
    deadline = time.monotonic() + patience_s
    while not claim():
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(_TURN_S)  # another process is asked; there is no event to wait for


def http_status(url: str) -> int:
    """The status code of a GET."""
    return fetch(url)[0]


def fetch(url: str, timeout_s: float = 10.0, **headers: str) -> tuple[int, bytes]:
    """The status code and body of a GET; errors of HTTP are answers too."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - always http://127.0.0.1
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 - see above
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
