"""What do two workers answer that one does not? gunicorn as docs/operations.md starts it, hits only.

Each worker has a core as far as there are any; on two cores the loader shares the second worker's, so there the CPU a
request costs tells more than the requests a second.
"""

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.benchmark import Benchmark, Part, Run
from benchmarks.firestore import process_id
from benchmarks.http_round import Expected, Side, contest, head
from benchmarks.start import firestore, workers

HELD, POLLED = 10_000, 1_000
COUNTS = (2, 1)


def parts(run: Run) -> Iterator[Part]:
    polls = [head(f"/status/{process_id(number)}") for number in range(POLLED)]
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, HELD)).ask("host")
        sides = {}
        for count in COUNTS:
            server = stack.enter_context(workers(run, host, HELD, count))
            sides[f"workers: {count}, cores: {len(run.cores.first(count)) or 'any'}"] = Side(
                server, polls, Expected(x_cache="HIT")
            )
        yield contest(run, "hits", sides, {})


BENCHMARK = Benchmark(
    "workers", "What do more workers answer?", ("requests_per_s", "cpu_per_request_us", "server_cores", "p99_ms"), parts
)
