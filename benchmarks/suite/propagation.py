"""How long after its commit was acknowledged does a change show over HTTP? A hundred changes a second.

Each changed process was polled just before, as somebody who waits for it would, and is polled again and again until
the change is there. A round that can't keep its pace of changes is no measurement.
"""

import functools
import http.client
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

from benchmarks.baselines.start import FLASK, NGINX_FLASK, TTL_CACHE, Scene, enter
from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import process_id
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import Program
from benchmarks.refusal import NotMeasured
from benchmarks.start import SERVICE, firestore, service
from benchmarks.statistics import percentile

HELD, CHANGED = 10_000, 1_000
PER_S = 100
KEPT_PACE = 0.8
PATIENCE_S = 15.0


class Commit(NamedTuple):
    """One that does not show yet."""

    number: int
    progress: int
    acknowledged_at: float


class Prober:
    """Commits, and polls until it shows. `progress` grows for ever, so that no round takes another's commit for its."""

    def __init__(self, run: Run, database: Child) -> None:
        self._run = run
        self._database = database
        self._progress = itertools.count(1)

    def measure(self, server: Program) -> Figures:
        """One round. Raises: NotMeasured."""
        opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with closing(opened) as connection, pinned(self._run.cores.loader):
            delays_s, seconds = self._delays(connection, PER_S * self._run.seconds)
        pace = len(delays_s) / seconds
        if pace < KEPT_PACE * PER_S:
            raise NotMeasured(f"{pace:.0f} changes a second where {PER_S} were meant")
        shown = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        return {f"{name}_ms": percentile(delays_s, share) * 1000 for name, share in shown.items()}

    def _delays(self, connection: http.client.HTTPConnection, commits: int) -> tuple[list[float], float]:
        """Of each commit, and how long it took to make them all."""
        delays_s: list[float] = []
        pending: deque[Commit] = deque()
        started, made, made_in_s = time.perf_counter(), 0, 0.0
        while made < commits or pending:
            if made < commits and time.perf_counter() >= started + made / PER_S:
                pending.append(self._commit(connection, made))
                made, made_in_s = made + 1, time.perf_counter() - started
            if pending:
                oldest = pending.popleft()
                shows, now = shown_progress(connection, oldest.number) >= oldest.progress, time.perf_counter()
                if shows:
                    delays_s.append(now - oldest.acknowledged_at)
                else:
                    pending.append(oldest)
                if now - oldest.acknowledged_at > PATIENCE_S:
                    raise NotMeasured(f"a change did not show within {PATIENCE_S:g} s")
            else:
                time.sleep(max(0.0, started + made / PER_S - time.perf_counter()))
        return delays_s, made_in_s

    def _commit(self, connection: http.client.HTTPConnection, turn: int) -> Commit:
        number = HELD - CHANGED + turn % CHANGED
        shown_progress(connection, number)
        progress = next(self._progress)
        self._database.ask("commit", number, progress)
        return Commit(number, progress, time.perf_counter())


def shown_progress(connection: http.client.HTTPConnection, number: int) -> int:
    """How far the process has come, as a poll tells it. Raises: NotMeasured."""
    connection.request("GET", f"/status/{process_id(number)}")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise NotMeasured(f"answered {answer.status}")
    return int(json.loads(body)["products_processed"])


def parts(run: Run) -> Iterator[Part]:
    with ExitStack() as stack:
        database = stack.enter_context(firestore(run, HELD))
        host = database.ask("host")
        ours = stack.enter_context(service(run, host, HELD))
        baselines, left_out = enter(stack, run, (FLASK, NGINX_FLASK, TTL_CACHE), Scene(host, b""))
        prober = Prober(run, database)
        sides = {
            name: functools.partial(prober.measure, server) for name, server in {SERVICE: ours, **baselines}.items()
        }
        yield Part(f"{PER_S} changes/s", sides, run.rounds, left_out)


BENCHMARK = Benchmark(
    "propagation", "How long after its commit does a change show over HTTP?", ("p99_ms", "p50_ms", "max_ms"), parts
)
