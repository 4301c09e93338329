"""How much memory does a held process take?

`bytes_per_process`: resident memory of the whole service beyond that of one that holds nothing, so indexes, rendered
bytes, what the listener remembers and what the allocator wastes are all in it. `traced_bytes_per_process`: what the
read model itself allocated, by tracemalloc. The baseline is Redis with the rendered bytes alone, which has no lists.
"""

import asyncio
import functools
import tracemalloc
from collections.abc import Iterator
from multiprocessing.connection import Connection

from benchmarks.baselines.start import REDIS, fill_redis, redis
from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.firestore import PROJECT, process_fields, process_id
from benchmarks.processes import Child, answer_requests
from benchmarks.start import SERVICE, firestore, held, service
from listeners.events import Changed, Document, Replaced
from service.schema.compiled import Schema
from service.schema.schema_file import default_schema

MIB = 2**20
MOST_TRACED = 100_000
"""tracemalloc makes allocations several times as slow."""


def parts(run: Run) -> Iterator[Part]:
    with firestore(run, 0) as database, service(run, database.ask("host"), 0, WINDOW_SIZE="0") as empty:
        empty_bytes = empty.memory_bytes()
    missing = REDIS.missing()
    for count in [10_000] if run.quick else [10_000, 100_000, 1_000_000]:
        sides = {SERVICE: functools.partial(_service, run, count, empty_bytes)}
        if not missing:
            sides["Redis"] = functools.partial(_redis, run, count)
        yield Part(f"{count:,} held", sides, 1, {"Redis": missing} if missing else {})


def _service(run: Run, count: int, empty_bytes: int) -> Figures:
    loaded = held(run, count)
    figures = {
        "bytes_per_process": (loaded.resident_bytes - empty_bytes) / count,
        "resident_mib": loaded.resident_bytes / MIB,
        "most_resident_mib": loaded.most_resident_bytes / MIB,
        "loaded_s": loaded.loaded_s,
    }
    if count <= MOST_TRACED:
        with Child(_model_main, name="read model") as model:
            figures["traced_bytes_per_process"] = model.ask("traced", count) / count
    return figures


def _redis(run: Run, count: int) -> Figures:
    from redis import Redis

    summary, _ = Schema(default_schema()).summarize(process_id(0), 1, process_fields(0, 0))
    with redis(run) as server, Redis(host="127.0.0.1", port=server.port) as client:
        before = int(client.info("memory")["used_memory"])
        fill_redis(server.port, [process_id(number) for number in range(count)], summary.body)
        bytes_per_process = (int(client.info("memory")["used_memory"]) - before) / count
    return {"bytes_per_process": bytes_per_process}


# -- the read model alone, in a process of its own


def _model_main(pipe: Connection) -> None:
    asyncio.run(answer_requests(pipe, {"traced": _traced}))


async def _traced(count: int) -> int:
    """Bytes that the read model of a service holds for so many processes."""
    from service.app import Service
    from service.settings import Settings

    model = Service(Settings(project_id=PROJECT, firestore_emulator_host="127.0.0.1:1", window_size=0)).model
    await model.apply(Replaced([], 1, 0.0))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for start in range(0, count, 100):
        documents = [Document(process_id(n), n + 1, process_fields(n, 0)) for n in range(start, start + 100)]
        await model.apply(Changed(documents, [], start + 2, 0.0))
    after, _ = tracemalloc.get_traced_memory()
    return after - before


BENCHMARK = Benchmark(
    "memory",
    "How much memory does a held process take?",
    ("bytes_per_process", "traced_bytes_per_process", "resident_mib", "most_resident_mib", "loaded_s"),
    parts,
)
