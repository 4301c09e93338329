"""A reader of the documentation, who types its commands line by line and means them, on ports that are free.

Servers that a line starts run until the reader leaves. What stands for the reader's own Firestore is a local one; what
only the network or Google can do is not tried, and named in ELSEWHERE with the reason.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from tests.deploy.programs import REPOSITORY, eventually, http_status, running

ELSEWHERE = {
    "gcloud auth application-default login": "asks Google who the reader is",
    "firebase deploy --only firestore:indexes": "changes a project of Google's",
    "docker build --tag process-status .": "fetches the base image; another test follows the Dockerfile's steps",
    "apt-get install prometheus": "fetches from Debian; .ci/run does it",
    "apt-get install chromium": "fetches from Debian; .ci/run does it",
    "npm install --global firebase-tools": "fetches from npm; .ci/run does it",
}

ADDRESS = r"127\.0\.0\.1:(\d+)"
_PROGRAMS = Path(sys.executable).parent
_ASSIGNMENT = re.compile(r"(\w+)=(\S*)")
_SERVERS = ("process-status demo", "process-status serve", "process-status local-firestore", "gunicorn")
_MAKE = ["make", "--dry-run", "--silent", "--no-print-directory"]


class NeitherRunNorListed(AssertionError):
    """A command that the reader does not know what to do with: teach it, or name it in ELSEWHERE."""


class Reader:
    """A context manager. `service` and `firestore` are the ports behind 8080 and the emulator that pages speak of."""

    def __init__(self, directory: Path, *, service: str, firestore: str) -> None:
        self._directory = directory
        self._ports = {"8080": service, "8089": firestore, "8090": firestore}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
            "PATH": f"{_PROGRAMS}:{os.environ['PATH']}",
            "FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{firestore}",
            "PROCESS_STATUS_URL": f"http://127.0.0.1:{service}",
            "HOST": "127.0.0.1",
            "PORT": "0",
        }
        self._servers = ExitStack()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._servers.close()

    def types(self, line: str) -> None:
        """One line. Raises: AssertionError where it does not do what it is there for."""
        words = shlex.split(line.removeprefix("export "), comments=True)
        while words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
            self._environment[assigned[1]] = self._on_our_ports(assigned[2])
            words.pop(0)
        if words and shlex.join(words) not in ELSEWHERE:
            self._runs(words)

    def _runs(self, words: list[str]) -> None:
        line = shlex.join(words)
        if words[-2:-1] == [">"]:
            (self._directory / words[-1]).write_text(self._shell(words[:-2]))
        elif words[0] == "make":
            self._makes(words[1:])
        elif line.startswith(_SERVERS):
            self._starts(words)
        elif line.startswith("process-status") and len(words) == 2 and not words[1].startswith("--"):
            self._shell([*words, "--help"])  # the mere name of a command
        elif words[0] == "process-status":
            self._shell(["import-1" if word == "ID" else word for word in words])
        elif words[0] == "curl":
            self._shell([*map(self._on_our_ports, words), "--silent", "--show-error", "--fail-with-body"])
        elif words[:2] == ["python", "-m"]:
            self._knows_its_options(words)
        elif words[:2] == ["pip", "install"]:
            offline = ("--quiet", "--dry-run", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
            self._shell(["python", "-m", *words, *offline], cwd=REPOSITORY)
        else:
            raise NeitherRunNorListed(line)

    def _makes(self, targets: list[str]) -> None:
        """A server's target is really run. Of others, which take minutes, all that they would call must exist."""
        recipe = self._shell([*_MAKE, *targets], cwd=REPOSITORY)
        for called in re.findall(r"^\S*/bin/(\S+)|^(?:bash|sh) (\S+)", recipe, re.MULTILINE):
            assert shutil.which(called[0] or str(REPOSITORY / called[1]), path=self._environment["PATH"]), recipe
        for module in re.findall(r"\bpython3? -m (\S+)", recipe):
            assert find_spec(module), recipe
        subprocess.run(["bash", "-n"], input=recipe, text=True, check=True)
        last = recipe.splitlines()[-1].rpartition("/bin/")[2].replace("python -m service", "process-status")
        if last.startswith(_SERVERS):
            self._starts(shlex.split(last))

    def _starts(self, words: list[str]) -> None:
        """Start a server on free ports, which the lines after it find behind the ports of the page."""
        line = shlex.join(words)
        documented = re.findall(r"port (\d+)", line) or ["8080"]
        words = shlex.split(re.sub(r"port \d+", "port 0", line))
        if words[1] == "demo":
            words += ["--port", "0"]
        ready = ADDRESS if len(documented) == 1 else f"CONTROL=.*{ADDRESS}"
        folder = self._directory if "SCHEMA_FILE" in self._environment else REPOSITORY  # where a file of theirs is
        server = self._servers.enter_context(running(words, ready, environment=self._environment, cwd=folder))
        self._ports.update(zip(documented, re.findall(ADDRESS, "".join(server.said)), strict=False))
        if "local-firestore" not in words:
            self._environment["PROCESS_STATUS_URL"] = url = f"http://127.0.0.1:{self._ports['8080']}"
            eventually(lambda: http_status(f"{url}/readyz") == 200, f"{line} is ready")

    def _knows_its_options(self, words: list[str]) -> None:
        """A measurement takes minutes: that it can be started is all that is tried."""
        usage = self._shell([*words[:3], *(word for word in words[3:4] if not word.startswith("-")), "--help"])
        assert [word for word in words[3:] if word.startswith("-") and word not in usage] == [], usage

    def _on_our_ports(self, text: str) -> str:
        return re.sub(r"(?<=:)80\d\d\b", lambda port: self._ports[port[0]], text)

    def _shell(self, words: list[str], cwd: Path | None = None) -> str:
        done = subprocess.run(
            words,
            cwd=cwd or self._directory,
            env={**self._environment, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout
