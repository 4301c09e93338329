"""Does the local Firestore keep up? Loading through Listen, and writes with a listener attached.

The server runs in a process of its own, writer and listener in this one. Prints one JSON object:
how fast the listener loads `--documents`, whether `--writes-per-second` (in commits of `--batch`) go in with nothing
falling behind, what that costs the server in CPU, and how many writes a second go in at most.
Run it with `python -m benchmarks.local_firestore`.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import grpc.aio

from service.local_firestore import messages, plain
from service.local_firestore.server import LocalFirestore

DATABASE = "projects/demo-benchmark/databases/(default)"
COLLECTION = "webServiceLogs"
_PREFIX = "/google.firestore.v1.Firestore/"


def _serve(ready: Connection) -> None:
    asyncio.run(_serve_until_told(ready))


async def _serve_until_told(ready: Connection) -> None:
    async with LocalFirestore() as server:
        ready.send(server.host)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, ready.recv) == "cpu":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            ready.send((usage.ru_utime + usage.ru_stime, usage.ru_maxrss))


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def a_process(number: int, processed: int) -> dict[str, object]:
    return {
        "status": "running",
        "start_time": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.{number:06}Z",
        "last_updated": time.time(),
        "csv_url": f"https://storage.example.com/imports/{number:08}.csv",
        "products_processed": processed,
        "products_failed": 0,
    }


def write_of(number: int, processed: int) -> Any:
    write = messages.Write()
    write.update.name = f"{DATABASE}/documents/{COLLECTION}/process-{number:08}"
    plain.encode_fields(a_process(number, processed), write.update.fields)
    return write


@dataclass
class Listener:
    """Reads one Listen stream, knows what arrived and when."""

    channel: grpc.aio.Channel
    documents: int = 0
    read_time_us: int = 0
    behind_s: list[float] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        call = self.channel.stream_stream(
            _PREFIX + "Listen",
            request_serializer=messages.ListenRequest.SerializeToString,
            response_deserializer=messages.ListenResponse.FromString,
        )()
        request = messages.ListenRequest(database=DATABASE)
        query = request.add_target.query
        query.parent = DATABASE + "/documents"
        query.structured_query.from_.add(collection_id=COLLECTION)
        order = query.structured_query.order_by.add(direction=2)
        order.field.field_path = "start_time"
        query.structured_query.limit.value = 1_000_000
        request.add_target.target_id = 2
        await call.write(request)
        try:
            await self._follow(call)
        finally:
            self.read_time_us = -1
            self.reached.set()

    async def _follow(self, call: Any) -> None:
        async for response in call:
            kind = response.WhichOneof("response_type")
            if kind == "document_change":
                self.documents += 1
            elif kind == "target_change" and not response.target_change.target_ids:
                self.read_time_us = messages.time_of(response.target_change.read_time)
                self.behind_s.append(time.time() - self.read_time_us / 1e6)
                self.reached.set()

    async def until(self, time_us: int) -> None:
        while self.read_time_us < time_us:
            if self.read_time_us < 0:
                raise RuntimeError("the listener's stream has ended")
            self.reached.clear()
            await self.reached.wait()


class Writer:
    """Commits batches of changes to documents 0 … documents-1, in turn."""

    def __init__(self, channel: grpc.aio.Channel, documents: int, batch: int) -> None:
        self._commit = channel.unary_unary(
            _PREFIX + "Commit",
            request_serializer=messages.CommitRequest.SerializeToString,
            response_deserializer=messages.CommitResponse.FromString,
        )
        self._documents = documents
        self._batch = batch
        self.written = 0
        self.last_us = 0

    async def commit(self) -> None:
        numbers = range(self.written, self.written + self._batch)
        self.written += self._batch
        writes = [write_of(number % self._documents, number) for number in numbers]
        answer = await self._commit(messages.CommitRequest(database=DATABASE, writes=writes))
        self.last_us = max(self.last_us, messages.time_of(answer.commit_time))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


async def paced(writer: Writer, batch: int, per_second: int, seconds: float) -> float:
    """Commit at a steady pace; return the largest delay against the schedule."""
    interval = batch / per_second
    started = time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    worst = 0.0
    for turn in range(int(seconds / interval)):
        delay = started + turn * interval - time.perf_counter()
        worst = max(worst, -delay)
        if delay > 0:
            await asyncio.sleep(delay)
        task = asyncio.create_task(writer.commit())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return worst


async def flat_out(writer: Writer, seconds: float, in_flight: int = 4) -> None:
    end = time.perf_counter() + seconds

    async def keep_committing() -> None:
        while time.perf_counter() < end:
            await writer.commit()

    await asyncio.gather(*(keep_committing() for _ in range(in_flight)))


async def measure(host: str, server: Connection, options: argparse.Namespace) -> dict[str, object]:
    def server_cpu_s() -> float:
        server.send("cpu")
        return float(server.recv()[0])

    async with grpc.aio.insecure_channel(host) as channel, grpc.aio.insecure_channel(host) as other:
        writer = Writer(channel, options.documents, options.batch)
        progress(f"writing {options.documents} documents …")
        while writer.written < options.documents:
            await writer.commit()

        progress("loading them through Listen …")
        started = time.perf_counter()
        listener = Listener(other)
        listening = asyncio.create_task(listener.run())
        await listener.until(writer.last_us)
        load_s = time.perf_counter() - started
        loaded = listener.documents

        progress(f"{options.writes_per_second} writes a second for {options.seconds} s …")
        listener.documents = writer.written = 0
        listener.behind_s.clear()
        cpu_before, started = server_cpu_s(), time.perf_counter()
        late_s = await paced(writer, options.batch, options.writes_per_second, options.seconds)
        written_in_s = time.perf_counter() - started
        await listener.until(writer.last_us)
        paced_s, paced_cpu_s = time.perf_counter() - started, server_cpu_s() - cpu_before
        paced_written, paced_heard = writer.written, listener.documents
        behind_s = list(listener.behind_s)

        progress(f"as many as go in for {options.seconds} s …")
        listener.documents = writer.written = 0
        cpu_before, started = server_cpu_s(), time.perf_counter()
        await flat_out(writer, options.seconds)
        await listener.until(writer.last_us)
        flat_s, flat_cpu_s = time.perf_counter() - started, server_cpu_s() - cpu_before
        listening.cancel()
    server.send("cpu")
    max_rss_kb = server.recv()[1]
    return {
        "documents": loaded,
        "load_seconds": round(load_s, 3),
        "paced": {
            "writes_per_second": round(paced_written / written_in_s),
            "documents_written": paced_written,
            "documents_heard": paced_heard,
            "listener_behind_ms_p50": round(percentile(behind_s, 0.5) * 1000, 2),
            "listener_behind_ms_p99": round(percentile(behind_s, 0.99) * 1000, 2),
            "listener_behind_ms_max": round(max(behind_s) * 1000, 2),
            "caught_up_after_last_write_ms": round((paced_s - written_in_s) * 1000, 2),
            "writer_late_ms_max": round(late_s * 1000, 2),
            "server_cpu_percent": round(100 * paced_cpu_s / paced_s),
        },
        "at_most": {
            "writes_per_second": round(writer.written / flat_s),
            "documents_heard_per_second": round(listener.documents / flat_s),
            "server_cpu_percent": round(100 * flat_cpu_s / flat_s),
        },
        "server_max_rss_mib": max_rss_kb // 1024,
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--writes-per-second", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), name="local firestore")
    process.start()
    try:
        print(json.dumps(asyncio.run(measure(ours.recv(), ours, options)), indent=2))
    finally:
        ours.send("stop")
        process.join(10)


if __name__ == "__main__":
    main()
