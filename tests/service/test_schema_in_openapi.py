"""/openapi.json, products and their parameter follow the schema in force."""

from pathlib import Path
from typing import Any

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import running_service

ANSWER = """
collection = "webServiceLogs"
[order]
field = "at"
type = "milliseconds"
[answer]
status = "state.code"
begun = { from = "at", as = "time", unit = "ms" }
done = { as = "integer" }
share = { as = "number" }
urgent = { as = "boolean" }
result = { from = "output", as = "json", in_list = false }
"""
FIELDS: dict[str, Any] = {
    "state": {"code": "running"},
    "at": 1_763_890_200_000,
    "done": 3,
    "share": 0.5,
    "urgent": True,
    "output": {"rows": [{"sku": "A-1"}, {"sku": "A-2"}], "url": "x"},
    "products": [{"secret": 1}],
}


async def answered(firestore: BackgroundFirestore, project: str, schema_file: Path, *paths: str) -> list[Any]:
    async with running_service(firestore.host, project, schema_file=schema_file) as running:
        await running.synced()
        return [(await running.get(path)).json() for path in paths]


@pytest.fixture
def schema_file(
    local_firestore: BackgroundFirestore, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    local_firestore.commit(project, {"webServiceLogs/a": FIELDS})
    file = tmp_path / "schema.toml"
    file.write_text(ANSWER)
    return file


def with_children(schema_file: Path, products: str) -> None:
    schema_file.write_text(f"{ANSWER}[children.products]\n{products}\n")


async def test_the_document_has_the_keys_of_the_answers_and_no_others(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path
) -> None:
    (document, body, page) = await answered(
        local_firestore, project, schema_file, "/openapi.json", "/status/a", "/status"
    )
    schemas = document["components"]["schemas"]
    assert list(schemas["Process"]["properties"]) == list(body)
    assert list(schemas["ProcessRow"]["properties"]) == list(page["processes"][0])
    kinds = {name: each.get("type") for name, each in schemas["Process"]["properties"].items()}
    assert kinds == {
        "process_id": "string",
        "status": ["string", "null"],
        "begun": ["string", "null"],
        "done": ["integer", "null"],
        "share": ["number", "null"],
        "urgent": ["boolean", "null"],
        "result": None,
    }


async def test_without_children_there_is_no_way_to_ask_for_products(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path
) -> None:
    paths = [f"/status/a?{wait}include_products=true" for wait in ("", "wait=1&")]
    (document, *answers) = await answered(local_firestore, project, schema_file, "/openapi.json", *paths)
    assert all(answer["message"].startswith("unknown parameter 'include_products'") for answer in answers)
    names = {each["name"] for each in document["paths"]["/status/{process_id}"]["parameters"]}
    assert "wait" in names
    assert "include_products" not in names
    assert "Product" not in document["components"]["schemas"]


async def test_products_come_from_the_array_that_the_schema_names(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path
) -> None:
    with_children(schema_file, 'from = "output.rows"')
    (body,) = await answered(local_firestore, project, schema_file, "/status/a?include_products=true")
    assert body["products"] == [{"sku": "A-1"}, {"sku": "A-2"}]
    assert body["result"] == FIELDS["output"], "what lies around it is still answered"


async def test_where_the_array_is_absent_the_subcollection_gives_products(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path
) -> None:
    with_children(schema_file, 'from = "output.others"\nlimit = 2')
    rows = {f"webServiceLogs/a/products/{name}": {"sku": name} for name in "cab"}
    local_firestore.commit(project, rows)
    (body,) = await answered(local_firestore, project, schema_file, "/status/a?include_products=true")
    assert body["products"] == [{"sku": "a"}, {"sku": "b"}]
