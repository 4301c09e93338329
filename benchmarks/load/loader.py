"""The load of the benchmarks: a closed loop, each connection asking again as soon as it is answered.

`wrk` where it is installed, else the client of `closed_loop.py`. Both take the same requests and tell the same things.
"""

import json
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.machine import TOOLS, pinned, tool_version
from benchmarks.programs import PYTHON, REPOSITORY
from benchmarks.refusal import NotMeasured

CONNECTIONS = 64


@dataclass(frozen=True)
class Loaded:
    """What came back."""

    answers: int
    seconds: float
    bytes: int
    errors: Mapping[str, int]
    """Kind → how many; every answer of 400 and above is one."""
    latency_ms: Mapping[str, float]
    """`p50`, `p90`, `p99`, `max`."""
    cpu_s: float
    """The loader's own."""


class Loader(Protocol):
    """Sends the requests, in turn, again and again."""

    name: str

    def load(
        self, port: int, requests: Sequence[bytes], seconds: int, cores: frozenset[int], connections: int = CONNECTIONS
    ) -> Loaded:
        """Load a server of this host for so long."""


class BuiltIn:
    """`benchmarks/load/closed_loop.py`, in a process of its own."""

    name = "built-in asyncio client"

    def __init__(self, directory: Path) -> None:
        self._requests_file = directory / "requests"

    def load(
        self, port: int, requests: Sequence[bytes], seconds: int, cores: frozenset[int], connections: int = CONNECTIONS
    ) -> Loaded:
        self._requests_file.write_bytes(b"\0".join(requests))
        told = [str(port), str(seconds), str(connections), str(self._requests_file)]
        return _told([PYTHON, "-m", "benchmarks.load.closed_loop", *told], seconds, cores)


class Wrk:
    """https://github.com/wg/wrk with one thread; `wrk.lua` chooses the requests and tells the figures."""

    def __init__(self, directory: Path) -> None:
        self.name = tool_version("wrk", TOOLS["wrk"])
        self._requests_file = directory / "requests"

    def load(
        self, port: int, requests: Sequence[bytes], seconds: int, cores: frozenset[int], connections: int = CONNECTIONS
    ) -> Loaded:
        self._requests_file.write_bytes(b"\0".join(requests))
        script = Path(__file__).with_name("wrk.lua")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
        return _told([*command, "--", str(self._requests_file)], seconds, cores)


def installed_loader(directory: Path) -> Loader:
    """wrk, or what stands in for it."""
    return Wrk(directory) if shutil.which("wrk") else BuiltIn(directory)


def _told(command: Sequence[str], seconds: float, cores: frozenset[int]) -> Loaded:
    """Run a loader, and read the JSON object in its last line. Raises: NotMeasured."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pinned(cores):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 30, check=False, cwd=REPOSITORY
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise NotMeasured(f"the loader failed: {(done.stdout + done.stderr)[-300:]!r}")
    told: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    told["errors"] = {kind: count for kind, count in told["errors"].items() if count}
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Loaded(**told, cpu_s=cpu_s)
