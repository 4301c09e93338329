"""What is left of it while 500 documents a second change? 95 % polls of held processes, 4 % lists, 1 % misses.

First the mix against baselines, all under the changes; then polls of held processes alone, at rest and under changes.
Two rounds of one service, so what differs is the changes. The budget of direct reads is raised, as in `miss`.
"""

import functools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.baselines.start import FLASK, TTL_CACHE, Scene, enter
from benchmarks.benchmark import Benchmark, Figures, Part, Round, Run
from benchmarks.firestore import STATUSES, process_id
from benchmarks.http_round import Expected, head, one_round
from benchmarks.processes import Child
from benchmarks.programs import Program
from benchmarks.start import SERVICE, firestore, service
from benchmarks.suite.miss import NO_BUDGET

HELD, OUTSIDE = 10_000, 20_000
CHANGES_PER_S, CHANGES_PER_COMMIT = 500, 10
HITS, LISTS, MISSES = 0.95, 0.04, 0.01
SHOWN = 20_000
ANYTHING = Expected(same_size=False)
HITS_ALONE = Expected(x_cache="HIT", same_size=False)


def parts(run: Run) -> Iterator[Part]:
    mix, polls = mixed_requests(random.Random(7)), [head(f"/status/{each}") for each in held_ids()]
    with ExitStack() as stack:
        database = stack.enter_context(firestore(run, OUTSIDE + HELD))
        host = database.ask("host")
        ours = stack.enter_context(service(run, host, HELD, **NO_BUDGET))
        baselines, left_out = enter(stack, run, (TTL_CACHE, FLASK), Scene(host, b""))

        sides = {SERVICE: ours, **baselines}
        under_changes = {name: _Changing(run, database, each, mix, ANYTHING) for name, each in sides.items()}
        yield Part("the mix", under_changes, run.rounds, left_out)
        hits: dict[str, Round] = {
            f"{SERVICE}, {CHANGES_PER_S} changes/s": _Changing(run, database, ours, polls, HITS_ALONE),
            f"{SERVICE}, at rest": functools.partial(one_round, run, ours, polls, HITS_ALONE),
        }
        yield Part("hits alone", hits, run.rounds)


@dataclass(frozen=True)
class _Changing:
    """A round while documents change."""

    run: Run
    database: Child
    server: Program
    requests: list[bytes]
    expected: Expected

    def __call__(self) -> Figures:
        with changes(self.database, self.run.seconds + 3):
            return one_round(self.run, self.server, self.requests, self.expected)


def held_ids() -> list[str]:
    """A thousand of the newest: what the default window holds."""
    return [process_id(OUTSIDE + number * 10) for number in range(HELD // 10)]


def mixed_requests(chance: random.Random) -> list[bytes]:
    """The mix, shuffled; every miss another process."""
    held, outside = held_ids(), iter(range(OUTSIDE))
    requests = [head(f"/status/{chance.choice(held)}") for _ in range(int(SHOWN * HITS))]
    requests += [head(f"/status?limit=10&status={chance.choice(STATUSES)}") for _ in range(int(SHOWN * LISTS))]
    requests += [head(f"/status/{process_id(next(outside))}") for _ in range(int(SHOWN * MISSES))]
    chance.shuffle(requests)
    return requests


@contextmanager
def changes(database: Child, seconds: float) -> Iterator[None]:
    """The held processes change meanwhile, and for as long as that takes."""
    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(database.ask, "paced", CHANGES_PER_S, seconds, OUTSIDE + HELD, CHANGES_PER_COMMIT)
        yield
    writing.result()


BENCHMARK = Benchmark(
    "mixed",
    "What is left of it while 500 documents a second change?",
    ("p99_ms", "requests_per_s", "cpu_per_request_us"),
    parts,
)
