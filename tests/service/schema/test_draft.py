"""A drafted schema reads the collection it was drafted from: status and times as its own schema does."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.cloud.firestore_v1._helpers import decode_dict
from google.cloud.firestore_v1.types import Document
from google.protobuf.json_format import ParseDict

from service.schema.compiled import Schema
from service.schema.draft import Draft
from service.schema.indexes import index_file
from service.schema.schema_file import default_schema, parse_schema, read_schema_file

REPOSITORY = Path(__file__).parents[3]
FILES = sorted((REPOSITORY / "examples" / "schemas").glob("*.toml"))
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def answer(schema: Schema, document: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(schema.summarize("p", 17, schema.projection.of_values(document))[0].body)
    return body


def python_values(fields: dict[str, Any]) -> dict[str, Any]:
    message = ParseDict({"fields": fields}, Document.pb()())
    values: Any = decode_dict(Document.wrap(message).fields, None)
    return dict(values)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_draft_serves_status_and_times_right(file: Path) -> None:
    written = Schema(read_schema_file(file))
    documents = [python_values(fields) for fields in json.loads(file.with_suffix(".json").read_text()).values()]
    text = Draft(file.stem, documents).toml()
    drafted = Schema(parse_schema(text))
    assert (drafted.order.field, drafted.order.type) == (written.order.field, written.order.type)
    assert drafted.status_path == written.status_path
    for document in documents:
        right, guessed = answer(written, document), answer(drafted, document)
        for key in {"start_time", "end_time", "last_updated"} & right.keys():
            assert guessed[key] == right[key]
        if not written.file.status.names:  # what a number is called, no document says
            assert guessed["status"] == right["status"]
    assert b"canary" not in b"".join(orjson.dumps(answer(drafted, document)) for document in documents)


def test_terminal_words_and_the_unit_of_progress_are_guessed() -> None:
    documents = [{"state": "running", "at": NOON, "progress": 0.5}, {"state": "errored", "at": NOON, "progress": 1}]
    schema = parse_schema(Draft("jobs", documents).toml())
    assert schema.status.terminal == ("errored",)
    assert schema.roles.progress_of == 1


def test_what_looks_like_a_secret_is_named_and_left_out() -> None:
    documents = [{"status": "done", "at": NOON, "auth": {"accessToken": "x"}, "client_ip": "x", "note": "y"}]
    text = Draft("jobs", documents).toml()
    assert "#   auth.accessToken\n#   client_ip\n" in text
    assert '# note = "note"' in text
    assert "accessToken" not in text.split("# Left out")[0]


def uncommented(text: str) -> str:
    """The draft once a person has taken every proposal of children."""
    return "\n".join(
        line.removeprefix("# ") if re.match("# (\\[children|from)", line) else line for line in text.splitlines()
    )


def test_arrays_of_maps_are_proposed_as_children() -> None:
    steps = [{"name": "fetch", "at": NOON}, {"name": "encode", "took": {"s": 3}}]
    documents: list[dict[str, Any]] = [
        {
            "status": "done",
            "at": NOON,
            "steps": steps,
            "run": {"a-b": [{"x": 1}]},
            "tags": ["x"],
            "error": [{"code": 1}],
        },
        {"status": "done", "at": NOON, "steps": [], "mixed": [{"x": 1}]},
        {"status": "done", "at": NOON, "steps": None, "mixed": [{"x": 1}, 5]},
    ]
    text = Draft("jobs", documents).toml()
    assert "# [children.steps]  # ?include_steps=true; in 1 of 3 documents\n" in text
    assert '# from = "steps"  # each item is answered whole: name, at, took.s\n' in text
    assert not parse_schema(text).children
    taken = parse_schema(uncommented(text)).children
    assert {name: child.path for name, child in taken.items()} == {"steps": "steps", "a_b": "run.`a-b`"}


def test_an_array_whose_items_hold_secrets_is_named_and_not_proposed() -> None:
    documents = [{"status": "done", "at": NOON, "calls": [{"url": "x", "auth": [{"apiKey": "y"}]}, {"url": "z"}]}]
    text = Draft("jobs", documents).toml()
    assert "#   calls, whose items have auth.apiKey\n" in text
    assert "[children" not in text


def test_a_collection_without_a_status_says_so() -> None:
    assert Draft("jobs", [{"x": 1}]).toml().startswith('# No field of "jobs" looks like a status.')


def test_names_that_need_quotes_are_quoted() -> None:
    schema = parse_schema(Draft('a"b', [{"my status": "done", "created at": NOON}]).toml())
    assert (schema.answer["status"].path, schema.order.field) == ("`my status`", "`created at`")


def test_the_index_file_in_the_repository_is_the_default_schemas() -> None:
    written = json.loads((REPOSITORY / "firestore.indexes.json").read_text())
    assert index_file(Schema(default_schema())) == written


def test_each_filter_needs_an_index_with_the_order() -> None:
    schema = Schema(read_schema_file(REPOSITORY / "examples" / "schemas" / "imports.toml"))
    fields = [[field["fieldPath"] for field in index["fields"]] for index in index_file(schema)["indexes"]]
    assert fields == [["state", "createdAt"], ["ownerId", "createdAt"], ["kind", "createdAt"]]


def test_a_pattern_needs_each_index_of_one_parent_and_of_the_group() -> None:
    schema = Schema(read_schema_file(REPOSITORY / "examples" / "schemas" / "user_jobs.toml"))
    file = index_file(schema)
    found = [(each["queryScope"], each["fields"][0]["fieldPath"]) for each in file["indexes"]]
    assert found == [(scope, field) for scope in ("COLLECTION", "COLLECTION_GROUP") for field in ("state", "kind")]
    assert {each["collectionGroup"] for each in file["indexes"]} == {"jobs"}
    [override] = file["fieldOverrides"]
    assert (override["collectionGroup"], override["fieldPath"]) == ("jobs", "createdAt")
    orders = {(each["queryScope"], each["order"]) for each in override["indexes"] if "order" in each}
    assert orders == {
        (scope, order) for scope in ("COLLECTION", "COLLECTION_GROUP") for order in ("ASCENDING", "DESCENDING")
    }
    assert {"arrayConfig": "CONTAINS", "queryScope": "COLLECTION"} in override["indexes"]


def test_a_status_in_an_array_needs_none_for_no_query_can_ask_for_it() -> None:
    schema = Schema(read_schema_file(REPOSITORY / "examples" / "schemas" / "agent_runs.toml"))
    assert [index["fields"][0]["fieldPath"] for index in index_file(schema)["indexes"]] == ["config.model"]
