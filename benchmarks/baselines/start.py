"""Starts the baselines, those that are installed, and names the others.

What is measured runs on the server's core; a Redis, or what stands behind a proxy, on the helpers', as it would on
another host.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.benchmark import Run
from benchmarks.programs import PYTHON, Program
from benchmarks.start import Command, firestore_environment
from service.demo.google_emulator import free_port

FLASK_WORKERS = 4


@dataclass(frozen=True)
class Scene:
    """What baselines answer from."""

    firestore_host: str
    body: bytes
    """An answer of this service, for those that know only constant bytes."""
    process_ids: Sequence[str] = ()
    """Whose status Redis is to hold."""


@dataclass(frozen=True)
class Baseline:
    """`needs` names programs and modules; `start` is called only where all are there."""

    name: str
    programs: Sequence[str]
    modules: Sequence[str]
    start: Callable[[Run, Scene], AbstractContextManager[Program]]

    def missing(self) -> str:
        """Why it is left out; "" where it isn't."""
        absent = [name for name in self.programs if shutil.which(name) is None]
        absent += [name for name in self.modules if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(absent)}" if absent else ""


def enter(
    stack: ExitStack, run: Run, baselines: Sequence[Baseline], scene: Scene
) -> tuple[dict[str, Program], dict[str, str]]:
    """Start those that are installed, until the stack is closed. Returns them, and why others are left out."""
    started: dict[str, Program] = {}
    left_out: dict[str, str] = {}
    for baseline in () if run.alone else baselines:
        if missing := baseline.missing():
            left_out[baseline.name] = missing
        else:
            run.progress.step(f"starting {baseline.name}")
            started[baseline.name] = stack.enter_context(baseline.start(run, scene))
    return started, left_out


def _python(
    run: Run, name: str, arguments: Sequence[str | Path], port: int, scene: Scene, cores: frozenset[int] | None = None
) -> Program:
    return Program(
        name,
        [PYTHON, "-m", *arguments],
        port,
        run.directory,
        cores=run.cores.server if cores is None else cores,
        environment=firestore_environment(scene.firestore_host),
    )


def bare_aiohttp(run: Run, scene: Scene, cores: frozenset[int] | None = None) -> Program:
    port = free_port()
    body = run.directory / f"body-{port}"
    body.write_bytes(scene.body)
    return _python(run, "bare aiohttp", ["benchmarks.baselines.bare_aiohttp", str(port), body], port, scene, cores)


def flask_reads(run: Run, scene: Scene, cores: frozenset[int] | None = None) -> Program:
    port = free_port()
    gunicorn = ["gunicorn", "--config", "/dev/null", "--bind", f"127.0.0.1:{port}", "--workers", str(FLASK_WORKERS)]
    gunicorn.append("--preload")  # its port opens when it can answer
    return _python(run, "Flask", [*gunicorn, "benchmarks.baselines.flask_reads:app"], port, scene, cores)


def ttl_cache(run: Run, scene: Scene) -> Program:
    port = free_port()
    return _python(run, "TTL cache", ["benchmarks.baselines.ttl_cache", str(port)], port, scene)


@contextmanager
def redis(run: Run) -> Iterator[Program]:
    """A Redis of its own that keeps nothing on disk."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    command: Command = ["redis-server", *options, "--dir", run.directory]
    with Program("redis-server", command, port, run.directory, cores=run.cores.helpers) as program:
        yield program


def fill_redis(port: int, process_ids: Sequence[str], body: bytes) -> None:
    """Every process has this status."""
    from redis import Redis

    with Redis(host="127.0.0.1", port=port) as client:
        for start in range(0, len(process_ids), 10_000):
            client.mset(dict.fromkeys(process_ids[start : start + 10_000], body))


@contextmanager
def aiohttp_redis(run: Run, scene: Scene) -> Iterator[Program]:
    with redis(run) as server:
        fill_redis(server.port, scene.process_ids, scene.body)
        port = free_port()
        arguments = ["benchmarks.baselines.aiohttp_redis", str(port), str(server.port)]
        with _python(run, "aiohttp + Redis", arguments, port, scene) as program:
            yield program


Upstream = Callable[[Run, Scene, frozenset[int]], AbstractContextManager[Program]]


def nginx_before(upstream: Upstream) -> Callable[[Run, Scene], AbstractContextManager[Program]]:
    """nginx in front of another baseline."""

    @contextmanager
    def start(run: Run, scene: Scene) -> Iterator[Program]:
        with upstream(run, scene, run.cores.helpers) as app:
            port = free_port()
            directory = run.directory / f"nginx-{port}"
            directory.mkdir()
            configuration = directory / "nginx.conf"
            configuration.write_text(nginx_configuration(directory, port, app.port))
            command: Command = ["nginx", "-e", "stderr", "-p", directory, "-c", configuration]
            with Program("nginx", command, port, run.directory, cores=run.cores.server) as program:
                yield program

    return start


def nginx_configuration(directory: Path, port: int, upstream_port: int) -> str:
    """nginx.conf for this place."""
    filled = Path(__file__).with_name("nginx.conf").read_text()
    for name, value in {
        "USER": "user root;" if os.geteuid() == 0 else "",  # else its worker could not write below the directory
        "DIRECTORY": str(directory),
        "PORT": str(port),
        "UPSTREAM_PORT": str(upstream_port),
    }.items():
        filled = filled.replace(f"@{name}@", value)
    return filled


BARE_AIOHTTP = Baseline("bare aiohttp", (), ("aiohttp",), bare_aiohttp)
FLASK = Baseline("Flask, reads Firestore", (), ("flask", "gunicorn"), flask_reads)
TTL_CACHE = Baseline("TTL cache, 5 s", (), (), ttl_cache)
REDIS = Baseline("aiohttp + Redis", ("redis-server",), ("redis",), aiohttp_redis)
NGINX = Baseline("nginx, 1 s cache", ("nginx",), (), nginx_before(bare_aiohttp))
NGINX_FLASK = Baseline("nginx, 1 s cache, Flask", ("nginx",), ("flask", "gunicorn"), nginx_before(flask_reads))
