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
    propagation,
    watchers,
    workers,
)

_MODULES = (hit, miss, mixed, propagation, cost, workers, watchers, listener, loop, memory, list, floods, heartbeat)
BENCHMARKS: dict[str, Benchmark] = {each.BENCHMARK.name: each.BENCHMARK for each in _MODULES}
