"""What do hostile clients cost the others? A thousand well-behaved clients poll beside a flood of each kind in turn.

Each well-behaved client keeps its connection and polls once in two seconds; one more waits for a process that changes
again and again. They are alone for a second, then one kind of `hostile_clients` floods the service twice, and so on. It
is no measurement, and the command fails, where an answer did not come, where a change was not told at once, where the
p99 of a flood is over twice that of the second before it, or where the second flood leaves memory in use that the first
one did not.
The service has the descriptors of a small container, so that silent connections run into the limit. Hostile clients and
Firestore share a core with the well-behaved clients and give way to them: what is measured is the service.
"""

import functools
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.chaos.crowd import Crowd, Polled, crowd_process
from benchmarks.firestore import process_id
from benchmarks.hostile_clients import KINDS, WATCHED, hostile_process
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import Program
from benchmarks.refusal import NotMeasured
from benchmarks.start import SERVICE, firestore, service
from benchmarks.statistics import percentile
from benchmarks.suite.hit import etags

HELD = 1_000
LIMITS = ("prlimit", "--nofile=2048:2048")
SLOWER = 2.0
TOLD_WITHIN_MS = 1_000.0
WAIT_S = 5
FLOOR_MS = 5.0
"""A quiet p99 below it counts as this: what a turn of a busy machine's scheduler takes."""

GROWTH_MIB = 8.0
"""What may be left of a second flood: fragmentation, not a leak."""


@dataclass(frozen=True)
class Size:
    """Of a run. `share`: of the floods' full rates."""

    clients: int
    polls_per_s: float
    quiet_s: float
    flood_s: float
    share: float


FULL, QUICK = Size(1_000, 0.5, 1.0, 1.5, 1.0), Size(100, 2.0, 0.25, 0.25, 0.3)


@dataclass
class Scene:
    """The service, those who poll it, and those who flood it."""

    server: Program
    crowd: Child
    hostile: Child
    watcher: "Watcher"
    size: Size


class Watcher:
    """Waits for one process and changes it, on a thread of its own. `told_ms`: from each commit to its answer."""

    def __init__(self, database: Child, server: Program) -> None:
        self._database = database
        self._server = server
        self._is_over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[list[float]]:
        """The times so far; -1 for a change that was not told."""
        told_ms: list[float] = []
        self._is_over.clear()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(self._watch, told_ms)
            try:
                yield told_ms
            finally:
                self._is_over.set()
            watching.result()

    def _watch(self, told_ms: list[float]) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=2 * WAIT_S)) as connection:
            known = etags(self._server, [WATCHED])[0]
            while not self._is_over.wait(0.1):
                connection.request("GET", f"/status/{WATCHED}?wait={WAIT_S}", headers={"If-None-Match": known})
                committed = self._database.ask("commit", 0, time.time_ns())
                answer = connection.getresponse()
                answer.read()
                told_ms.append((time.time() - committed / 1e6) * 1000 if answer.status == 200 else -1.0)
                known = answer.headers["ETag"]


def parts(run: Run) -> Iterator[Part]:
    size = QUICK if run.quick else FULL
    with ExitStack() as stack:
        database = stack.enter_context(firestore(run, HELD, gives_way=True))
        server = stack.enter_context(service(run, database.ask("host"), HELD, LIMITS, LOG_LEVEL="ERROR"))
        ids = [process_id(number) for number in range(HELD)]
        with pinned(run.cores.loader):
            crowd = stack.enter_context(crowd_process(Crowd([server.url], ids, size.clients, 1, size.polls_per_s)))
            hostile = stack.enter_context(hostile_process(server.port))
        scene = Scene(server, crowd, hostile, Watcher(database, server), size)
        crowd.ask("begin")
        time.sleep(2 / size.polls_per_s)  # everybody has connected
        yield Part("quiet", {SERVICE: functools.partial(quiet, scene)}, 1)
        for kind in KINDS:
            yield Part(kind, {SERVICE: functools.partial(flooded, scene, kind)}, 1)
        crowd.ask("end")


def quiet(scene: Scene) -> Figures:
    """Nobody else."""
    scene.crowd.ask("taken")
    time.sleep(scene.size.quiet_s)
    return answered(scene.crowd.ask("taken"))


def flooded(scene: Scene, kind: str) -> Figures:
    """Two floods of one kind. Raises: NotMeasured where the others suffer."""
    quiet_p99_ms = quiet(scene)["p99_ms"]
    memory_mib = [_memory_mib(scene)]
    begun = 0
    with scene.watcher.watching() as told_ms:
        for _ in range(2):
            begun += scene.hostile.ask("flood", kind, scene.size.flood_s, scene.size.share)
            memory_mib.append(_memory_mib(scene))
    figures = answered(scene.crowd.ask("taken"))
    figures |= {"quiet_p99_ms": quiet_p99_ms, "memory_mib": memory_mib[-1], "hostile": begun}
    figures["grown_mib"] = memory_mib[2] - memory_mib[1]
    return demanded(figures | told(told_ms), quiet_p99_ms)


def _memory_mib(scene: Scene) -> float:
    return scene.server.memory_bytes() / (1 << 20)


def answered(polls: Sequence[Polled]) -> Figures:
    """Of the well-behaved. Raises: NotMeasured where one of them did not get what it asked for."""
    others = [poll for poll in polls if (poll.status, poll.source) != (200, "HIT")]
    if others or not polls:
        raise NotMeasured(f"{len(others)} of {len(polls)} polls had no HIT for an answer, as {others[:1]}")
    times = sorted(poll.took_ms for poll in polls)
    return {"polls": len(polls), "p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99)}


def told(told_ms: Sequence[float]) -> Figures:
    """Of the one who waits. Raises: NotMeasured where a change came late, or never."""
    missed = [each for each in told_ms if not 0 <= each <= TOLD_WITHIN_MS]
    if missed or not told_ms:
        raise NotMeasured(f"{len(missed)} of {len(told_ms)} changes were not told within {TOLD_WITHIN_MS:g} ms")
    return {"changes": len(told_ms), "told_max_ms": max(told_ms)}


def demanded(figures: Figures, quiet_p99_ms: float) -> Figures:
    """Raises: NotMeasured where it is not what it should be."""
    allowed_ms = SLOWER * max(quiet_p99_ms, FLOOR_MS)
    if figures["p99_ms"] > allowed_ms:
        raise NotMeasured(f"p99 is {figures['p99_ms']:.1f} ms, at most {allowed_ms:.1f} is allowed")
    if figures["grown_mib"] > GROWTH_MIB:
        raise NotMeasured(f"the second flood left {figures['grown_mib']:.0f} MiB in use")
    return figures


BENCHMARK = Benchmark(
    "floods", "What do hostile clients cost the others?", ("p99_ms", "p50_ms", "hostile", "grown_mib"), parts
)
