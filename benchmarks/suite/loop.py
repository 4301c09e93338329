"""How long does any single event hold the event loop?

One thing at a time happens to a service with its request log and metrics on, under uvloop, while its loop is kept
turning: `longest_cpu_ms` is the most CPU time its thread spent between two turns, over all rounds; the goal is 5.
`longest_wall_ms` is the same by the clock on the wall, in which everything else on the machine has its share. All that
happened within one turn is in it, so it is an upper bound of what one event costs. Not watched: many clients that leave
at once, which are as many events within a turn. "garbage, overdue" is a full collection, which the service puts off
while many wait, unless its memory grows (service/runtime/gc_policy.py). On a machine at its limit clients pile up while
the service does not run, and then many are met in one turn.
"""

import functools
from collections.abc import Iterator

from benchmarks import scenarios
from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import process_id
from benchmarks.machine import pinned
from benchmarks.scenarios import Scenario, Scene
from benchmarks.start import SERVICE, firestore
from benchmarks.turning_service import turning_service
from benchmarks.turns import Holds

SETTINGS = {"window_size": 0, "listener_lease_s": 600.0, "fallback_rate": 1e9}
"""Nothing here is about freshness or the budget of direct reads, and a machine may be slow."""

MOST_ROUNDS = 3


def kinds(run: Run) -> dict[str, Scenario]:
    """Every scenario by name, in this order."""
    waiting, many = (500, 1_000) if run.quick else (scenarios.MANY, scenarios.MANY)
    return {
        "nothing": scenarios.rests,
        "polls": scenarios.polls,
        "100 IDs": scenarios.batch,
        "a page of 1,000": scenarios.asks("/status?limit=1000", b'"count":1000,', times=5),
        "a page filtered": scenarios.filtered,
        "products in the field, 1 MiB": scenarios.products_of_the_field,
        "1,000 products beside": scenarios.products_of_the_subcollection,
        "metrics": scenarios.asks("/metrics", b"process_status_", times=5),
        "/readyz": scenarios.asks("/readyz", b"ready", times=5),
        "/openapi.json": scenarios.asks("/openapi.json", b"openapi", times=5),
        "/ui": scenarios.asks("/ui", b"<html", times=5),
        "/events": scenarios.streams_all,
        "/events of a status": scenarios.streams_one_status,
        "/events resumed": scenarios.resumes,
        "a change": scenarios.changes(1, times=20),
        "a change with 1 MiB": scenarios.change_with_products,
        "500 changes at once": scenarios.changes(scenarios.A_COMMIT, times=3),
        f"{many:,} changes at once": scenarios.changes(many),
        f"{many:,} come and go": scenarios.come_and_go(many),
        f"{waiting:,} long polls": scenarios.waits("long_polls", waiting),
        f"{waiting:,} event streams": scenarios.waits("event_streams", waiting),
        "an audit": scenarios.requests("audit"),
        "garbage": scenarios.requests("collect_garbage"),
        "RESET": scenarios.reset,
        "a new stream": scenarios.reconnect,
        "a resync": scenarios.requests("resync"),
        f"garbage, overdue, {waiting:,} waiting": scenarios.while_waiting(
            waiting, scenarios.requests("collect_garbage")
        ),
        f"a new stream, {waiting:,} waiting": scenarios.while_waiting(waiting, scenarios.reconnect),
    }


def parts(run: Run) -> Iterator[Part]:
    for held in [10_000] if run.quick else [10_000, 100_000]:
        with firestore(run, held) as database:
            scenarios.furnish(database)
            with pinned(run.cores.server):
                child = turning_service(database.ask("host"), **SETTINGS)
                child.__enter__()
            try:
                yield from _parts(run, Scene(database, child, held))
            finally:
                child.__exit__()


def _parts(run: Run, scene: Scene) -> Iterator[Part]:
    yield Part(f"{scene.held:,} held, first load", {SERVICE: functools.partial(_first_load, scene)}, 1)
    for name, scenario in kinds(run).items():
        once = functools.partial(longest, run, scene, scenario)
        yield Part(f"{scene.held:,} held, {name}", {SERVICE: once}, 1)


def _first_load(scene: Scene) -> Figures:
    scene.service.ask("start", scene.held + 2)  # which watches from when it listens
    scenarios.get(scene, f"/status/{process_id(0)}")
    return _figures([scene.service.ask("turns")])


def longest(run: Run, scene: Scene, scenario: Scenario) -> Figures:
    """Over some rounds. Raises: NotMeasured."""
    found = []
    with pinned(run.cores.loader):
        for _ in range(min(run.rounds, MOST_ROUNDS)):
            scene.service.ask("watch_turns")
            with scene.afterwards:
                scenario(scene)
                found.append(scene.service.ask("turns"))
    return _figures(found)


def _figures(found: list[Holds]) -> Figures:
    return {
        "longest_cpu_ms": max(each.cpu_ms for each in found),
        "longest_wall_ms": max(each.wall_ms for each in found),
        "turns": sum(each.turns for each in found),
    }


BENCHMARK = Benchmark(
    "loop", "How long does any single event hold the event loop?", ("longest_cpu_ms", "longest_wall_ms"), parts
)
