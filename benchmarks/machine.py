"""The machine: which cores are whose, and what a result has to say of where it was measured.

What is measured gets one core, the loader another, helpers (databases, writers) what is left, or the loader's. Nothing
is pinned where the system can't or where there is one core only; the result says so.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("aiohttp", "uvloop", "google-cloud-firestore", "grpcio", "orjson", "gunicorn", "flask", "redis")
TOOLS = {"wrk": "-v", "redis-server": "--version", "nginx": "-v"}


@dataclass(frozen=True)
class Cores:
    """Empty sets pin nothing."""

    server: frozenset[int]
    loader: frozenset[int]
    helpers: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """As far as they go."""
        return cls.shared_out(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [])

    @classmethod
    def shared_out(cls, available: list[int]) -> "Cores":
        """One for the server, one for the loader, the others for helpers."""
        if len(available) < 2:
            return cls(frozenset(), frozenset(), frozenset())
        server, loader, *others = available
        return cls(frozenset({server}), frozenset({loader}), frozenset(others or {loader}))

    @property
    def are_pinned(self) -> bool:
        return bool(self.server)

    def first(self, count: int) -> frozenset[int]:
        """So many, the server's own first and the loader's last: for a server of several processes."""
        if not self.are_pinned:
            return frozenset()
        ordered = [*self.server, *sorted(self.helpers - self.loader), *self.loader]
        return frozenset(ordered[:count])


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Processes started within inherit these cores; this thread has its own again afterwards."""
    if not cores:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def description() -> dict[str, Any]:
    """Machine, versions, date and how busy the machine was with other things before."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "pinned": Cores.of_this_machine().are_pinned,
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"Python": platform.python_version(), **_packages(), **_tools()},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # a baseline that is left out, and named there
    return found


def _tools() -> dict[str, str]:
    return {name: tool_version(name, option) for name, option in TOOLS.items() if shutil.which(name)}


def tool_version(name: str, option: str) -> str:
    """The first line in which a program tells its version."""
    told = subprocess.run([name, option], capture_output=True, text=True, check=False)  # wrk ends with 1
    line = (told.stdout + told.stderr).strip().partition("\n")[0]
    return line.partition(" Copyright")[0].partition(" sha=")[0].removeprefix("nginx version: ")
