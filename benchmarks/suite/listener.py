"""What does a change cost, and a first load? Both listeners side by side, against the number of documents held.

The local Firestore and the service run in processes of their own; the service's CPU is the operating system's account
of its process, so decoding, rendering and indexing are all in it.
"""

import functools
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator

from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import firestore_process, process_id
from benchmarks.measured_service import service_process
from benchmarks.processes import Child
from benchmarks.statistics import percentile

CHANGES = {"stream": 2000, "on_snapshot": 12}
"""Changes measured in one round: enough to outweigh the noise, few enough to be waited for."""

ON_SNAPSHOT_CHANGES, ON_SNAPSHOT_LOADS = 10_000, 50_000
"""How many documents its changes and its load are measured with: both grow with the square of the documents."""


def parts(run: Run) -> Iterator[Part]:
    for documents in [1000] if run.quick else [1000, 10_000, 50_000, 100_000]:
        kinds = ("stream", "on_snapshot") if documents <= ON_SNAPSHOT_LOADS else ("stream",)
        rounds = {kind: functools.partial(one_round, kind, documents) for kind in kinds}
        yield Part(f"{documents:,} held", rounds, 2 if documents <= ON_SNAPSHOT_CHANGES and not run.quick else 1)
    yield Part("1,000 changes/s", {"stream": lambda: keeping_up("stream", 10_000, 1000, 4 * run.seconds)}, 1)
    yield Part("strong reads", {"a hundred at once": strong_reads}, 1)


def one_round(kind: str, documents: int) -> Figures:
    """Load `documents` and apply changes to them, one commit each; CPU seconds of the service's process."""
    with firestore_process() as firestore:
        firestore.ask("seed", documents)
        host = firestore.ask("host")
        with service_process(host, listener=kind, window_size=2 * documents, listener_lease_s=600) as service:
            load_cpu_s, load_s = service.ask("start", documents, timeout_s=900)
            figures = {"load_cpu_s": load_cpu_s, "load_s": load_s}
            if kind == "stream" or documents <= ON_SNAPSHOT_CHANGES:
                figures["change_cpu_ms"] = _cost_of_a_change(firestore, service, kind, documents)
            return figures


def _cost_of_a_change(firestore: Child, service: Child, kind: str, documents: int) -> float:
    changes = CHANGES[kind]
    numbers = [number * 7919 % documents for number in range(changes)]
    before, _ = service.ask("usage")
    for number in numbers if kind == "on_snapshot" else []:
        service.ask("reached", firestore.ask("touch", [number]))  # one at a time: it would merge what piles up
    if kind == "stream":
        service.ask("reached", firestore.ask("touch", numbers))
    after, _ = service.ask("usage")
    cost_ms: float = (after - before) * 1000 / changes
    return cost_ms


def keeping_up(kind: str, documents: int, per_second: int, seconds: float) -> Figures:
    """Lag and CPU while `per_second` documents change and GETs are answered."""
    with firestore_process() as firestore:
        firestore.ask("seed", documents)
        with service_process(firestore.ask("host"), listener=kind, window_size=2 * documents) as service:
            service.ask("start", documents)
            service.ask("lags")
            gets, stop = [0], threading.Event()
            url = service.ask("url")
            poller = threading.Thread(target=_poll, args=(url, gets, stop))
            before, _ = service.ask("usage")
            started = time.perf_counter()
            poller.start()
            last = firestore.ask("paced", per_second, seconds, documents, 10)
            service.ask("reached", last)
            took_s = time.perf_counter() - started
            after, _ = service.ask("usage")
            stop.set()
            poller.join()
            lags = service.ask("lags")
    return {
        "changes_per_s": len(lags) / took_s,
        "lag_p50_ms": percentile(lags, 0.5) * 1000,
        "lag_p99_ms": percentile(lags, 0.99) * 1000,
        "lag_max_ms": max(lags) * 1000,
        "used_cores": (after - before) / took_s,
        "gets_per_s": gets[0] / took_s,
    }


def _poll(url: str, gets: list[int], stop: threading.Event) -> None:
    """A hundred polls a second, one after the other."""
    while not stop.wait(0.01):
        with urllib.request.urlopen(f"{url}/status/{process_id(gets[0] % 1000)}") as response:  # noqa: S310 - our own
            response.read()
        gets[0] += 1


def strong_reads() -> Figures:
    """One probe's round trip, and that of a hundred strong reads at the same time."""
    documents = 10_000
    with firestore_process() as firestore:
        firestore.ask("seed", documents)
        with service_process(firestore.ask("host"), listener="stream", window_size=2 * documents) as service:
            service.ask("start", documents)
            service.ask("confirm", 1, 50)
            alone, together = [], []
            for _ in range(10):
                alone += service.ask("confirm", 1, 20)
                together += service.ask("confirm", 100, 20)
    one, hundred = statistics.median(alone), statistics.median(together)
    return {"one_ms": one * 1000, "hundred_ms": hundred * 1000, "hundred_to_one": hundred / one}


BENCHMARK = Benchmark(
    "listener",
    "What do a change and a first load cost?",
    ("change_cpu_ms", "load_cpu_s", "load_s", "lag_p50_ms", "lag_p99_ms", "used_cores", "one_ms", "hundred_ms"),
    parts,
)
