"""What the contract says of each route, read over HTTP after a real client wrote to a real Firestore."""

import re
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from tests.service.running import RunningService, running_service, version_of

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)

IMPORT = {
    "status": "running",
    "start_time": T0,
    "end_time": None,
    "last_updated": T0 + timedelta(minutes=5, microseconds=120_000),
    "csv_url": "https://example.com/import.csv",
    "products_processed": 42,
    "products_failed": 1.0,
    "products": [{"sku": "A-1", "seen": T0}, {"sku": "A-2", "price": 1.5}],
}
IMPORT_BODY = (
    b'{"process_id":"import-1","status":"running","start_time":"2026-11-23T09:30:00Z","end_time":null,'
    b'"last_updated":"2026-11-23T09:35:00.12Z","csv_url":"https://example.com/import.csv",'
    b'"products_processed":42,"products_failed":1}'
)


async def test_a_committed_process_is_a_hit_and_costs_no_direct_read(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = version_of(await collection.document("import-1").set(IMPORT))
    await running.holds("import-1", version)

    response = await running.get("/status/import-1")

    assert response.status == 200
    assert response.body == IMPORT_BODY
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["X-Cache"] == "HIT"
    assert 0 <= int(response.headers["Age"]) <= 60
    assert response.headers["ETag"] == f'"v{version}"'
    assert response.headers["Cache-Control"] == "no-cache"
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-Id"])
    assert await running.metric("firestore_reads_total", source="get") == 0
    assert await running.metric("firestore_reads_total", source="list") == 0
    assert await running.metric("lookups_total", source="hit") == 1


async def test_if_match_that_names_none_of_the_answer_is_412(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    await running.holds("import-1", version_of(await collection.document("import-1").set(IMPORT)))

    for path in ("/status/import-1", "/status/import-1?include_products=1", "/status", "/openapi.json", "/ui"):
        etag = (await running.get(path)).headers["ETag"]
        for seen in (etag, f"W/{etag}", f'"x", {etag[:-1]}-gzip"', "*"):
            assert (await running.get(path, headers={"If-Match": seen})).status == 200, (path, seen)
        both = {"If-Match": '"x"', "If-None-Match": etag}
        failed = await running.get(path, headers=both)
        assert (failed.status, failed.headers.get("ETag", etag)) == (412, etag), path
        assert failed.json() == {"status": "error", "message": "Precondition Failed"}
        assert (await running.get(path, headers={"If-Match": etag, "If-None-Match": etag})).status == 304
    assert (await running.get("/status/unknown", headers={"If-Match": "*"})).status == 404


async def test_if_match_names_a_version_that_the_answer_is_not_older_than(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = version_of(await collection.document("import-1").set(IMPORT))
    await running.holds("import-1", version)

    ahead = await running.get("/status/import-1", headers={"If-Match": f'"v{version + 1}"'})

    assert (ahead.status, ahead.headers["X-Cache"]) == (412, "MISS")


async def test_an_etag_seen_is_answered_with_304(running: RunningService, collection: AsyncCollectionReference) -> None:
    await running.holds("import-1", version_of(await collection.document("import-1").set(IMPORT)))
    etag = (await running.get("/status/import-1")).headers["ETag"]

    compressed = [f'{etag[:-1]}{suffix}"' for suffix in ("-gzip", "--gzip", ";br")]
    for seen in (etag, f"W/{etag}", f'"other", {etag}', "*", *compressed):
        response = await running.get("/status/import-1", headers={"If-None-Match": seen})
        assert (response.status, response.body) == (304, b"")
        assert response.headers["ETag"] == etag
        assert response.headers["X-Cache"] == "HIT"
    assert (await running.get("/status/import-1", headers={"If-None-Match": '"v1"'})).status == 200


async def test_a_client_that_saw_a_newer_version_is_not_answered_from_an_older_model(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = version_of(await collection.document("import-1").set(IMPORT))
    await running.holds("import-1", version)

    response = await running.get("/status/import-1", headers={"If-None-Match": f'"v{version + 1}"'})

    assert (response.status, response.headers["X-Cache"]) == (200, "MISS")


async def test_head_is_a_get_without_its_body(running: RunningService, collection: AsyncCollectionReference) -> None:
    await running.holds("import-1", version_of(await collection.document("import-1").set(IMPORT)))

    response = await running.request("HEAD", "/status/import-1")
    assert response.status == 200
    assert int(response.headers["Content-Length"]) == len(IMPORT_BODY)
    assert response.headers["ETag"].startswith('"v')
    assert response.body == b""


async def test_an_unknown_process_is_404_and_remembered_for_a_moment(running: RunningService) -> None:
    first = await running.get("/status/abc123")
    second = await running.get("/status/abc123")

    assert first.status == second.status == 404
    assert first.body == b'{"status":"error","message":"Process with ID abc123 not found"}'
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "CACHED")
    assert await running.metric("firestore_reads_total", source="get") == 1
    assert await running.metric("lookups_total", source="negative") == 1


async def test_products_of_the_field_come_last(running: RunningService, collection: AsyncCollectionReference) -> None:
    version = version_of(await collection.document("import-1").set(IMPORT))
    await running.holds("import-1", version)

    response = await running.get("/status/import-1?include_products=TRUE")

    products = b'[{"seen":"2026-11-23T09:30:00Z","sku":"A-1"},{"price":1.5,"sku":"A-2"}]'
    assert response.body == IMPORT_BODY[:-1] + b',"products":' + products + b"}"
    assert response.headers["ETag"] == f'"v{version}-p"'
    again = await running.get(
        "/status/import-1?include_products=1", headers={"If-None-Match": response.headers["ETag"]}
    )
    assert (again.status, again.headers["X-Cache"]) == (304, "HIT")


async def test_products_of_the_subcollection_are_ordered_by_document_id(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    document = collection.document("import-2")
    for name in ("p3", "p1", "p2"):
        await document.collection("products").document(name).set({"sku": name})
    await document.set({key: value for key, value in IMPORT.items() if key != "products"})

    response = await running.get("/status/import-2?include_products=true")

    assert response.json()["products"] == [{"sku": "p1"}, {"sku": "p2"}, {"sku": "p3"}]


async def test_a_flag_off_leaves_products_out(running: RunningService, collection: AsyncCollectionReference) -> None:
    await running.holds("import-1", version_of(await collection.document("import-1").set(IMPORT)))
    for flag in ("false", "0", "False"):
        assert (await running.get(f"/status/import-1?include_products={flag}")).body == IMPORT_BODY


async def test_lists_are_newest_first_and_pages_follow_each_other(
    running: RunningService, client: AsyncClient, collection: AsyncCollectionReference
) -> None:
    batch = client.batch()
    for number in range(5):
        batch.set(collection.document(f"p{number}"), {**IMPORT, "start_time": T0 + timedelta(hours=number // 2)})
    results = await batch.commit()
    await running.holds("p0", version_of(results[0]))

    first = await running.get("/status?limit=2")
    body = first.json()
    assert (first.headers["X-Cache"], body["count"]) == ("HIT", 2)
    assert list(body) == ["processes", "count", "next_page_token"]
    assert list(body["processes"][0]) == [
        "process_id",
        "status",
        "start_time",
        "end_time",
        "last_updated",
        "products_processed",
        "products_failed",
    ]
    seen = [row["process_id"] for row in body["processes"]]
    while body["next_page_token"]:
        body = (await running.get(f"/status?limit=2&page_token={body['next_page_token']}")).json()
        seen += [row["process_id"] for row in body["processes"]]
    assert seen == ["p4", "p3", "p2", "p1", "p0"]
    assert (await running.get("/status?limit=2", headers={"If-None-Match": first.headers["ETag"]})).status == 304


async def test_new_processes_never_shift_a_page(running: RunningService, collection: AsyncCollectionReference) -> None:
    for number in range(4):
        result = await collection.document(f"p{number}").set({**IMPORT, "start_time": T0 + timedelta(hours=number)})
    await running.holds("p3", version_of(result))
    token = ((await running.get("/status?limit=2")).json())["next_page_token"]

    result = await collection.document("p9").set({**IMPORT, "start_time": T0 + timedelta(hours=9)})
    await running.holds("p9", version_of(result))

    body = (await running.get(f"/status?limit=2&page_token={token}")).json()
    assert [row["process_id"] for row in body["processes"]] == ["p1", "p0"]


async def test_several_processes_by_id_come_in_the_order_asked(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    for name in ("a", "b"):
        await running.holds(name, version_of(await collection.document(name).set(IMPORT)))

    body = (await running.get("/status?process_id=b&process_id=nobody&process_id=a")).json()

    assert [row["process_id"] for row in body["processes"]] == ["b", "a"]
    assert (body["count"], body["next_page_token"], body["missing"]) == (2, None, ["nobody"])


async def test_no_cache_is_a_strong_read(running: RunningService, collection: AsyncCollectionReference) -> None:
    for count in range(20):
        await collection.document("import-1").set({**IMPORT, "products_processed": count})
        response = await running.get("/status/import-1", headers={"Cache-Control": "no-cache"})
        assert response.json()["products_processed"] == count
        assert response.headers["Age"] == "0"


async def test_root_health_and_readiness(running: RunningService) -> None:
    root = (await running.get("/")).json()
    assert (root["status"], root["service"]) == ("healthy", "process-status-service")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", root["timestamp"])
    assert (await running.get("/healthz")).status == 200
    ready = await running.get("/readyz")
    body = ready.json()
    assert (ready.status, body["listener_state"], body["documents"]) == (200, "live", 0)
    assert body["confirmed_s_ago"] >= 0


async def test_metrics_come_as_text_or_openmetrics(running: RunningService) -> None:
    await running.get("/healthz")
    text = await running.get("/metrics")
    assert text.headers["Content-Type"].startswith("text/plain; version=")
    assert 'process_status_http_requests_total{code="200",method="GET",route="/healthz"} 1.0' in text.body.decode()
    openmetrics = await running.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.body.decode().endswith("# EOF\n")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/status?limit=0", "limit must be a whole number from 1 to 1000"),
        ("/status?limit=1001", "limit must be a whole number from 1 to 1000"),
        ("/status?limit=ten", "limit must be a whole number from 1 to 1000"),
        ("/status?limit=1&limit=2", "limit can be given only once"),
        ("/status?status=", "status must have 1 to 64 characters"),
        ("/status?order=asc", "unknown parameter 'order'"),
        ("/status/a?limit=1", "unknown parameter 'limit'"),
        ("/status/a?include_products=yes", "include_products must be true, false, 1 or 0"),
        ("/status?start_date=yesterday", "start_date must be an ISO 8601 date"),
        ("/status?end_date=2026-02-30", "end_date must be an ISO 8601 date"),
        ("/status?page_token=x", "page_token is not one"),
        ("/status?process_id=a&status=running", "process_id can't be combined with status"),
        ("/status?process_id=", "process_id can't be one"),
        ("/status?" + "&".join(["process_id=a"] * 101), "process_id can be given at most 100 times"),
        ("/status/%2e%2e%2e%2fetc", "process_id can't be one"),
        ("/status/__secret__", "process_id can't be one"),
        ("/status/" + "x" * 1501, "process_id can't be one"),
        ("/status/%FF", "process_id is not UTF-8"),
        ("/healthz?x=1", "unknown parameter 'x'"),
    ],
)
async def test_bad_input_is_a_400_that_names_the_parameter(running: RunningService, path: str, message: str) -> None:
    response = await running.get(path)
    body = response.json()
    assert response.status == 400
    assert list(body) == ["status", "message"]
    assert body["status"] == "error"
    assert message in body["message"]
    assert "X-Request-Id" in response.headers


async def test_what_is_not_there_and_what_is_not_allowed_are_json_too(running: RunningService) -> None:
    missing = await running.get("/nowhere")
    assert (missing.status, missing.json()["status"]) == (404, "error")
    post = await running.request("POST", "/status")
    assert (post.status, post.headers["Allow"], post.json()["status"]) == (405, "GET,HEAD", "error")


async def test_a_request_id_is_taken_over_where_it_is_one(running: RunningService) -> None:
    given = await running.get("/", headers={"X-Request-Id": "abc-123"})
    assert given.headers["X-Request-Id"] == "abc-123"
    foul = await running.get("/", headers={"X-Request-Id": "a b" + "x" * 200})
    assert re.fullmatch(r"[0-9a-f]{32}", foul.headers["X-Request-Id"])


async def test_malformed_values_are_null_counted_and_do_not_stop_the_listener(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    odd = {"status": 5, "start_time": T0, "end_time": "soon", "products_processed": 1.5, "csv_url": ["x"]}
    await running.holds("odd", version_of(await collection.document("odd").set(odd)))
    body = orjson.loads((await running.get("/status/odd")).body)
    assert (body["status"], body["end_time"], body["products_processed"], body["csv_url"]) == (None,) * 4
    assert await running.metric("malformed_fields_total", field="end_time") == 1
    await running.holds("import-1", version_of(await collection.document("import-1").set(IMPORT)))


async def test_a_document_without_a_listed_start_time_is_served_by_id_only(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    await collection.document("untimed").set({"status": "running"})
    await running.holds("import-1", version_of(await collection.document("import-1").set(IMPORT)))

    assert (await running.get("/status/untimed")).status == 200
    rows = ((await running.get("/status")).json())["processes"]
    assert [row["process_id"] for row in rows] == ["import-1"]


async def test_a_model_of_the_whole_collection_answers_404_without_a_read(
    firestore_host: str, project: str, collection: AsyncCollectionReference
) -> None:
    await collection.document("untimed").set({"status": "running"})
    async with running_service(firestore_host, project, window_size=0) as running:
        await running.synced()
        unknown = await running.get("/status/abc123")
        known = await running.get("/status/untimed")
        assert (unknown.status, unknown.headers["X-Cache"]) == (404, "HIT")
        assert (known.status, known.headers["X-Cache"]) == (200, "HIT")
        assert await running.metric("firestore_reads_total", source="get") == 0
