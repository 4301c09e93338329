"""`/stats` of a whole service, on both listeners: equal to Firestore's own counts, on either way of answering."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import grpc
import pytest
from google.cloud.firestore_v1 import AsyncClient
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, firestore_client, running_service, version_of
from tests.waiting import until_async

T0 = datetime(2026, 11, 23, tzinfo=UTC)
POINTS = int(os.environ.get("STATS_POINTS", "8"))
STATUSES = ("running", "completed", "failed", "queued")


async def counted_by_firestore(client: AsyncClient) -> dict[str, int]:
    counts = {}
    for status in STATUSES:
        query = client.collection(COLLECTION).where(filter=FieldFilter("status", "==", status))
        ((result,),) = await query.count().get()  # type: ignore[call-arg] # its overloads are wrong
        counts[status] = int(result.value)
    return {status: count for status, count in counts.items() if count}


async def test_the_counts_equal_those_of_firestore_after_each_write(
    local_firestore: BackgroundFirestore, project: str, listener_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    serving = running_service(local_firestore.host, project, listener=listener_kind)
    async with firestore_client(project) as client, serving as running:
        await running.synced()
        for number in range(12):
            process_id, status = f"p{number % 5}", STATUSES[number * 7 % 4]
            times = {"start_time": T0, "end_time": T0 + timedelta(seconds=number)}
            document = client.collection(COLLECTION).document(process_id)
            await running.holds(process_id, version_of(await document.set({"status": status, **times})))
            answer = await running.get("/stats")
            assert answer.headers["X-Cache"] == "HIT"
            assert answer.json()["by_status"] == await counted_by_firestore(client)
        await answers_alike(running, is_strong=listener_kind == "stream")


@pytest.mark.thorough
async def test_the_counts_equal_those_of_firestore_under_load_and_faults(
    local_firestore: BackgroundFirestore, project: str, listener_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    rng = Random(int(os.environ.get("STATS_SEED", "1")))
    serving = running_service(local_firestore.host, project, listener=listener_kind)
    async with firestore_client(project) as client, serving as running, polling(running):
        await running.synced()
        for point in range(POINTS):
            strike(rng, local_firestore)
            version = await write_some(rng, client, point)
            await running.holds("last", version)
            await until_async(lambda: is_a_hit(running), "a hit again")
            assert (await running.get("/stats")).json()["by_status"] == await counted_by_firestore(client)


async def write_some(rng: Random, client: AsyncClient, point: int) -> int:
    """Commit some processes, some deletions, and the process `last`, which differs each time. Returns its version."""
    batch = client.batch()
    for number in rng.sample(range(40), rng.randrange(9)):
        document = client.collection(COLLECTION).document(f"p{number}")
        if rng.random() < 0.2:
            batch.delete(document)
        else:
            batch.set(document, {"status": rng.choice(STATUSES), "start_time": T0 + timedelta(seconds=number)})
    last = {"status": rng.choice(STATUSES), "start_time": T0, "products_processed": point}
    batch.set(client.collection(COLLECTION).document("last"), last)
    return version_of((await batch.commit())[-1])


def strike(rng: Random, firestore: BackgroundFirestore) -> None:
    """One fault, or none."""
    faults = firestore.faults
    some: list[Callable[[], object]] = [
        lambda: faults.end_streams(grpc.StatusCode.UNAVAILABLE).release(),
        lambda: faults.remove_targets(grpc.StatusCode.ABORTED),
        faults.send_reset,
        faults.send_existence_filter,
        faults.expire_tokens,
    ]
    if rng.random() < 0.5:
        rng.choice(some)()


async def is_a_hit(running: RunningService) -> bool:
    return (await running.get("/stats")).headers.get("X-Cache") == "HIT"


@asynccontextmanager
async def polling(running: RunningService) -> AsyncIterator[None]:
    """Clients that ask without a pause."""

    async def ask(path: str) -> None:
        while True:
            assert (await running.get(path)).status in (200, 404, 503)

    asking = [asyncio.create_task(ask(path)) for path in ("/stats", "/stats?status=failed", "/status/p1")]
    try:
        yield
        assert not any(task.done() for task in asking)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def answers_alike(running: RunningService, *, is_strong: bool) -> None:
    """What the handler answers, and what is answered without it."""
    quick = await running.get("/stats")
    strong = await running.get("/stats", headers={"Cache-Control": "no-cache"})
    if is_strong:
        assert (strong.status, strong.body, strong.headers["ETag"]) == (200, quick.body, quick.headers["ETag"])
    else:
        assert strong.status == 503  # only the other listener can prove that the model is current
    etag = quick.headers["ETag"]
    assert (await running.get("/stats", headers={"If-None-Match": etag})).status == 304
    assert (await running.get("/stats", headers={"If-Match": '"x"'})).status == 412
    assert (await running.request("HEAD", "/stats")).headers["Content-Length"] == str(len(quick.body))
    failed = (await running.get("/stats?status=failed&start_date=2026-01-01")).json()
    assert failed["by_status"] == {"failed": quick.json()["by_status"]["failed"]}
    by_minute = (await running.get("/stats?by_minute=2")).json()
    assert by_minute.pop("finished_by_minute")["counts"] == {}  # all ended long ago
    assert by_minute == quick.json()
    for wrong in ("limit=3", "by_minute=0", "by_minute=1441"):
        assert (await running.get(f"/stats?{wrong}")).status == 400
    assert (await running.request("POST", "/stats")).status == 405
