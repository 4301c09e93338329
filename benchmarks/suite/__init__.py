"""The benchmarks, one file each, in the order of a whole run. A new one: a file with a BENCHMARK, and its line here."""

from benchmarks.benchmark import Benchmark
from benchmarks.suite import (
    cost,
    floods,
    heartbeat,
    hit,
    list,  # noqa: A004 - a benchmark's name
    listener,
    loop,
    memory,
    miss,
    mixed,
    page,
    propagation,
    watchers,
    workers,
)

_SERVING = (hit, miss, mixed, propagation, cost, workers, watchers, listener, loop)
_MODULES = (*_SERVING, memory, list, page, floods, heartbeat)
BENCHMARKS: dict[str, Benchmark] = {each.BENCHMARK.name: each.BENCHMARK for each in _MODULES}
