"""A strong read never misses what was committed before it was asked for, and with `stream` costs no document read.

STRONG_READ_TRIES and RESET_DOCUMENTS make the run as long as one likes; `make strong-reads` tries ten thousand on each
server, and a RESET of 100,000 documents.

Google's emulator, asked for probes while others commit, now and then mixes the bytes of two messages (a whole gRPC
frame stands inside another). The stream is then replaced, and a strong read meanwhile is a direct one: as true, not
as cheap.
"""

import asyncio
import os
import time
from datetime import UTC, datetime

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, running_service, version_of
from tests.waiting import until

TRIES = int(os.environ.get("STRONG_READ_TRIES", "400"))
RESET_DOCUMENTS = int(os.environ.get("RESET_DOCUMENTS", "3000"))
WRITERS = 20
NO_CACHE = {"Cache-Control": "no-cache"}
ON_TOP_S = 0.5
"""Of HTTP, on a busy machine."""

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


async def test_a_strong_read_never_misses_an_acknowledged_commit(
    firestore_host: str,
    local_firestore: BackgroundFirestore,
    project: str,
    client: AsyncClient,
    collection: AsyncCollectionReference,
) -> None:
    async with running_service(firestore_host, project, listener="stream", fallback_rate=1e6) as running:
        await running.synced()
        shares = await asyncio.gather(*(_write_and_read(running, collection, writer) for writer in range(WRITERS)))
        assert sum(shares) == TRIES // WRITERS * WRITERS
        if firestore_host == local_firestore.host:
            assert await running.metric("firestore_reads_total", source="get") == 0
            assert await running.metric("lookups_total", source="hit") == sum(shares)


async def _write_and_read(running: RunningService, collection: AsyncCollectionReference, writer: int) -> int:
    """Commit, then ask at once, while all the others do the same."""
    process_id = f"import-{writer}"
    for count in range(TRIES // WRITERS):
        committed = {"status": "running", "start_time": T0, "products_processed": count}
        version = version_of(await collection.document(process_id).set(committed))
        reply = await running.get(f"/status/{process_id}", headers=NO_CACHE)
        assert reply.headers["Age"] == "0"
        assert reply.headers["ETag"] == f'"v{version}"', (writer, count)
    return TRIES // WRITERS


async def test_a_strong_list_holds_every_acknowledged_commit(
    firestore_host: str, project: str, client: AsyncClient, collection: AsyncCollectionReference, listener_kind: str
) -> None:
    async with running_service(firestore_host, project, listener=listener_kind) as running:
        await running.synced()
        for count in range(1, 21):
            await collection.document(f"import-{count}").set({"status": "running", "start_time": T0})
            reply = await running.get("/status?limit=1000", headers=NO_CACHE)
            assert reply.json()["count"] == count
            assert reply.headers["Age"] == "0"
            if listener_kind == "on_snapshot":
                assert reply.headers["X-Cache"] == "MISS"


@pytest.mark.thorough
async def test_strong_reads_are_answered_in_time_while_everything_is_sent_again(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each within FIRESTORE_TIMEOUT_S: by the probe where it comes back in half of that, else by a direct read."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    fields = {"status": "running", "start_time": T0}
    for first in range(0, RESET_DOCUMENTS, 5_000):
        numbers = range(first, min(first + 5_000, RESET_DOCUMENTS))
        local_firestore.commit(project, {f"{COLLECTION}/import-{number}": fields for number in numbers})
    async with running_service(local_firestore.host, project, listener="stream", window_size=0) as running:
        await until(running.service.model.is_trusted, "the model has synced", patience_s=20 + RESET_DOCUMENTS / 1_000)

        async def read_strongly(number: int) -> float:
            began = time.monotonic()
            reply = await running.get(f"/status/import-{number}", headers=NO_CACHE)
            assert (reply.status, reply.headers["Age"]) == (200, "0")
            return time.monotonic() - began

        took_s: list[float] = []
        for count in range(3):
            local_firestore.faults.send_reset()
            changed = {**fields, "products_processed": count}
            version = local_firestore.commit(project, {f"{COLLECTION}/import-0": changed})
            took_s += await asyncio.gather(*map(read_strongly, range(10)))
            await running.holds("import-0", version, patience_s=20 + RESET_DOCUMENTS / 1_000)
        assert max(took_s) <= running.service.settings.firestore_timeout_s + ON_TOP_S


async def test_max_age_is_kept_to(running: RunningService, collection: AsyncCollectionReference) -> None:
    await running.holds("import-1", version_of(await collection.document("import-1").set({"start_time": T0})))
    reply = await running.get("/status/import-1", headers={"Cache-Control": "max-age=3600"})
    assert reply.headers["X-Cache"] == "HIT"
    reply = await running.get("/status/import-1", headers={"Cache-Control": "max-age=0"})
    assert reply.headers["Age"] == "0"
