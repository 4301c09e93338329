"""`/stats` of a whole service, on both listeners: equal to Firestore's own counts, on either way of answering."""

from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.firestore_v1 import AsyncClient
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, firestore_client, running_service, version_of

T0 = datetime(2026, 11, 23, tzinfo=UTC)
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
