"""What does a strong read from the model cost, and does it ever miss a commit? `python -m benchmarks.strong_reads`

Commits over gRPC and, as soon as each is acknowledged, asks the listener to confirm; the model must hold the commit
then. Runs against a local Firestore of its own, or the server that `--host` names (Google's emulator). Fails (exit
code 1) at the first miss.
"""

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import grpc
import grpc.aio
import uvloop
from google.cloud.firestore_v1.types import CommitRequest, CommitResponse

from listeners.endpoints import EmulatorEndpoint
from listeners.events import Event, Replaced
from listeners.field_paths import Projection, parse_field_path
from listeners.listener import CannotConfirm
from listeners.stream.listen_stream import StreamListener
from listeners.supervisor import Supervisor
from listeners.window import Ordering, Window
from service.local_firestore import LocalFirestore, messages, plain

PROJECT = "demo-strong-reads"
READERS = 10


class Model:
    """ID → status, and how long probes took."""

    def __init__(self) -> None:
        self.statuses: dict[str, object] = {}
        self.probes_s: list[float] = []
        self.reopened = 0

    async def apply(self, event: Event) -> None:
        if isinstance(event, Replaced):
            self.statuses = {document.id: document.fields["status"] for document in event.documents}
            return
        for removal in getattr(event, "removals", ()):
            self.statuses.pop(removal.id, None)
        for document in getattr(event, "upserts", ()):
            self.statuses[document.id] = document.fields["status"]

    def documents_read(self, count: int) -> None:
        pass

    def probe_answered(self, seconds: float) -> None:
        self.probes_s.append(seconds)

    def state_changed(self, state: object, reason: str) -> None:
        pass

    def restarted(self, reason: str) -> None:
        self.reopened += 1


async def commit(call: Any, document_id: str, status: str) -> None:
    database = f"projects/{PROJECT}/databases/(default)"
    request = messages.CommitRequest(database=database)
    update = request.writes.add().update
    update.name = f"{database}/documents/jobs/{document_id}"
    plain.encode_fields({"status": status, "start_time": datetime(2024, 1, 1, tzinfo=UTC)}, update.fields)
    await call(request, metadata=EmulatorEndpoint.metadata)


async def read_strongly(call: Any, supervisor: Supervisor, model: Model, name: str, tries: int) -> list[float]:
    """How long each confirmation took."""
    took_s: list[float] = []
    while len(took_s) < tries:
        status = str(len(took_s))
        await commit(call, name, status)
        asked_at = time.monotonic()
        try:
            as_of = await supervisor.confirm()
        except CannotConfirm:
            await asyncio.sleep(0.005)
            continue
        took_s.append(time.monotonic() - asked_at)
        assert as_of >= asked_at, "a proof older than the question"
        assert model.statuses.get(name) == status, f"missed: {name} {status}"
    return took_s


async def round_trips(supervisor: Supervisor, at_once: int, rounds: int) -> float:
    """Median time, in ms, until all who ask at once are answered."""
    took_s = []
    for _ in range(rounds):
        asked_at = time.monotonic()
        await asyncio.gather(*(supervisor.confirm() for _ in range(at_once)))
        took_s.append(time.monotonic() - asked_at)
    return statistics.median(took_s) * 1000


@contextlib.asynccontextmanager
async def firestore(host: str | None) -> AsyncIterator[str]:
    if host:
        yield host
        return
    async with LocalFirestore() as server:
        yield server.host


async def measure(host: str | None, tries: int) -> None:
    model = Model()
    async with firestore(host) as address, grpc.aio.insecure_channel(address) as channel:
        listener = StreamListener(
            Window(PROJECT, "(default)", "jobs", Ordering("start_time", "timestamp"), 100),
            EmulatorEndpoint(address),
            projection=Projection([parse_field_path("status")]),
            clock=time.monotonic,
            observer=model,
            rng=random.Random(1),
            probe_interval_s=1.0,
        )
        supervisor = Supervisor(listener, model.apply, model, clock=time.monotonic)
        running = asyncio.create_task(supervisor.run())
        call = channel.unary_unary(
            "/google.firestore.v1.Firestore/Commit",
            request_serializer=CommitRequest.pb().SerializeToString,
            response_deserializer=CommitResponse.pb().FromString,
        )
        readers = (read_strongly(call, supervisor, model, f"mine-{n}", tries // READERS) for n in range(READERS))
        took_s = sorted(chain.from_iterable(await asyncio.gather(*readers)))
        p50, p99 = took_s[len(took_s) // 2] * 1000, took_s[len(took_s) * 99 // 100] * 1000
        print(f"{len(took_s)} strong reads by {READERS} readers: none missed, p50 {p50:.1f} ms, p99 {p99:.1f} ms,")
        print(f"{len(model.probes_s)} probes, {model.reopened} streams reopened")
        one, hundred = await round_trips(supervisor, 1, 100), await round_trips(supervisor, 100, 100)
        print(f"alone {one:.2f} ms; 100 at once {hundred:.2f} ms: {hundred / one:.2f} times")
        running.cancel()
        await asyncio.wait({running})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--host", help="host:port of an emulator; a local Firestore otherwise")
    options = parser.parse_args()
    try:
        uvloop.run(measure(options.host, options.tries))
    except AssertionError as missed:
        sys.exit(str(missed))


if __name__ == "__main__":
    main()
