"""`check` names each of a dozen mistakes and what to do; `init` drafts a schema; `indexes` prints the file."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.firestore_v1 import AsyncClient

from service.local_firestore import LocalFirestore
from service.schema.compiled import Schema
from service.schema.schema_file import parse_schema
from service.settings import Settings
from service.terminal.children_check import child_findings
from service.terminal.schema_commands import MOST_STREAMS, check, indexes, init

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
RIGHT: Mapping[str, Any] = {
    "status": "completed",
    "start_time": NOON,
    "end_time": NOON,
    "last_updated": NOON,
    "csv_url": "gs://x/y.csv",
    "products_processed": 1,
    "products_failed": 0,
}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalFirestore]:
    async with LocalFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)  # where the client library looks
        yield server


def settings_for(server: LocalFirestore, **more: Any) -> Settings:
    return Settings(firestore_emulator_host=server.host, project_id="p", **more)


def write(server: LocalFirestore, documents: Mapping[str, Mapping[str, Any]]) -> None:
    for name, fields in documents.items():
        server.database("p").set(f"webServiceLogs/{name}", fields)


async def checked(settings: Settings) -> tuple[int, list[str]]:
    lines: list[str] = []
    return await check(settings, 50, lines.append), lines


def wrong(lines: list[str]) -> list[str]:
    return [line.removeprefix("wrong  ") for line in lines if line.startswith("wrong")]


async def test_a_collection_that_fits_is_all_right(server: LocalFirestore) -> None:
    write(server, {"a": RIGHT})
    code, lines = await checked(settings_for(server))
    assert (code, lines[-1], wrong(lines)) == (0, "all is right", [])
    assert "ok     answer.start_time: start_time is in 1 of 1 documents (1 timestamp)" in lines


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"csv_url": None},
            "answer.csv_url: csv_url is in 0 of 1 documents; correct its path in [answer]",
        ),
        (
            {"products_failed": "3"},
            "answer.products_failed: products_failed is in 1 of 1 documents (1 string); 1 ",
        ),
        (
            {"status": {"a": "x"}},
            "answer.status: status is in 1 of 1 documents (1 map, array or reference); 1 ",
        ),
        ({"start_time": "2026-11-28"}, "order: start_time is a timestamp in 0 of 1 documents (1 string); no list"),
        (
            {"status": "errored"},
            "status: seen errored (1); terminal completed, failed, cancelled; add errored ",
        ),
    ],
)
async def test_a_document_that_does_not_fit_is_named(
    server: LocalFirestore, changed: Mapping[str, Any], line: str
) -> None:
    write(server, {"a": {**RIGHT, **changed}})
    code, lines = await checked(settings_for(server))
    assert code == 1
    assert any(each.startswith(line) for each in wrong(lines)), lines


async def test_the_newest_documents_say_whether_the_fields_fit(server: LocalFirestore) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    write(server, {"a": {**RIGHT, "csv_url": 5, "status": "errored", "start_time": long_ago}, "z": RIGHT})
    lines: list[str] = []
    assert (await check(settings_for(server), 1, lines.append), wrong(lines)) == (0, [])


async def test_documents_without_the_order_field_are_counted(server: LocalFirestore) -> None:
    write(server, {"a": RIGHT, "b": {**RIGHT, "start_time": None}})
    _, lines = await checked(settings_for(server))
    assert [line.partition(";")[2] for line in wrong(lines)] == [
        " the others are in no list and are served by ID only; write the field in them"
    ]


@pytest.mark.parametrize(
    ("other", "advice"),
    [
        ("webServiceLog", "did you mean webServiceLog? Set FIRESTORE_COLLECTION"),
        ("users", "write a document, or correct FIRESTORE_COLLECTION"),
    ],
)
async def test_an_empty_collection_is_named_with_a_similar_one(server: LocalFirestore, other: str, advice: str) -> None:
    server.database("p").set(f"{other}/a", RIGHT)
    code, lines = await checked(settings_for(server))
    assert (code, wrong(lines)) == (1, [f"collection: webServiceLogs has no documents; {advice}"])


@pytest.mark.parametrize(
    ("rpc", "status", "subject", "advice"),
    [
        (
            "RunQuery",
            grpc.StatusCode.PERMISSION_DENIED,
            "database",
            "grant the account the role roles/datastore.viewer",
        ),
        ("RunQuery", grpc.StatusCode.NOT_FOUND, "database", "create the database (default) of p"),
        ("RunQuery", grpc.StatusCode.UNAUTHENTICATED, "database", "run `gcloud auth application-default login`"),
        ("RunQuery", grpc.StatusCode.UNAVAILABLE, "database", "see whether the network lets this machine reach"),
        (
            "RunQuery",
            grpc.StatusCode.FAILED_PRECONDITION,
            "database",
            "see whether the network lets this machine reach",
        ),
        ("Listen", grpc.StatusCode.PERMISSION_DENIED, "listening", "grant the account the role"),
    ],
)
async def test_a_refusal_is_named_with_what_to_do(
    server: LocalFirestore, rpc: str, status: grpc.StatusCode, subject: str, advice: str
) -> None:
    write(server, {"a": RIGHT})
    server.faults.fail_calls(rpc, status, calls=None)
    code, lines = await checked(settings_for(server))
    assert code == 1
    assert any(line.startswith(subject) and advice in line for line in wrong(lines)), lines
    assert server.calls["Listen"] < MOST_STREAMS  # what Firestore itself refuses is not asked again and again


async def test_a_stream_that_breaks_is_opened_again_and_not_for_ever(server: LocalFirestore) -> None:
    write(server, {"a": RIGHT})
    server.faults.fail_calls("Listen", grpc.StatusCode.INTERNAL, calls=MOST_STREAMS - 1)
    code, lines = await checked(settings_for(server))
    assert (code, wrong(lines)) == (0, [])
    server.faults.fail_calls("Listen", grpc.StatusCode.INTERNAL, calls=None, detail="broken again")
    code, lines = await checked(settings_for(server))
    assert (code, len(wrong(lines))) == (1, 1)
    assert "no answer within" not in wrong(lines)[0]
    assert server.calls["Listen"] == 2 * MOST_STREAMS


async def test_a_missing_index_is_named_with_the_commands_that_make_it(server: LocalFirestore) -> None:
    write(server, {"a": RIGHT})
    fails_later = server.faults.fail_calls
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("ok     status"):  # from here on lists by a filter are asked for
            fails_later("RunQuery", grpc.StatusCode.FAILED_PRECONDITION, detail="The query requires an index.")

    assert await check(settings_for(server), 50, say) == 1
    assert wrong(lines) == [
        "index for status: The query requires an index.; `process-status indexes > firestore.indexes.json`, "
        "then `firebase deploy --only firestore:indexes`"
    ]


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        (
            '[answer]\nstatus = "status"\n[filters]\nowner = "uid"',
            "filters.owner: uid is in 0 of 1 documents; correct its path in [filters] of the schema",
        ),
        (
            '[answer]\nstatus = "status"\nat = { from = "at_ms", as = "time" }',
            "answer.at: at_ms is in 1 of 1 documents (1 integer); 1 can't be read as time",
        ),
        (
            '[order]\nfield = "created"\n[answer]\nstatus = "status"',
            "order: created is a timestamp in 0 of 1 documents; no list will hold any; correct [order] field or type",
        ),
        (
            '[order]\nfield = "at_ms"\ntype = "string"\n[answer]\nstatus = "status"',
            "order: at_ms is a string in 0 of 1 documents (1 integer); no list will hold any; correct [order]",
        ),
    ],
)
async def test_a_schema_that_does_not_fit_is_named(
    server: LocalFirestore, tmp_path: Path, schema: str, line: str
) -> None:
    write(server, {"a": {**RIGHT, "at_ms": 1_795_856_400_000}})
    file = tmp_path / "schema.toml"
    file.write_text(schema)
    code, lines = await checked(settings_for(server, schema_file=file))
    assert code == 1
    assert any(each.startswith(line) for each in wrong(lines)), lines


async def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_credentials(**_: object) -> None:
        raise DefaultCredentialsError("Your default credentials were not found.")  # type: ignore[no-untyped-call]

    monkeypatch.setattr("google.auth.default", no_credentials)
    code, lines = await checked(Settings(project_id="p"))
    assert code == 1
    assert lines[0].startswith("wrong  credentials: Your default credentials were not found.; run `gcloud auth")


async def test_init_prints_a_schema_that_can_be_used(server: LocalFirestore) -> None:
    write(server, {"a": {"state": "done", "createdAt": NOON, "authToken": "canary"}})
    lines: list[str] = []
    assert await init(settings_for(server), 50, lines.append) == 0
    schema = parse_schema("\n".join(lines))
    assert (schema.collection, schema.order.field, schema.status.terminal) == ("webServiceLogs", "createdAt", ("done",))
    assert "canary" not in "\n".join(lines)


async def test_init_of_an_empty_collection_says_so(server: LocalFirestore) -> None:
    lines: list[str] = []
    assert await init(settings_for(server), 50, lines.append) == 1
    assert lines == ["# webServiceLogs has no documents: write a document, or correct FIRESTORE_COLLECTION"]


def test_indexes_prints_those_of_the_schema_in_force() -> None:
    file = Path(__file__).parents[3] / "examples" / "schemas" / "imports.toml"
    printed = json.loads(indexes(Settings(project_id="p", schema_file=file)))
    assert [index["collectionGroup"] for index in printed["indexes"]] == ["jobs", "jobs", "jobs"]


CHILDREN = """
[answer]
status = "status"
[children.steps]
[children.logs]
subcollection = "logs"
order_by = "meta.at"
"""


def write_children(server: LocalFirestore, steps: object, logs: Mapping[str, Mapping[str, Any]]) -> None:
    write(server, {"a": {"status": "completed", "start_time": NOON, "steps": steps}})
    write(server, {f"a/logs/{name}": fields for name, fields in logs.items()})


async def checked_children(server: LocalFirestore, folder: Path) -> list[str]:
    file = folder / "schema.toml"
    file.write_text(CHILDREN)
    _, lines = await checked(settings_for(server, schema_file=file, firestore_collection="webServiceLogs"))
    return [line for line in lines if "children." in line]


async def test_children_that_fit_are_all_right(server: LocalFirestore, tmp_path: Path) -> None:
    write_children(server, [{"name": "fetch"}], {"x": {"meta": {"at": NOON}}})
    assert await checked_children(server, tmp_path) == [
        "ok     children.steps: steps is in 1 of 1 documents",
        "ok     children.logs: subcollection logs of 1 documents: 1 items were looked at, 1 have meta.at",
    ]


async def test_children_that_answers_leave_out_are_named(server: LocalFirestore, tmp_path: Path) -> None:
    write_children(server, ["fetch"], {"x": {"meta": {"at": NOON}}, "y": {"at": NOON}})
    steps, logs = await checked_children(server, tmp_path)
    assert steps.startswith("wrong  children.steps: steps is in 1 of 1 documents; in 1 it is no array of maps, ")
    assert "2 items were looked at, 1 have meta.at; the others have no meta.at and are never answered; " in logs


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "end the exemption of meta.at in logs from single-field indexes"),
        (grpc.StatusCode.PERMISSION_DENIED, "see whether the account may read subcollections"),
    ],
)
async def test_a_subcollection_that_cant_be_read_is_named(
    server: LocalFirestore, status: grpc.StatusCode, advice: str
) -> None:
    write_children(server, [], {})
    collection = AsyncClient(project="p", credentials=AnonymousCredentials()).collection("webServiceLogs")  # type: ignore[no-untyped-call]
    documents = await collection.get()
    children = Schema(parse_schema(CHILDREN)).children
    server.faults.fail_calls("RunQuery", status, calls=None)
    found = [finding async for finding in child_findings(children, documents)]
    assert [finding.subject for finding in found] == ["children.steps", "children.logs"]
    assert found[1].advice.startswith(advice)
