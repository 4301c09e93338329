"""Starts what questions measure: this service as an operator would, and its rivals where they are installed.

What is measured runs on the server's core; a Redis, or what stands behind a proxy, on the helpers', as it would on
another host.
"""

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.firestore import PROJECT, firestore_process
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import PATIENCE_S, PYTHON, REPOSITORY, Program
from benchmarks.question import Run
from service.demo.google_emulator import free_port

Command = Sequence[str | Path]
FLASK_WORKERS = 4
SERVICE = "this service"


@dataclass(frozen=True)
class Scene:
    """What rivals answer from."""

    firestore_host: str
    body: bytes
    """An answer of this service, for those that know only constant bytes."""
    process_ids: Sequence[str] = ()
    """Whose status Redis is to hold."""


# -- this service, and the Firestore that it reads


@contextmanager
def firestore(run: Run, documents: int) -> Iterator[Child]:
    """A local Firestore on the helpers' cores, with that many processes."""
    run.progress.step(f"seeding {documents:,} processes")
    with pinned(run.cores.helpers):
        child = firestore_process()
        child.__enter__()
    with ExitStack() as stack:
        stack.push(child)
        child.ask("seed", documents)
        yield child


def firestore_environment(firestore_host: str) -> dict[str, str]:
    """What every program finds the local Firestore by."""
    return {"FIRESTORE_EMULATOR_HOST": firestore_host, "PROJECT_ID": PROJECT}


@contextmanager
def service(run: Run, firestore_host: str, documents: int, **settings: str) -> Iterator[Program]:
    """`process-status serve` with its log and metrics, once it holds that many documents."""
    port = free_port()
    environment = {**firestore_environment(firestore_host), "HOST": "127.0.0.1", "PORT": str(port), **settings}
    command = [PYTHON, "-m", "service", "serve"]
    run.progress.step(f"starting {SERVICE} on {documents:,} processes")
    with Program(SERVICE, command, port, run.directory, cores=run.cores.server, environment=environment) as program:
        await_model(program, documents)
        yield program


@dataclass(frozen=True)
class Held:
    """A service that holds a whole collection, and what that took right after its load."""

    server: Program
    resident_bytes: int
    most_resident_bytes: int
    loaded_s: float


def held(run: Run, documents: int) -> Held:
    """Such a service, started by whichever question of the run asks first."""
    if documents not in run.kept.services:
        host = run.kept.enter_context(firestore(run, documents)).ask("host")
        started = time.perf_counter()
        server = run.kept.enter_context(service(run, host, documents, WINDOW_SIZE="0"))
        loaded_s = time.perf_counter() - started
        memory = server.memory_bytes(), server.memory_bytes("VmHWM")
        run.kept.services[documents] = Held(server, *memory, loaded_s)
    return cast(Held, run.kept.services[documents])


@contextmanager
def workers(run: Run, firestore_host: str, documents: int, count: int) -> Iterator[Program]:
    """The service under gunicorn, each worker with a core of its own as far as they go."""
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": str(count)}
    environment = {**firestore_environment(firestore_host), **settings}
    command: Command = [PYTHON, "-m", "gunicorn", "service.app:create_app", "-c", REPOSITORY / "gunicorn.conf.py"]
    name, cores = f"{SERVICE} with {count} workers", run.cores.first(count)
    with Program(name, command, port, run.directory, cores=cores, environment=environment) as program:
        for _ in range(10 * count):  # whichever worker answers: after so many all have been asked
            await_model(program, documents)
        yield program


def await_model(program: Program, documents: int) -> None:
    """Until the model answers and holds them. Raises: RuntimeError."""
    deadline = time.monotonic() + PATIENCE_S + documents / 1000
    while time.monotonic() < deadline:
        try:
            ready = json.loads(program.get("/readyz"))
        except OSError:
            ready = {}  # not yet, or too busy with loading
        if ready.get("model_trusted") and ready["documents"] >= documents:
            return
        time.sleep(0.05)
    raise RuntimeError(f"{program.name} did not load {documents} documents:\n{program.log_end()}")


# -- the rivals


@dataclass(frozen=True)
class Rival:
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
    stack: ExitStack, run: Run, rivals: Sequence[Rival], scene: Scene
) -> tuple[dict[str, Program], dict[str, str]]:
    """Start those that are installed, until the stack is closed. Returns them, and why others are left out."""
    started: dict[str, Program] = {}
    left_out: dict[str, str] = {}
    for rival in () if run.alone else rivals:
        if missing := rival.missing():
            left_out[rival.name] = missing
        else:
            run.progress.step(f"starting {rival.name}")
            started[rival.name] = stack.enter_context(rival.start(run, scene))
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
    return _python(run, "bare aiohttp", ["benchmarks.rivals.bare_aiohttp", str(port), body], port, scene, cores)


def flask_reads(run: Run, scene: Scene, cores: frozenset[int] | None = None) -> Program:
    port = free_port()
    gunicorn = ["gunicorn", "--config", "/dev/null", "--bind", f"127.0.0.1:{port}", "--workers", str(FLASK_WORKERS)]
    gunicorn.append("--preload")  # its port opens when it can answer
    return _python(run, "Flask", [*gunicorn, "benchmarks.rivals.flask_reads:app"], port, scene, cores)


def ttl_cache(run: Run, scene: Scene) -> Program:
    port = free_port()
    return _python(run, "TTL cache", ["benchmarks.rivals.ttl_cache", str(port)], port, scene)


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
        arguments = ["benchmarks.rivals.aiohttp_redis", str(port), str(server.port)]
        with _python(run, "aiohttp + Redis", arguments, port, scene) as program:
            yield program


Upstream = Callable[[Run, Scene, frozenset[int]], AbstractContextManager[Program]]


def nginx_before(upstream: Upstream) -> Callable[[Run, Scene], AbstractContextManager[Program]]:
    """nginx in front of another rival."""

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
    filled = Path(__file__).parent.joinpath("rivals/nginx.conf").read_text()
    for name, value in {
        "USER": "user root;" if os.geteuid() == 0 else "",  # else its worker could not write below the directory
        "DIRECTORY": str(directory),
        "PORT": str(port),
        "UPSTREAM_PORT": str(upstream_port),
    }.items():
        filled = filled.replace(f"@{name}@", value)
    return filled


BARE_AIOHTTP = Rival("bare aiohttp", (), ("aiohttp",), bare_aiohttp)
FLASK = Rival("Flask, reads Firestore", (), ("flask", "gunicorn"), flask_reads)
TTL_CACHE = Rival("TTL cache, 5 s", (), (), ttl_cache)
REDIS = Rival("aiohttp + Redis", ("redis-server",), ("redis",), aiohttp_redis)
NGINX = Rival("nginx, 1 s cache", ("nginx",), (), nginx_before(bare_aiohttp))
NGINX_FLASK = Rival("nginx, 1 s cache, Flask", ("nginx",), ("flask", "gunicorn"), nginx_before(flask_reads))
