"""Every list, of every combination of filters, equals the same query sent straight to Firestore."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import running_service

pytestmark = pytest.mark.thorough

DOCUMENTS = 2000
FIRST_DAY = datetime(2026, 11, 1, tzinfo=UTC)
LIMITS = (1, 10, 1000)
STATUSES = ["running", "completed", "failed", "Running", ""]
StartTimeType = Literal["timestamp", "string"]


def generated_documents() -> dict[str, dict[str, Any]]:
    """Ties (a start time is shared by several), missing fields and odd types, both kinds of start_time."""
    rng = random.Random(7)
    documents: dict[str, dict[str, Any]] = {}
    for number in range(DOCUMENTS):
        moment = FIRST_DAY + timedelta(minutes=rng.randrange(400) * 60, microseconds=rng.choice([0, 0, 500_000, 1]))
        text = moment.isoformat().replace("+00:00", "Z")
        fields: dict[str, Any] = {
            "status": rng.choice(STATUSES),
            "start_time": rng.choices([moment, text, None, 17, True, "soon", [1], ...], [45, 45, 2, 2, 2, 2, 1, 1])[0],
            "products_processed": rng.choice([number, float(number), "many", None]),
        }
        if rng.random() < 0.05:
            fields["status"] = rng.choice([None, 5, ["running"]])
        documents[f"p{rng.randrange(10**6):06}-{number}"] = {
            name: value for name, value in fields.items() if value is not ... and rng.random() > 0.02
        }
    return documents


@pytest.fixture
async def many(collection: AsyncCollectionReference, client: AsyncClient) -> dict[str, dict[str, Any]]:
    documents = generated_documents()
    for chunk in _chunks(documents):
        batch = client.batch()
        for process_id, fields in chunk:
            batch.set(collection.document(process_id), fields)
        await batch.commit()
    return documents


def _chunks(documents: dict[str, Any], size: int = 250) -> list[list[tuple[str, Any]]]:
    items = list(documents.items())
    return [items[start : start + size] for start in range(0, len(items), size)]


def filter_combinations() -> list[dict[str, str]]:
    statuses = [None, "running", "Running", "nobody"]
    starts = [None, "2026-11-05", "2026-11-16T12:00:00Z", "2026-11-16T14:00:00%2B02:00"]
    ends = [None, "2026-11-10", "2026-11-16T12:00:00Z", "2026-11-16T12:00:00.5Z"]
    names = ("status", "start_date", "end_date")
    return [
        {name: value for name, value in zip(names, values, strict=True) if value is not None}
        for values in itertools.product(statuses, starts, ends)
    ]


def straight_query(collection: AsyncCollectionReference, kind: StartTimeType, filters: dict[str, str]) -> Any:
    """The same question in Firestore's own terms, written out by hand."""
    bounds: dict[StartTimeType, dict[str, tuple[str, Any]]] = {
        "timestamp": {
            "": (">=", datetime(1, 1, 1, tzinfo=UTC)),
            "2026-11-05": (">=", datetime(2026, 11, 5, tzinfo=UTC)),
            "2026-11-16T12:00:00Z": (">=", datetime(2026, 11, 16, 12, tzinfo=UTC)),
            "2026-11-16T14:00:00%2B02:00": (">=", datetime(2026, 11, 16, 12, tzinfo=UTC)),
            "-2026-11-10": ("<", datetime(2026, 11, 11, tzinfo=UTC)),
            "-2026-11-16T12:00:00Z": ("<=", datetime(2026, 11, 16, 12, tzinfo=UTC)),
            "-2026-11-16T12:00:00.5Z": ("<=", datetime(2026, 11, 16, 12, 0, 0, 500_000, tzinfo=UTC)),
        },
        "string": {
            "": (">=", ""),
            "2026-11-05": (">=", "2026-11-05"),
            "2026-11-16T12:00:00Z": (">=", "2026-11-16T12:00:00"),
            "2026-11-16T14:00:00%2B02:00": (">=", "2026-11-16T12:00:00"),
            "-2026-11-10": ("<", "2026-11-11"),
            "-2026-11-16T12:00:00Z": ("<=", "2026-11-16T12:00:00Z"),
            "-2026-11-16T12:00:00.5Z": ("<=", "2026-11-16T12:00:00.5Z"),
        },
    }
    table = bounds[kind]
    query: Any = collection
    conditions = [table[filters.get("start_date", "")]]
    if "end_date" in filters:
        conditions.append(table["-" + filters["end_date"]])
    for comparison, value in conditions:
        query = query.where(filter=FieldFilter("start_time", comparison, value))
    if "status" in filters:
        query = query.where(filter=FieldFilter("status", "==", filters["status"]))
    return query.select(["status"]).order_by("start_time", direction="DESCENDING").limit(max(LIMITS))


@pytest.mark.parametrize("kind", ["timestamp", "string"])
async def test_every_filter_combination_equals_firestores_answer(
    firestore_host: str,
    local_firestore: BackgroundFirestore,
    project: str,
    collection: AsyncCollectionReference,
    many: dict[str, dict[str, Any]],
    kind: StartTimeType,
) -> None:
    expected = []
    for filters in filter_combinations():
        found = await straight_query(collection, kind, filters).get()
        expected.append((filters, [document.id for document in found]))
    for window in (0, 50, 10_000) if firestore_host == local_firestore.host else (50, 10_000):
        async with running_service(
            firestore_host, project, start_time_type=kind, window_size=window, fallback_rate=1e6
        ) as running:
            await running.synced()
            sources = set()
            for (filters, ids), limit in itertools.product(expected, LIMITS):
                query = "&".join(f"{name}={value}" for name, value in filters.items())
                response = await running.get(f"/status?limit={limit}&{query}")
                body = response.json()
                assert response.status == 200, body
                assert [row["process_id"] for row in body["processes"]] == ids[:limit], (kind, window, filters)
                sources.add(response.headers["X-Cache"])
            assert sources - {"CACHED"} == ({"HIT", "MISS"} if window == 50 else {"HIT"})
