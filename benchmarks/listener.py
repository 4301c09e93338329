"""What does a change cost, and a first load? Both listeners side by side, against the number of documents held.

The local Firestore and the service run in processes of their own; the service's CPU is the operating system's account
of its process, so decoding, rendering and indexing are all in it. Runs alternate between the listeners.
Run it with `python -m benchmarks.listener [--quick] [--json FILE]`.
"""

import argparse
import json
import statistics
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.processes import Child, firestore_process, service_process
from benchmarks.statistics import percentile, spread

CHANGES = {"stream": 2000, "on_snapshot": 12}
"""Changes measured in one run: enough to outweigh the noise, few enough to be waited for."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def one_run(kind: str, documents: int, *, with_changes: bool = True) -> dict[str, float]:
    """Load `documents` and apply changes to them, one commit each; CPU seconds of the service's process."""
    with firestore_process() as firestore:
        firestore.ask("seed", documents)
        host = firestore.ask("host")
        with service_process(host, listener=kind, window_size=2 * documents, listener_lease_s=600) as service:
            load_cpu_s, load_s = service.ask("start", documents, timeout_s=900)
            say(f"  {kind:<12} {documents:>7} documents: loaded in {load_s:.2f} s, {load_cpu_s:.2f} s of CPU")
            measured = {"load_cpu_s": load_cpu_s, "load_s": load_s}
            if with_changes:
                measured["change_cpu_ms"] = _cost_of_a_change(firestore, service, kind, documents)
            return measured


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
    say(f"  {kind:<12} {documents:>7} documents: {cost_ms:.3f} ms of CPU per change")
    return cost_ms


def cost_by_size(sizes: list[int], slow_limit: int, repeats: int) -> dict[str, Any]:
    """Of each listener at each size; past `slow_limit` documents once, and without on_snapshot's changes."""
    table: dict[str, Any] = {}
    for documents in sizes:
        runs: dict[str, list[dict[str, float]]] = {"stream": [], "on_snapshot": []}
        for _ in range(repeats if documents <= slow_limit else 1):
            for kind, of_kind in runs.items():
                if kind == "on_snapshot" and documents > 50_000:
                    continue  # its load grows with the square of the documents: this would take most of an hour
                of_kind.append(one_run(kind, documents, with_changes=kind == "stream" or documents <= slow_limit))
        table[str(documents)] = {
            kind: {name: spread([run[name] for run in of_kind]) for name in of_kind[0]}
            for kind, of_kind in runs.items()
            if of_kind
        }
    return table


def keeping_up(kind: str, documents: int, per_second: int, seconds: float) -> dict[str, float]:
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
        "changes_per_second": len(lags) / took_s,
        "lag_ms_p50": percentile(lags, 0.5) * 1000,
        "lag_ms_p99": percentile(lags, 0.99) * 1000,
        "lag_ms_max": max(lags) * 1000,
        "cores_used": (after - before) / took_s,
        "gets_answered_per_second": gets[0] / took_s,
    }


def _poll(url: str, gets: list[int], stop: threading.Event) -> None:
    """A hundred polls a second, one after the other."""
    while not stop.wait(0.01):
        with urllib.request.urlopen(f"{url}/status/import-{gets[0] % 1000:08}") as response:  # noqa: S310 - our own
            response.read()
        gets[0] += 1


def strong_reads(documents: int) -> dict[str, float]:
    """One probe's round trip, and that of a hundred strong reads at the same time."""
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
    return {"one_ms": one * 1000, "hundred_ms": hundred * 1000, "ratio": hundred / one}


def measure(*, quick: bool) -> dict[str, Any]:
    sizes = [1000, 10_000] if quick else [1000, 10_000, 50_000, 100_000]
    say("cost of a load and of a change")
    table = cost_by_size(sizes, slow_limit=10_000, repeats=1 if quick else 3)
    say("keeping up with 1,000 changes a second")
    kept_up = keeping_up("stream", 10_000, 1000, 5 if quick else 15)
    say("strong reads")
    return {"by_documents": table, "keeping_up": kept_up, "strong_reads": strong_reads(10_000), "ratios": ratios(table)}


def ratios(table: dict[str, Any]) -> dict[str, float]:
    """What the listeners cost relative to each other and to themselves at another size, by medians."""
    found = {}
    for documents, kinds in table.items():
        for name in ("load_cpu_s", "change_cpu_ms"):
            if name in kinds.get("on_snapshot", {}):
                ratio = kinds["on_snapshot"][name]["median"] / kinds["stream"][name]["median"]
                found[f"on_snapshot/stream {name} at {documents}"] = ratio
    costs = {documents: kinds["stream"]["change_cpu_ms"]["median"] for documents, kinds in table.items()}
    sizes = sorted(costs, key=int)
    found[f"stream change_cpu_ms at {sizes[-1]}/{sizes[0]}"] = costs[sizes[-1]] / costs[sizes[0]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one run of each")
    parser.add_argument("--json", type=Path, help="write the result there too")
    options = parser.parse_args()
    result = json.dumps(measure(quick=options.quick), indent=2)
    if options.json:
        options.json.write_text(result + "\n")
    print(result)


if __name__ == "__main__":
    main()
