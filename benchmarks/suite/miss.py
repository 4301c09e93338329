"""How fast is a poll of a process outside the window: a direct read of Firestore, each of another process?

The budget of direct reads (FALLBACK_RATE) is raised for this: it is there so that nobody can run up the bill.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks.baselines.start import FLASK, TTL_CACHE, Scene, enter
from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import process_id
from benchmarks.http_round import Expected, head, one_round
from benchmarks.programs import Program
from benchmarks.start import SERVICE, firestore, service

WINDOW, OUTSIDE = 1_000, 60_000
IN_ONE_ROUND = 12_000
"""More than any is asked for in a round's time: no process is asked for again while an answer may be remembered."""

CONNECTIONS = 16
NO_BUDGET = {"FALLBACK_RATE": "1000000"}


def parts(run: Run) -> Iterator[Part]:
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, OUTSIDE + WINDOW)).ask("host")
        ours = stack.enter_context(service(run, host, WINDOW, WINDOW_SIZE=str(WINDOW), **NO_BUDGET))
        baselines, left_out = enter(stack, run, (TTL_CACHE, FLASK), Scene(host, b""))
        sides = {SERVICE: _round(run, ours, Expected(x_cache="MISS"))}
        sides |= {name: _round(run, baseline, Expected()) for name, baseline in baselines.items()}
        yield Part("direct reads", sides, run.rounds, left_out)


def _round(run: Run, server: Program, expected: Expected) -> Callable[[], Figures]:
    starts = itertools.cycle(range(0, OUTSIDE, IN_ONE_ROUND))

    def measure() -> Figures:
        first = next(starts)
        requests = [head(f"/status/{process_id(number)}") for number in range(first, first + IN_ONE_ROUND)]
        return one_round(run, server, requests, expected, connections=CONNECTIONS)

    return measure


BENCHMARK = Benchmark(
    "miss", "How fast is a poll that has to be read from Firestore?", ("requests_per_s", "p50_ms", "p99_ms"), parts
)
