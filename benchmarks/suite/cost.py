"""How many document reads does Firestore bill for a million polls? At two rates of polls, with ten changes a second.

Counted, not computed: the service's own `firestore_reads_total`; for the baselines, the reads their Firestore served.
The service's reads go with the changes and the time, so the more is polled, the less a poll costs.
"""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import uvloop

from benchmarks.baselines.start import FLASK, TTL_CACHE, Scene, enter
from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import process_id
from benchmarks.http_round import metric
from benchmarks.load.open_loop import ERROR_STATUS, OpenLoop, Outcome, Pace
from benchmarks.load.target import Target
from benchmarks.machine import pinned
from benchmarks.processes import Child
from benchmarks.programs import Program
from benchmarks.refusal import NotMeasured
from benchmarks.start import SERVICE, firestore, service

HELD, POLLED = 10_000, 100
POLLS_PER_S = (200, 2_000)
CHANGES_PER_S = 10
CONNECTIONS, TIMEOUT_S = 32, 2.0


def parts(run: Run) -> Iterator[Part]:
    with ExitStack() as stack:
        database = stack.enter_context(firestore(run, HELD))
        ours = stack.enter_context(service(run, database.ask("host"), HELD))
        their_database = stack.enter_context(firestore(run, HELD))  # the service.s audits read its own
        baselines, left_out = enter(stack, run, (TTL_CACHE, FLASK), Scene(their_database.ask("host"), b""))
        for rate in POLLS_PER_S:
            billed = functools.partial(metric, ours, "firestore_reads_total")
            sides = {SERVICE: functools.partial(_round, run, database, ours, rate, billed)}
            for name, server in baselines.items():
                asked_for = functools.partial(their_database.ask, "documents_read")
                sides[name] = functools.partial(_round, run, their_database, server, rate, asked_for)
            yield Part(f"{rate:,} polls/s", sides, min(run.rounds, 3), left_out)


def _round(run: Run, database: Child, server: Program, rate: int, billed: Callable[[], float]) -> Figures:
    """Poll at that rate while the polled processes change. Raises: NotMeasured."""
    target = Target.of(server.url)
    pace = Pace(rate, run.seconds + 2, CONNECTIONS, TIMEOUT_S)
    load = OpenLoop(target, target.requests([process_id(number) for number in range(POLLED)]), pace)
    before = billed()
    with ThreadPoolExecutor(1) as writer:
        changes = writer.submit(database.ask, "paced", CHANGES_PER_S, pace.seconds, POLLED, 1)
        with pinned(run.cores.loader):
            uvloop.run(load.run())
    changes.result()
    reads, outcome = billed() - before, load.outcome
    _check(outcome)
    return {
        "reads_per_million_polls": reads * 1e6 / outcome.answered,
        "reads_per_s": reads / (outcome.ended_at - outcome.started_at),
    }


def _check(outcome: Outcome) -> None:
    errors = sum(count for status, count in outcome.answers.items() if status >= ERROR_STATUS)
    if outcome.lost or errors:
        raise NotMeasured(f"of {outcome.begun} polls {outcome.lost.total()} were lost, {errors} answered with an error")


BENCHMARK = Benchmark(
    "cost", "How many reads does Firestore bill for a million polls?", ("reads_per_million_polls", "reads_per_s"), parts
)
