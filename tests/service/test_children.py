"""Children as clients get them: products and logs of one schema, from the field, the subcollection, or both."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.schema.schema_file import default_schema
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, Reply, RunningService, running_service, waiting

SCHEMA = """
collection = "webServiceLogs"
[answer]
status = "status"
[children.products]
from = "products"
[children.logs]
subcollection = "lines"
order_by = "n"
limit = 2
"""
BOTH = "include_logs=true&include_products=true"
LOGS = [{"n": 1}, {"n": 2}]
P: dict[str, Any] = {"status": "running", "start_time": datetime(2026, 11, 28, tzinfo=UTC)}


@pytest.fixture
async def running(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path
) -> AsyncIterator[RunningService]:
    lines = {f"p/lines/{name}": {"n": number} for name, number in (("a", 3), ("b", 2), ("c", 1))}
    put(local_firestore, project, {"p": {**P, "products": [{"sku": "A"}]}, **lines})
    async with running_service(local_firestore.host, project, schema_file=schema_file, fallback_rate=20) as running:
        yield await running.synced()


def put(firestore: BackgroundFirestore, project: str, documents: Mapping[str, Mapping[str, Any] | None]) -> int:
    return firestore.commit(project, {f"{COLLECTION}/{path}": fields for path, fields in documents.items()})


def told(reply: Reply) -> tuple[int, str, Any]:
    return reply.status, reply.headers["X-Cache"], reply.json() if reply.body else None


async def test_one_read_answers_all_children_and_bills_every_document(running: RunningService) -> None:
    reply = await running.get(f"/status/p?{BOTH}")
    body = {"process_id": "p", "status": "running", "products": [{"sku": "A"}], "logs": LOGS}
    assert told(reply) == (200, "MISS", body)
    assert list(reply.json()) == list(body)
    assert await running.metric("firestore_reads_total", source="get") == 1 + len(LOGS)
    assert told(await running.get(f"/status/p?{BOTH}")) == (200, "CACHED", body)
    assert await running.metric("firestore_reads_total", source="get") == 1 + len(LOGS)
    assert (await running.get("/status/p?include_logs=1")).json() == {
        key: body[key] for key in body if key != "products"
    }


async def test_a_write_to_a_subcollection_alone_keeps_the_version(
    running: RunningService, local_firestore: BackgroundFirestore, project: str
) -> None:
    first = await running.get("/status/p?include_logs=true")
    tag = {"If-None-Match": first.headers["ETag"]}
    put(local_firestore, project, {"p/lines/d": {"n": 0}})

    strong = await running.get("/status/p?include_logs=true", headers={"Cache-Control": "no-cache"})
    assert told(strong) == (200, "MISS", {"process_id": "p", "status": "running", "logs": [{"n": 0}, {"n": 1}]})
    assert strong.headers["ETag"] == first.headers["ETag"]
    assert told(await running.get("/status/p?include_logs=true", headers=tag)) == (304, "HIT", None)

    version = put(local_firestore, project, {"p": {**P, "heartbeat": 1}})
    await running.holds("p", version)
    touched = await running.get("/status/p?include_logs=true", headers=tag)
    assert (touched.status, touched.headers["ETag"]) == (200, f'"v{version}~logs"')


async def test_a_tag_names_an_answer_with_the_same_children_alone(running: RunningService) -> None:
    both = (await running.get(f"/status/p?{BOTH}")).headers["ETag"]
    assert both.endswith('-p~logs"')
    for query, status in ((BOTH, 304), ("include_logs=true", 200), ("include_products=true", 200), ("", 200)):
        assert (await running.get(f"/status/p?{query}", headers={"If-None-Match": both})).status == status, query
        failed = 200 if status == 304 else 412
        assert (await running.get(f"/status/p?{query}", headers={"If-Match": both})).status == failed, query


@pytest.mark.parametrize("names", ["header", "query"])
async def test_a_wait_ends_with_the_children_of_the_new_version(
    running: RunningService, local_firestore: BackgroundFirestore, project: str, names: str
) -> None:
    tag = (await running.get(f"/status/p?{BOTH}")).headers["ETag"]
    headers = {"If-None-Match": tag} if names == "header" else {}
    after = "" if names == "header" else f"&after={tag.strip(chr(34)).partition('-')[0]}"
    async with waiting(running, f"/status/p?wait=60&{BOTH}{after}", **headers) as waits:
        version = put(local_firestore, project, {"p": {**P, "heartbeat": 1}, "p/products/x": {"sku": "X"}})
        reply = await waits
    assert reply.headers["ETag"] == f'"v{version}-p~logs"'
    assert reply.json() == {"process_id": "p", "status": "running", "products": [{"sku": "X"}], "logs": LOGS}


async def test_the_documents_of_children_count_against_the_budget_of_reads(
    running: RunningService, local_firestore: BackgroundFirestore, project: str
) -> None:
    put(local_firestore, project, {"p": P, **{f"p/products/{n}": {"n": n} for n in range(60)}})
    assert len((await running.get("/status/p?include_products=true")).json()["products"]) == 60
    refused = await running.get("/status/p?include_logs=true")
    assert (refused.status, refused.json()["message"]) == (503, "Too many direct reads at the moment; try again later")
    assert int(refused.headers["Retry-After"]) >= 1
    assert told(await running.get("/status/p?include_logs=false"))[:2] == (200, "HIT")


@pytest.mark.parametrize("written", ["x", {"a": 1}, [1, {"sku": "A"}]])
async def test_what_is_no_child_is_counted_under_its_name(
    running: RunningService, local_firestore: BackgroundFirestore, project: str, written: object
) -> None:
    await running.holds("p", put(local_firestore, project, {"p": {**P, "products": written}}))
    reply = await running.get("/status/p?include_products=true")
    assert reply.json()["products"] == ([{"sku": "A"}] if isinstance(written, list) else None)
    assert await running.metric("malformed_fields_total", field="products") == 1


async def test_an_unknown_child_is_refused_by_name(running: RunningService) -> None:
    for query, message in (
        ("include_steps=true", "unknown parameter 'include_steps'; known here: include_products, include_logs, "),
        ("include_logs=yes", "include_logs must be true, false, 1 or 0"),
        ("include_logs=1&include_logs=1", "include_logs can be given only once"),
        ("wait=5&include_steps=true", "unknown parameter 'include_steps'"),
    ):
        reply = await running.get(f"/status/p?{query}")
        assert (reply.status, reply.json()["message"][: len(message)]) == (400, message)


async def test_the_document_has_a_parameter_and_a_key_for_each_child(running: RunningService) -> None:
    document = (await running.get("/openapi.json")).json()
    parameters = [each["name"] for each in document["paths"]["/status/{process_id}"]["parameters"]]
    assert parameters[:3] == ["process_id", "include_products", "include_logs"]
    process = document["components"]["schemas"]["Process"]
    assert list(process["properties"]) == ["process_id", "status", "products", "logs"]
    assert process["required"] == ["process_id", "status"]
    refs = [process["properties"][name]["items"]["$ref"].rpartition("/")[2] for name in ("products", "logs")]
    assert refs == ["Product", "ChildItem"]
    assert set(refs) <= set(document["components"]["schemas"])
    described = (await running.get("/ui/schema.json")).json()
    assert described["children"] == ["products", "logs"]


def test_the_default_schema_has_products_alone() -> None:
    assert list(default_schema().children) == ["products"]
