"""/openapi.json says what the service does: every route, parameter, header and key, and none that is not there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.http.router import methods_of
from tests.firestore_servers import BackgroundFirestore
from tests.service.read_headers import read_by_handlers
from tests.service.running import Reply, RunningService, running_service, version_of

PAGES = frozenset({"/ui", "/ui/{file}"})
"""Routes that people look at and programs don't call: they are not of the API."""

OF_HTTP = {"connection", "content-length", "content-type", "date", "transfer-encoding", "vary"}
"""Headers of a response that HTTP itself defines for any."""

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
KEY = "a-secret-of-the-operator"


@pytest.fixture
def firestore_host(local_firestore: BackgroundFirestore, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said does not depend on the server."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    host: str = local_firestore.host
    return host


@pytest.fixture
def listener_kind() -> str:
    """Nor on the listener."""
    return "stream"


@pytest.fixture
async def document(running: RunningService) -> Any:
    return (await running.get("/openapi.json")).json()


@pytest.fixture
async def with_keys(firestore_host: str, project: str, client: AsyncClient) -> AsyncIterator[RunningService]:
    async with running_service(firestore_host, project, listener="stream", api_keys=(KEY,)) as running:
        yield await running.synced()


async def documented(running: RunningService) -> tuple[Reply, Any]:
    reply = await running.get("/openapi.json", headers={"X-API-Key": KEY})
    return reply, reply.json()


async def test_it_is_openapi_3_1_with_keys_and_without(with_keys: RunningService, document: Any) -> None:
    for described in (document, (await documented(with_keys))[1]):
        assert described["openapi"].startswith("3.1.")
        OpenAPIV31SpecValidator(described).validate()


async def test_every_route_is_documented_and_nothing_else(running: RunningService, document: Any) -> None:
    routed = {
        (route.path, method.lower())
        for route in running.service.router.routes
        if route.path not in PAGES
        for method in methods_of(route)
    }
    listed = {(path, method) for path, item in document["paths"].items() for method in item if method != "parameters"}
    assert listed == routed
    assert {path for path, _ in listed} == {
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/stats",
        "/status",
        "/status/{process_id}",
        "/status/{process_id}/events",
        "/events",
    }


def parameters_of(document: Any, path: str, location: str) -> list[str]:
    return [parameter["name"] for parameter in document["paths"][path]["parameters"] if parameter["in"] == location]


async def test_every_query_parameter_that_is_taken_is_documented(running: RunningService, document: Any) -> None:
    for path in document["paths"]:
        if path != "/metrics":
            reply = await running.get(path.format(process_id="import-1") + "?undeclared=1")
            known = ", ".join(parameters_of(document, path, "query")) or "none"
            assert reply.json()["message"] == f"unknown parameter 'undeclared'; known here: {known}"


async def test_every_header_that_is_read_is_documented(
    running: RunningService, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = read_by_handlers(monkeypatch)

    async def asked_for_by(path: str) -> set[str]:
        asked.clear()
        for_handlers = {"Prefer": "respond-async"}  # which the model alone does not answer
        async with running.http.get(running.url + path.format(process_id="unknown"), headers=for_handlers):
            return set(asked)

    for path in document["paths"]:
        read = await asked_for_by(path)
        assert {*read, "X-Request-Id"} == set(parameters_of(document, path, "header")), path


async def test_answers_have_the_documented_headers_and_keys_in_the_documented_order(
    running: RunningService, collection: AsyncCollectionReference, document: Any
) -> None:
    fields = {"status": "completed", "start_time": T0, "products": [{"sku": "A-1"}]}
    version = version_of(await collection.document("import-1").set(fields))
    await running.holds("import-1", version)
    seen = f'"v{version}"'
    one, stream = "/status/{process_id}", "/status/{process_id}/events"
    for status, path, query, headers in [
        (200, "/", "", {}),
        (200, "/healthz", "", {}),
        (200, "/readyz", "", {}),
        (200, "/metrics", "", {}),
        (200, "/metrics", "", {"Accept": "application/openmetrics-text; version=1.0.0"}),
        (200, "/openapi.json", "", {}),
        (304, "/openapi.json", "", {"If-None-Match": "*"}),
        (412, "/openapi.json", "", {"If-Match": '"x"'}),
        (400, "/openapi.json", "?x=1", {}),
        (200, "/status", "", {}),
        (200, "/status", "?process_id=import-1&process_id=unknown", {}),
        (304, "/status", "", {"If-None-Match": "*"}),
        (412, "/status", "", {"If-Match": '"x"'}),
        (400, "/status", "?limit=0", {}),
        (200, one, "", {}),
        (200, one, "?include_products=1", {}),
        (200, one, "", {"Prefer": "wait=1"}),
        (304, one, "", {"Prefer": "wait=1", "If-None-Match": seen}),
        (304, one, "", {"If-None-Match": seen}),
        (412, one, "", {"If-Match": '"x"'}),
        (412, one, "", {"Prefer": "wait=1", "If-Match": '"x"', "If-None-Match": '"x"'}),
        (400, one, "?wait=0", {}),
        (200, stream, "", {}),
        (204, stream, "", {"Last-Event-ID": seen}),
        (400, stream, "?x=1", {}),
        (400, "/events", "?x=1", {}),
    ]:
        reply = await running.get(path.format(process_id="import-1") + query, headers=headers)
        assert reply.status == status, (path, query, headers)
        assert_as_documented(document, path, reply)
    for path in (one, stream):
        assert_as_documented(document, path, await running.get(path.format(process_id="unknown")))


async def test_a_refusal_is_documented_too(
    firestore_host: str, project: str, collection: AsyncCollectionReference, with_keys: RunningService
) -> None:
    document = (await documented(with_keys))[1]
    refused = await with_keys.get("/status/import-1")
    assert refused.status == 401
    assert_as_documented(document, "/status/{process_id}", refused)
    async with running_service(firestore_host, project, listener="stream", max_watchers=0) as full:
        await collection.document("import-1").set({"status": "running", "start_time": T0})
        await full.synced()
        for path in ("/status/{process_id}/events", "/events"):
            reply = await full.get(path.format(process_id="import-1"))
            assert reply.status == 503
            assert_as_documented(document, path, reply)


def assert_as_documented(document: Any, path: str, reply: Reply) -> None:
    """Its headers, its type, and the keys of its JSON."""
    said = document["paths"][path]["get"]["responses"][str(reply.status)]
    headers = {name.lower(): resolved(document, header)["required"] for name, header in said["headers"].items()}
    sent = {name.lower() for name in reply.headers}
    assert sent - OF_HTTP <= headers.keys(), (path, reply)
    assert {name for name, is_required in headers.items() if is_required} <= sent, (path, reply)
    if not reply.body:
        assert "content" not in said
        return
    kind = reply.headers["Content-Type"].partition(";")[0]
    schema = said["content"][kind]["schema"]
    if kind == "application/json" and path != "/openapi.json":
        assert_keys(document, schema, reply.json())


def resolved(document: Any, part: Any) -> Any:
    """The part, or what it refers to."""
    if "$ref" in part:
        _, _, kind, name = part["$ref"].split("/")
        return document["components"][kind][name]
    return part


def assert_keys(document: Any, schema: Any, value: Any) -> None:
    """Every key is documented, in the documented order, and none is missing that must be there."""
    schema = resolved(document, schema)
    if isinstance(value, dict) and "properties" in schema:
        assert list(value) == [name for name in schema["properties"] if name in value]
        assert set(schema["required"]) <= value.keys()
        for name, part in value.items():
            assert_keys(document, schema["properties"][name], part)
    elif isinstance(value, list):
        for part in value:
            assert_keys(document, schema["items"], part)


async def test_keys_are_asked_for_as_documented_and_never_shown(with_keys: RunningService) -> None:
    reply, document = await documented(with_keys)

    assert (await with_keys.get("/openapi.json")).status == 401
    assert KEY not in reply.body.decode()
    assert [list(way) for way in document["security"]] == [["bearer"], ["api_key"]]
    schemes = document["components"]["securitySchemes"]
    assert (schemes["bearer"]["scheme"], schemes["api_key"]["name"]) == ("bearer", "X-API-Key")
    for path, item in document["paths"].items():
        plain = await with_keys.http.head(with_keys.url + path.format(process_id="import-1"))
        needs_key = "401" in item["get"]["responses"]
        assert (item["get"].get("security"), plain.status == 401) == (None if needs_key else [], needs_key)


async def test_without_keys_the_document_names_none(document: Any) -> None:
    assert "security" not in document
    assert "securitySchemes" not in document["components"]
    assert all("401" not in item["get"]["responses"] for item in document["paths"].values())


async def test_metrics_on_a_port_of_their_own_are_not_of_this_one(
    firestore_host: str, project: str, client: AsyncClient
) -> None:
    async with running_service(firestore_host, project, listener="stream", metrics_port=0) as running:
        assert "/metrics" not in (await running.get("/openapi.json")).json()["paths"]


async def test_it_never_changes_while_the_service_runs(running: RunningService) -> None:
    first = await running.get("/openapi.json")
    head = await running.request("HEAD", "/openapi.json")
    again = await running.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status, first.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert (head.status, head.headers["ETag"]) == (200, first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
