"""Starts what benchmarks measure: this service, as an operator starts it, on the server's core, beside a Firestore."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.benchmark import Run
from benchmarks.firestore import PROJECT, firestore_process
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import PATIENCE_S, PYTHON, REPOSITORY, Program
from service.demo.google_emulator import free_port
from service.telemetry.metrics import PUBLISH_INTERVAL_S

Command = Sequence[str | Path]
SERVICE = "this service"


@contextmanager
def firestore(run: Run, documents: int, *, gives_way: bool = False) -> Iterator[Child]:
    """A local Firestore on the helpers' cores, with that many processes. `gives_way`: see Child."""
    run.progress.step(f"seeding {documents:,} processes")
    with pinned(run.cores.helpers):
        child = firestore_process(gives_way=gives_way)
        child.__enter__()
    with ExitStack() as stack:
        stack.push(child)
        child.ask("seed", documents)
        yield child


def firestore_environment(firestore_host: str) -> dict[str, str]:
    """What every program finds the local Firestore by."""
    return {"FIRESTORE_EMULATOR_HOST": firestore_host, "PROJECT_ID": PROJECT}


@contextmanager
def service(run: Run, firestore_host: str, documents: int, limits: Command = (), **settings: str) -> Iterator[Program]:
    """`process-status serve` with its log and metrics, once it holds them all. `limits`: a command before it."""
    port = free_port()
    environment = {**firestore_environment(firestore_host), "HOST": "127.0.0.1", "PORT": str(port), **settings}
    command = [*limits, PYTHON, "-m", "service", "serve"]
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
    """Such a service, started by whichever benchmark of the run asks first."""
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
    with Program(
        name,
        command,
        port,
        run.directory,
        cores=cores,
        environment=environment,
        counts_late_s=2 * PUBLISH_INTERVAL_S,
    ) as program:
        await_model(program, documents)
        _await_workers(program, count)
        yield program


def _await_workers(program: Program, count: int) -> None:
    """Until every worker has a model. `/readyz` would be answered by one that has. Raises: RuntimeError."""
    deadline = time.monotonic() + PATIENCE_S
    while f'process_status_listener_state{{state="live"}} {count}.0'.encode() not in program.get("/metrics"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all workers of {program.name} are live:\n{program.log_end()}")
        time.sleep(0.05)


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
