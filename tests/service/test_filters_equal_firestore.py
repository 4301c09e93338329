"""Lists by the schema's filters and any order type: each equals the same query sent straight to Firestore."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference
from google.cloud.firestore_v1.base_query import FieldFilter

from listeners.window import OrderType
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import RunningService, running_service

FIRST_DAY = datetime(2026, 11, 1, tzinfo=UTC)
SCHEMA = """
collection = "webServiceLogs"
[order]
field = "when.at"
type = "{kind}"
[status]
names = {{ 0 = "queued", 1 = "running", done = "completed" }}
[answer]
status = "state.code"
[filters]
owner = "who.uid"
shard = {{ as = "integer" }}
"""
START, AFTER_END = datetime(2026, 11, 5, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC)
BOUNDS: dict[OrderType, tuple[Any, Any, Any]] = {
    "timestamp": (datetime(1, 1, 1, tzinfo=UTC), START, AFTER_END),
    "string": ("", "2026-11-05", "2026-11-11"),
    "milliseconds": (float("-inf"), START.timestamp() * 1000, AFTER_END.timestamp() * 1000),
    "seconds": (float("-inf"), START.timestamp(), AFTER_END.timestamp()),
}
"""The least value, and those that start_date=2026-11-05 and end_date=2026-11-10 stand for, written out by hand."""
RAW_STATUSES = {"queued": ["queued", "0", 0], "running": ["running", "1", 1], "completed": ["completed", "done"]}


def generated_documents(count: int) -> dict[str, dict[str, Any]]:
    """Ties, missing fields and odd types, times of all four kinds."""
    rng = random.Random(11)
    documents: dict[str, dict[str, Any]] = {}
    for number in range(count):
        moment = FIRST_DAY + timedelta(hours=rng.randrange(300), microseconds=rng.choice([0, 0, 500_000]))
        kinds = [moment, moment.isoformat().replace("+00:00", "Z"), moment.timestamp(), int(moment.timestamp()) * 1000]
        odd = [None, True, float("nan"), float("inf"), float("-inf"), [1], "soon", -1, {"at": 1}, ...]
        fields: dict[str, Any] = {
            "when": {"at": rng.choice(kinds if rng.random() < 0.9 else odd)},
            "state": {"code": rng.choice([0, 0.0, 1, "1", "running", "done", "completed", "queued", None, True, 7])},
            "who": {"uid": rng.choice(["ann", "ann", "bob", "Ann", "", 5, None, ["ann"], ...])},
            "shard": rng.choice([1, 1, 1.0, 2, 1.5, float("nan"), True, "1", None, -(2**63), ...]),
        }
        for name, value in list(fields.items()):
            if (isinstance(value, dict) and ... in value.values()) or value is ... or rng.random() < 0.02:
                del fields[name]
        documents[f"p{rng.randrange(10**6):06}-{number}"] = fields
    return documents


async def write(
    client: AsyncClient, collection: AsyncCollectionReference, documents: dict[str, dict[str, Any]]
) -> None:
    items = list(documents.items())
    for begin in range(0, len(items), 250):
        batch = client.batch()
        for process_id, fields in items[begin : begin + 250]:
            batch.set(collection.document(process_id), fields)
        await batch.commit()


def some_questions(count: int) -> list[dict[str, str]]:
    """Combinations of filters, bounds and limits: each with an owner or a shard, some with both and a status."""
    every = [
        {
            name: value
            for name, value in zip(("owner", "shard", "status", "start_date", "end_date", "limit"), values, strict=True)
            if value
        }
        for values in itertools.product(
            ["", "ann", "bob", "nobody"],
            ["", "1", "-9223372036854775808"],
            ["", "queued", "running", "completed"],
            ["", "2026-11-05"],
            ["", "2026-11-10"],
            ["1", "10", "1000"],
        )
        if values[0] or values[1]
    ]
    return [{"owner": "ann", "limit": "1"}, *random.Random(3).sample(every, count)]


def straight_query(collection: AsyncCollectionReference, kind: OrderType, asked: dict[str, str]) -> Any:
    """The same question in Firestore's own terms."""
    least, start, after_end = BOUNDS[kind]
    conditions: list[tuple[str, str, Any]] = [("when.at", ">=", start if "start_date" in asked else least)]
    if "end_date" in asked:
        conditions.append(("when.at", "<", after_end))
    if "owner" in asked:
        conditions.append(("who.uid", "==", asked["owner"]))
    if "shard" in asked:
        conditions.append(("shard", "==", int(asked["shard"])))
    if "status" in asked:
        conditions.append(("state.code", "in", RAW_STATUSES[asked["status"]]))
    query: Any = collection
    for condition in conditions:
        query = query.where(filter=FieldFilter(*condition))
    return query.order_by("when.at", direction="DESCENDING").limit(int(asked["limit"]))


async def paged(running: RunningService, asked: dict[str, str]) -> list[str]:
    """The same list in pages."""
    ids: list[str] = []
    token = ""
    while True:
        query = "&".join(f"{name}={value}" for name, value in {**asked, "limit": "97"}.items())
        body = (await running.get(f"/status?{query}{token}")).json()
        ids += [row["process_id"] for row in body["processes"]]
        if body["next_page_token"] is None:
            return ids
        token = f"&page_token={body['next_page_token']}"


async def sources_of(running: RunningService, expected: list[tuple[dict[str, str], list[str]]], kind: str) -> set[str]:
    """Asks them all; each must have its IDs."""
    sources = set()
    for asked, ids in expected:
        response = await running.get("/status?" + "&".join(f"{name}={value}" for name, value in asked.items()))
        body = response.json()
        assert response.status == 200, body
        assert [row["process_id"] for row in body["processes"]] == ids, (kind, asked)
        sources.add(response.headers["X-Cache"])
        if asked["limit"] == "1000":
            assert await paged(running, asked) == ids, (kind, asked)
    return sources - {"CACHED"}


@pytest.mark.thorough
async def test_every_list_by_the_schemas_filters_equals_firestores_answer(
    firestore_host: str,
    local_firestore: BackgroundFirestore,
    project: str,
    client: AsyncClient,
    collection: AsyncCollectionReference,
    tmp_path: Path,
) -> None:
    is_local = firestore_host == local_firestore.host
    await write(client, collection, generated_documents(2000 if is_local else 300))
    found_any = 0
    kinds: list[OrderType] = list(BOUNDS) if is_local else ["timestamp", "seconds"]
    for kind in kinds:
        schema_file = tmp_path / f"{kind}.toml"
        schema_file.write_text(SCHEMA.format(kind=kind))
        expected = []
        for asked in some_questions(24 if is_local else 8):
            ids = [document.id for document in await straight_query(collection, kind, asked).get()]
            found_any += bool(ids)
            expected.append((asked, ids))
        for window, sources in ((50, {"HIT", "MISS"}), (10_000, {"HIT"})):
            async with running_service(
                firestore_host, project, schema_file=schema_file, window_size=window, fallback_rate=1e6
            ) as running:
                await running.synced()
                assert await sources_of(running, expected, kind) == sources, (kind, window)
    assert found_any > (48 if is_local else 6)


async def test_an_unknown_filter_is_refused_with_the_names_that_are_known(
    local_firestore: BackgroundFirestore, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    schema_file = tmp_path / "schema.toml"
    schema_file.write_text(SCHEMA.format(kind="timestamp"))
    async with running_service(local_firestore.host, project, schema_file=schema_file) as running:
        await running.synced()
        response = await running.get("/status?tenant=a")
        document = (await running.get("/openapi.json")).json()
    assert response.status == 400
    assert "limit, status, owner, shard, stalled, start_date" in response.json()["message"]
    assert {"owner", "shard"} <= {each["name"] for each in document["paths"]["/status"]["parameters"]}
