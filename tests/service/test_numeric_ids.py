"""Numeric document IDs (`__id7__`): valid in every place, and in lists before all others, by number."""

from datetime import UTC, datetime

import pytest
from google.cloud.firestore_v1 import AsyncCollectionReference

from tests.service.event_source import event_source
from tests.service.running import RunningService, running_service, version_of

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
IDS = ("__id7__", "__id12__", "7", "12", "_id1__")
NEWEST_FIRST = ["_id1__", "7", "12", "__id12__", "__id7__"]
WINDOWS = [0, 4, 3, 10_000]


async def put_all(collection: AsyncCollectionReference) -> None:
    for process_id in IDS:
        await collection.document(process_id).set({"status": "running", "start_time": T0, "products": []})


async def test_ties_are_listed_as_firestore_lists_them_and_pages_go_on_behind(
    firestore_host: str, project: str, collection: AsyncCollectionReference, listener_kind: str
) -> None:
    await put_all(collection)
    straight = await collection.order_by("start_time", direction="DESCENDING").get()
    assert [document.id for document in straight] == NEWEST_FIRST
    for window in WINDOWS:
        async with running_service(firestore_host, project, listener=listener_kind, window_size=window) as running:
            await running.synced()
            shown, query = [], "?limit=2"
            for _ in range(3):
                page = (await running.get(f"/status{query}")).json()
                shown.append([row["process_id"] for row in page["processes"]])
                query = f"?limit=2&page_token={page['next_page_token']}"
            assert shown == [NEWEST_FIRST[:2], NEWEST_FIRST[2:4], NEWEST_FIRST[4:]], window


@pytest.mark.parametrize("process_id", ["__id7__", "__id-5__"])
async def test_a_numeric_id_is_taken_in_every_place_and_spelling(
    running: RunningService, collection: AsyncCollectionReference, process_id: str
) -> None:
    document = {"status": "completed", "start_time": T0, "products": [{"sku": "A"}]}
    version = version_of(await collection.document(process_id).set(document))
    await running.holds(process_id, version)
    escaped = "".join(f"%{byte:02X}" for byte in process_id.encode())
    strong = {"Cache-Control": "no-cache"}

    for path in (process_id, escaped):
        assert (await running.get(f"/status/{path}")).json()["process_id"] == process_id
        assert (await running.get(f"/status/{path}", headers=strong)).headers["ETag"] == f'"v{version}"'
        with_products = await running.get(f"/status/{path}?include_products=1")
        assert with_products.json()["products"] == [{"sku": "A"}]
        waited = await running.get(f"/status/{path}?wait=1", headers={"If-None-Match": '"v1"'})
        assert (waited.status, waited.headers["ETag"]) == (200, f'"v{version}"')
        batch = await running.get(f"/status?process_id={path}&process_id=nobody")
        assert [row["process_id"] for row in batch.json()["processes"]] == [process_id]
        async with event_source(running, f"/status/{path}/events") as source:
            assert [event.data["process_id"] for event in await source.rest()] == [process_id]
    unheld = (await running.get("/status/__id8__", headers=strong)).json()
    assert unheld["message"] == "Process with ID __id8__ not found"
    for wrong in ("__id08__", "__id__", "__id9223372036854775808__"):
        assert (await running.get(f"/status/{wrong}")).status == 400
