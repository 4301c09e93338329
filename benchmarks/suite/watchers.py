"""What does waiting cost, and how soon does a change arrive? And what would the same freshness cost by polling?

One worker as `process-status serve` runs it. First the memory of each of many waiting clients, long polls and event
streams, and the time from a commit until all of them have the change, while an unrelated client asks for something
else. Then the delay from commit to client over a number of changes at random intervals, beside the same clients asking
once a second. Delays are from the commit's time to the client's read, clients included.
"""

import functools
import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.http_round import metric
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import Program
from benchmarks.refusal import NotMeasured
from benchmarks.start import firestore, service
from benchmarks.statistics import percentile
from benchmarks.suite.hit import etags
from benchmarks.watching_clients import PROCESS_ID, Clients, bystander

KINDS = {"long polls": "long_polls", "event streams": "event_streams"}
ONCE_A_SECOND = "polls once a second"
PATIENCE_S = 20.0
COMMITS = 3
INTERVAL_S = 1.0


class Watched:
    """The one process that all wait for, and the service they ask."""

    def __init__(self, database: Child, server: Program) -> None:
        self._progress = itertools.count(1)
        self._database = database
        self.server = server

    def commit(self) -> int:
        """A new version of it. Returns the version."""
        return int(self._database.ask("commit", 0, next(self._progress)))

    def until_watchers(self, count: int) -> None:
        """Until so many wait."""
        self.until(lambda: metric(self.server, "watchers") == count, f"{count} clients wait")

    def until(self, claim: Callable[[], object], what: str) -> None:
        """Raises: NotMeasured."""
        deadline = time.monotonic() + PATIENCE_S
        while not claim():
            if time.monotonic() > deadline:
                raise NotMeasured(f"not within {PATIENCE_S:g} s: {what}")
            time.sleep(0.02)


def parts(run: Run) -> Iterator[Part]:
    clients, watchers, changes = (500, 200, 3) if run.quick else (10_000, 1_000, 20)
    waiting = {name: functools.partial(_fresh, run, _memory, kind, clients) for name, kind in KINDS.items()}
    yield Part(f"{clients:,} clients", waiting, 1)
    kinds = {**KINDS, ONCE_A_SECOND: "polls"}
    delays = {name: functools.partial(_fresh, run, _delay, kind, watchers, changes) for name, kind in kinds.items()}
    yield Part(f"{watchers:,} watchers, {changes} changes", delays, 1)


def _fresh(run: Run, measure: Callable[..., Figures], *arguments: object) -> Figures:
    """On a service of its own: what one has left behind is no cost of another's."""
    with ExitStack() as stack:
        database = stack.enter_context(firestore(run, 1))
        server = stack.enter_context(service(run, database.ask("host"), 1, MAX_WATCHERS="20000"))
        with pinned(run.cores.loader):
            return measure(Watched(database, server), *arguments)


def _memory(watched: Watched, kind: str, count: int) -> Figures:
    """Memory of each waiting client, and the time until one change has reached all."""
    server, version = watched.server, watched.commit()
    watched.until(lambda: etags(server, [PROCESS_ID]) == [f'"v{version}"'], "the change shows")
    before = server.memory_bytes()
    with closing(Clients(server.port, kind)) as clients:
        clients.connect(count, version)
        watched.until_watchers(count)
        each = (server.memory_bytes() - before) / count
        cpu_before = server.cpu_s
        with bystander(server.port) as other:
            other.ask("longest_ms")  # it has begun
            reached_s = [_reach_all(watched, clients, kind, count) for _ in range(COMMITS)]
            longest_ms = other.ask("longest_ms")
        cpu_s = (server.cpu_s - cpu_before) / COMMITS
    return {"each_bytes": each, "reached_all_s": max(reached_s), "change_cpu_s": cpu_s, "bystander_max_ms": longest_ms}


def _reach_all(watched: Watched, clients: Clients, kind: str, count: int) -> float:
    """Seconds from a commit until the last client has it."""
    arrived: list[float] = []
    clients.asks_again = False
    clients.heard = lambda client, version, at: arrived.append(at)
    version, deadline = watched.commit(), time.monotonic() + PATIENCE_S
    while len(arrived) < count:
        clients.turn(1)
        if time.monotonic() > deadline:
            raise NotMeasured(f"a change reached {len(arrived)} of {count} clients within {PATIENCE_S:g} s")
    if kind == "long_polls":
        for client in clients.by_fd.values():
            clients.ask(client)
    watched.until_watchers(count)
    return arrived[-1] - version / 1e6


def _delay(watched: Watched, kind: str, count: int, changes: int) -> Figures:
    """`count` clients of one process, `changes` changes of it at random intervals."""
    server, delays, chance = watched.server, list[float](), random.Random(7)
    with closing(Clients(server.port, kind)) as clients:
        clients.connect(count, watched.commit() - 1)
        started, cpu_s = time.monotonic(), server.cpu_s
        polls = [(started + chance.random(), fd) for fd in clients.by_fd] if kind == "polls" else []
        heapq.heapify(polls)
        due = end = started + 2  # what comes before the first change is their first answer
        made = 0
        clients.heard = lambda client, version, at: delays.append(at - version / 1e6) if made else None
        while time.monotonic() < end + 2:
            now = time.monotonic()
            _poll(clients, polls, now)
            if now >= due and made < changes:
                watched.commit()
                made += 1
                due += chance.uniform(0.5, 1.5) * INTERVAL_S
                end = due
            clients.turn(max(0.0, min(due - now, polls[0][0] - now if polls else 0.05)))
        cpu_s = server.cpu_s - cpu_s
    if not delays:
        raise NotMeasured("no client heard of a change")
    return {
        **{f"{name}_ms": percentile(delays, share) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))},
        "heard": len(delays),
        "requests": clients.requests,
        "cpu_s": cpu_s,
    }


def _poll(clients: Clients, polls: list[tuple[float, int]], now: float) -> None:
    """Ask for those whose second is over."""
    while polls and polls[0][0] <= now:
        at, fd = heapq.heappop(polls)
        clients.ask(clients.by_fd[fd])
        heapq.heappush(polls, (at + 1, fd))


BENCHMARK = Benchmark(
    "watchers",
    "What does waiting cost, and how soon does a change arrive?",
    ("p99_ms", "p50_ms", "cpu_s", "requests", "each_bytes", "reached_all_s", "bystander_max_ms"),
    parts,
)
