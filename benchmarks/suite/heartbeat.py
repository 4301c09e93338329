"""What do writes cost that change nothing that is answered, and do waiting clients notice them?

Every process of many is written once a second, as workers do to show that they are alive, while one client waits for
each. The baseline is the same service with a schema that answers the heartbeat: each write is then a new version to its
client, as every write was before the content had a version of its own.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib import resources
from pathlib import Path

from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import document_path, process_fields, process_id
from benchmarks.http_round import metric
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import Program
from benchmarks.refusal import NotMeasured
from benchmarks.start import SERVICE, firestore, service
from benchmarks.watching_clients import Clients

PROCESSES = 1_000
COMMITS_PER_S = 10
ANSWERED = "heartbeats answered"
KINDS = {"long polls": "long_polls", "event streams": "event_streams"}
PATIENCE_S = 30.0


def parts(run: Run) -> Iterator[Part]:
    for name, kind in KINDS.items():
        rounds = {each: functools.partial(one_round, run, kind, each == ANSWERED) for each in (SERVICE, ANSWERED)}
        yield Part(f"{PROCESSES:,} processes, {name}", rounds, 1 if run.quick else 2)


def one_round(run: Run, kind: str, is_answered: bool) -> Figures:
    """Seconds of CPU per second, and what clients heard, while all processes beat once a second."""
    settings = {"SCHEMA_FILE": str(_answering_heartbeats(run.directory))} if is_answered else {}
    with ExitStack() as stack:
        database = stack.enter_context(firestore(run, PROCESSES))
        server = stack.enter_context(service(run, database.ask("host"), PROCESSES, MAX_WATCHERS="20000", **settings))
        with pinned(run.cores.loader), closing(Clients(server.port, kind)) as clients:
            fields = {document_path(number): process_fields(number, 0) for number in range(PROCESSES)}
            for fixed in fields.values():
                fixed["status"] = "running"
            _beat(database, fields, 0)
            _until_running(server)
            clients.connect(PROCESSES, 0, [process_id(number) for number in range(PROCESSES)])
            _settle(clients, lambda: metric(server, "watchers") == PROCESSES)
            return _measure(run, database, clients, fields, server)


def _measure(
    run: Run, database: Child, clients: Clients, fields: dict[str, dict[str, object]], server: Program
) -> Figures:
    heard: list[int] = []
    clients.heard = lambda client, version, at: heard.append(version)
    before, began = server.cpu_s, time.monotonic()
    seconds = 2 * run.seconds
    for second in range(seconds):
        _beat(database, fields, second + 1)
        while time.monotonic() < began + second + 1:
            clients.turn(0.02)
    took_s = time.monotonic() - began
    return {
        "used_cores": (server.cpu_s - before) / took_s,
        "beats_per_s": PROCESSES * seconds / took_s,
        "heard": len(heard),
    }


def _beat(database: Child, fields: dict[str, dict[str, object]], beat: int) -> None:
    """A write of each, that differs in its heartbeat alone."""
    paths, step = list(fields), PROCESSES // COMMITS_PER_S
    for begin in range(0, len(paths), step):
        database.ask("put", {path: {**fields[path], "heartbeat": beat} for path in paths[begin : begin + step]})


def _until_running(server: Program) -> None:
    """Until the service holds what was written last: a stream of a process that has ended would end."""
    deadline = time.monotonic() + PATIENCE_S
    while b'"status":"running"' not in server.get(f"/status/{process_id(PROCESSES - 1)}"):
        if time.monotonic() > deadline:
            raise NotMeasured("the processes have not begun")
        time.sleep(0.05)


def _settle(clients: Clients, claim: Callable[[], bool]) -> None:
    """Until all wait, and nothing has come for a moment. Raises: NotMeasured."""
    deadline, quiet_since = time.monotonic() + PATIENCE_S, time.monotonic()

    def note(*_: object) -> None:
        nonlocal quiet_since
        quiet_since = time.monotonic()

    clients.heard = note
    while time.monotonic() < quiet_since + 1.0 or not claim():
        clients.turn(0.05)
        if time.monotonic() > deadline:
            raise NotMeasured(f"not all clients waited within {PATIENCE_S:g} s")


def _answering_heartbeats(directory: Path) -> Path:
    """The default schema, with the heartbeat among the keys of an answer."""
    text = resources.files("service.schema").joinpath("default.toml").read_text()
    file = directory / "heartbeat.toml"
    file.write_text(text.replace("[answer]\n", '[answer]\nheartbeat = { as = "integer" }\n'))
    return file


BENCHMARK = Benchmark(
    "heartbeat",
    "What do writes cost that change nothing that is answered?",
    ("used_cores", "heard", "beats_per_s"),
    parts,
)
