"""What does a list of ten cost, with and without a filter, when few processes are held, and when very many are?

The same list asked for again is rendered once until something changes, so one part asks for another each time. The
lists at both sizes are asked of services that run side by side, in alternation. The baselines answer the plain list.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

from benchmarks.baselines.start import BARE_AIOHTTP, FLASK, NGINX, TTL_CACHE, Scene, enter
from benchmarks.benchmark import Benchmark, Part, Run
from benchmarks.firestore import FIRST_DAY
from benchmarks.http_round import Expected, Side, contest, head
from benchmarks.start import SERVICE, firestore, held, service
from service.http.rendered_pages import MAX_PAGES

FEW = 1_000
PLAIN = "/status?limit=10"
FILTERED = f"/status?limit=10&status=running&start_date={FIRST_DAY:%Y-%m-%d}"
EACH_ANOTHER = [
    f"{PLAIN}&status=running&start_date={FIRST_DAY + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}"
    for number in range(4 * MAX_PAGES)
]
HIT = Expected(x_cache="HIT")
BASELINES = (BARE_AIOHTTP, NGINX, TTL_CACHE, FLASK)


def parts(run: Run) -> Iterator[Part]:
    many = 10_000 if run.quick else 1_000_000
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, FEW)).ask("host")
        ours = stack.enter_context(service(run, host, FEW))
        large = held(run, many).server
        for name, paths in (("no filter", [PLAIN]), ("two filters", [FILTERED]), ("each another", EACH_ANOTHER)):
            sides = {
                f"{SERVICE}, {count:,} held": Side(server, [head(path) for path in paths], HIT)
                for count, server in ((many, large), (FEW, ours))
            }
            yield contest(run, name, sides, {})
        baselines, left_out = enter(stack, run, BASELINES, Scene(host, ours.get(PLAIN)))
        sides = {SERVICE: Side(ours, [head(PLAIN)], HIT)}
        sides |= {name: Side(baseline, [head(PLAIN)]) for name, baseline in baselines.items()}
        yield contest(run, f"{FEW:,} held", sides, left_out)


BENCHMARK = Benchmark(
    "list",
    "What does a list of ten cost, and does it grow with what is held?",
    ("cpu_per_request_us", "requests_per_s", "p99_ms"),
    parts,
)
