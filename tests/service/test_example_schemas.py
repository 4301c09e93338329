"""Each example schema, served whole: by ID, with children, in lists, page by page, as events, in waits, to the page.

Expected answers by ID stand in example_answers.json and CHILDREN, written out. Lists are compared with straight
queries.
"""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncDocumentReference
from google.cloud.firestore_v1.base_query import FieldFilter

from service.schema.schema_file import SchemaFile, read_schema_file, variable_in
from service.settings import Settings
from service.terminal.schema_commands import init
from tests.emulator import Emulator
from tests.examples import GROUPS, NAMES, children, documents, schema_file
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import RunningService, firestore_client, running_service, waiting

ANSWERS: Mapping[str, Mapping[str, dict[str, Any]]] = orjson.loads(
    Path(__file__).with_name("example_answers.json").read_bytes()
)
ALL = [*NAMES, *GROUPS]
CASES = [
    *((name, "local", listener) for name in ALL for listener in ("stream", "on_snapshot")),
    *((name, "emulator", ("stream", "on_snapshot")[at % 2]) for at, name in enumerate(ALL)),
]
FROM, TO = datetime(2026, 11, 28, 9, 4, tzinfo=UTC), datetime(2026, 11, 28, 9, 10, tzinfo=UTC)
DAYS = {"start_date": "2026-11-28T09:04:00Z", "end_date": "2026-11-28T09:10:00Z"}
BOUNDS: dict[str, tuple[Any, Any, Any]] = {
    "timestamp": (datetime(1, 1, 1, tzinfo=UTC), FROM, TO),
    "string": ("", "2026-11-28T09:04:00", "2026-11-28T09:10:00Z"),
    "milliseconds": (float("-inf"), FROM.timestamp() * 1000, TO.timestamp() * 1000),
    "seconds": (float("-inf"), FROM.timestamp(), TO.timestamp()),
}
"""By the order's type: the least value, and what DAYS stand for."""
RAW_STATUSES: dict[str, dict[str, list[Any]]] = {
    "pipelines": {
        "queued": ["queued", "0", 0],
        "running": ["running", "1", 1],
        "waiting for approval": ["waiting for approval", "2", 2],
        "succeeded": ["succeeded", "3", 3],
        "failed": ["failed", "4", 4],
        "7": ["7", 7],
    }
}
LOGS: dict[str, Any] = {
    "logs": [
        {"at": "2026-11-28T09:05:00Z", "level": 20, "line": "checked out"},
        {"at": "2026-11-28T09:05:02Z", "line": "compiling"},
        {"at": "2026-11-28T09:05:02Z", "context": {"file": "a.c", "lines": [3, 4]}, "line": "warned"},
    ]
}
FROM_SUBCOLLECTION = {"artifacts": [{"name": "log"}, {"name": "trace"}, {"name": "core"}]}
FROM_ARRAY: dict[str, Any] = {
    "artifacts": [
        {"built": "2026-11-28T09:18:30.25Z", "bytes": 9007199254740993, "name": "app.tar"},
        {
            "coverage": None,
            "digest": "AP8=",
            "labels": ["x", None, {"a": True}],
            "name": "report",
        },
    ]
}
CHILDREN: dict[str, dict[str, dict[str, Any]]] = {
    "builds": {
        "b0": {"artifacts": [], "logs": []},
        "b1": {"artifacts": [], **LOGS},
        "b2": {**FROM_ARRAY, "logs": []},
        "b3": {**FROM_SUBCOLLECTION, "logs": []},
        "b5": {"artifacts": [], "logs": []},
        "b6": {"artifacts": None, "logs": []},
    },
    "user_jobs": {"users/ann/jobs/import": {"tasks": []}},
    "project_runs": {"projects/beta/runs/run-1": {"logs": []}},
}
"""Of the examples that have some, by process: everything that can be included."""
IN_AN_ARRAY = "agent_runs"
"""Its status can't be asked Firestore for: expected lists are filtered by hand."""


class Example:
    """One example schema, and its documents on a server."""

    def __init__(self, name: str, client: AsyncClient) -> None:
        self.name = name
        self.file: SchemaFile = read_schema_file(schema_file(name))
        self.documents = documents(name)
        self.answers = ANSWERS[name]
        self.path = self.file.path
        self._client = client

    def key(self, name: str) -> str:
        """Documents of a collection group are named by their paths here, others by their IDs."""
        return str(self.path.key_of(name)) if self.path.is_group else name

    def document(self, name: str) -> AsyncDocumentReference:
        return self._client.document(self.path.name_of(self.key(name)))

    def url(self, name: str, below: str = "", parameters: str = "") -> str:
        key = self.key(name)
        variables = urlencode(dict(zip(self.path.variables, self.path.values_of(key), strict=True)))
        query = "&".join(part for part in (variables, parameters) if part)
        return f"/status/{self.path.id_of(key)}{below}{query and '?'}{query}"

    def name_of(self, row: Mapping[str, Any]) -> str:
        """Of a row of a list."""
        if not self.path.is_group:
            return str(row["process_id"])
        shown = {str(answer.path): key for key, answer in self.file.answer.items()}
        variables = {name: row[shown[f"{{{name}}}"]] for name in self.path.variables}
        return self.path.name_of(self.path.key(variables, row["process_id"]))

    async def write(self) -> None:
        batch = self._client.batch()
        for process_id, fields in self.documents.items():
            batch.set(self.document(process_id), fields)
        for child in self.file.children:
            for process_id, found in children(self.name, child).items():
                for child_id, fields in found.items():
                    batch.set(self.document(process_id).collection(child).document(child_id), fields)
        await batch.commit()

    def questions(self) -> list[dict[str, Any]]:
        """Every combination of a status, the schema's filters and days: each with a value that some have, or none."""
        choices: dict[str, list[Any]] = {
            "status": [None, *sorted({str(each["status"]) for each in self.answers.values()})]
        }
        for name, each in self.file.filters.items():
            found = {_at(fields, each.path or name) for fields in self.documents.values()} - {None}
            choices[name] = [None, *sorted(found)]
        for at, name in enumerate(self.path.variables):
            choices[name] = [None, *sorted({self.path.values_of(self.key(each))[at] for each in self.documents})]
        rows = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
        asked = [{name: value for name, value in row.items() if value is not None} for row in rows]
        return [{**each, **days} for each in asked for days in ({}, DAYS)]

    async def straight(self, asked: Mapping[str, Any]) -> list[str]:
        """The IDs of Firestore's own answer, newest first."""
        order, is_by_hand = self.file.order, self.name == IN_AN_ARRAY
        least, start, end = BOUNDS[order.type]
        conditions: list[tuple[str, str, Any]] = [(order.field, ">=", start if "start_date" in asked else least)]
        if "end_date" in asked:
            conditions.append((order.field, "<=", end))
        for name, each in self.file.filters.items():
            if name in asked:
                conditions.append((each.path or name, "==", asked[name]))
        if "status" in asked and not is_by_hand:
            raw = RAW_STATUSES.get(self.name, {}).get(asked["status"], [asked["status"]])
            conditions.append((str(self.file.answer["status"].path), "in", raw))
        is_group = self.path.is_group
        query: Any = self._client.collection_group(self.path.id) if is_group else self._client.collection(self.path.id)
        for condition in conditions:
            query = query.where(filter=FieldFilter(*condition))
        snapshots = await query.order_by(order.field, direction="DESCENDING").get()
        found = [each.reference.path if is_group else each.id for each in snapshots]
        for at, name in enumerate(self.path.variables):
            found = [each for each in found if asked.get(name) in (None, self.path.values_of(self.key(each))[at])]
        status = asked.get("status") if is_by_hand else None
        return [each for each in found if status in (None, self.answers[each]["status"])]


def _at(fields: Any, path: str) -> Any:
    for name in path.split("."):
        fields = fields.get(name, {})
    return None if fields == {} else fields


@asynccontextmanager
async def served(name: str, host: str, project: str, listener: str) -> AsyncIterator[tuple[Example, RunningService]]:
    async with firestore_client(project) as client:
        example = Example(name, client)
        await example.write()
        async with running_service(host, project, schema_file=schema_file(name), listener=listener) as running:
            yield example, await running.synced()


_LISTS: dict[tuple[str, str], list[tuple[dict[str, Any], list[str]]]] = {}
"""Firestore's own answers, by example and server: the same documents give the same lists."""


async def expected_lists(example: Example, server: str) -> list[tuple[dict[str, Any], list[str]]]:
    if (example.name, server) not in _LISTS:
        questions = example.questions()
        if server == "emulator":  # the local Firestore's own suite compares the two on every kind of query
            questions = questions[:: max(1, len(questions) // 8)]
        _LISTS[example.name, server] = [(asked, await example.straight(asked)) for asked in questions]
    return _LISTS[example.name, server]


@pytest.mark.parametrize(("name", "server", "listener"), CASES)
async def test_an_example_schema_serves_its_collection(
    name: str, server: str, listener: str, project: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    firestore: BackgroundFirestore | Emulator = request.getfixturevalue(
        "local_firestore" if server == "local" else "emulator"
    )
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
    async with served(name, firestore.host, project, listener) as (example, running):
        await by_id(example, running)
        await with_children(example, running)
        await in_lists(example, running, await expected_lists(example, server))
        await page_by_page(example, running)
        await described(example, running)
        await to_those_who_wait(example, running)


@pytest.mark.parametrize("name", ALL)
async def test_what_init_drafts_serves_status_and_times_unchanged(
    name: str, project: str, local_firestore: BackgroundFirestore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    written = read_schema_file(schema_file(name))
    above = "" if written.path.is_group else f"{written.collection}/"
    local_firestore.commit(project, {f"{above}{each}": fields for each, fields in documents(name).items()})
    lines: list[str] = []
    reading = {"firestore_emulator_host": local_firestore.host, "project_id": project}
    assert await init(Settings(firestore_collection=written.collection, **reading), 50, lines.append) == 0
    drafted = tmp_path / "schema.toml"
    drafted.write_text("\n".join(lines))
    async with running_service(local_firestore.host, project, schema_file=drafted) as running:
        await running.synced()
        async with firestore_client(project) as client:
            example = Example(name, client)
        for process_id, expected in ANSWERS[name].items():
            reply = await running.get(example.url(process_id))
            body = reply.json()
            assert reply.headers["X-Cache"] == "HIT"
            for key in ("start_time", "end_time", "last_updated"):
                assert body.get(key) == expected.get(key), (key, body)
            if not written.status.names:  # what a number is called, no document says
                assert body["status"] == expected["status"]


async def by_id(example: Example, running: RunningService) -> None:
    assert example.answers.keys() == example.documents.keys()
    for process_id, expected in example.answers.items():
        reply = await running.get(example.url(process_id))
        assert (reply.headers["X-Cache"], reply.json()) == ("HIT", expected)
        assert list(reply.json()) == ["process_id", *example.file.answer]


async def with_children(example: Example, running: RunningService) -> None:
    names = list(example.file.children)
    expected = CHILDREN.get(example.name, {})
    assert bool(names) is bool(expected)
    for process_id, children_of in expected.items():
        version = (await running.get(example.url(process_id))).headers["ETag"].strip('"')
        for included in all_choices(names):
            query = "&".join(f"include_{name}={'true' if name in included else 'false'}" for name in reversed(names))
            reply = await running.get(example.url(process_id, "", query))
            body = {**example.answers[process_id], **{name: children_of[name] for name in included}}
            assert (reply.json(), list(reply.json())) == (body, list(body)), reply.body
            tag = f'"{version}{"".join(f"~{name}" for name in included)}"'
            assert (reply.headers["ETag"], reply.headers["X-Cache"]) == (tag, "MISS" if included else "HIT")
            same = await running.get(example.url(process_id, "", query), headers={"If-None-Match": f"W/{tag}"})
            assert (same.status, same.headers["X-Cache"]) == (304, "HIT")
    for name in [*names, "others"]:
        nobody = example.path.name_of(example.path.key_below_one("nobody")) if example.path.is_group else "nobody"
        missing = await running.get(example.url(nobody, "", f"include_{name}=true"))
        assert missing.status == (404 if name in names else 400), missing.body
        assert name in names or "include_others" in missing.json()["message"]


def all_choices(names: list[str]) -> list[tuple[str, ...]]:
    return [each for count in range(len(names) + 1) for each in itertools.combinations(names, count)]


async def in_lists(example: Example, running: RunningService, expected: list[tuple[dict[str, Any], list[str]]]) -> None:
    assert sum(bool(ids) for _, ids in expected) > len(expected) // 8
    for asked, ids in expected:
        reply = await running.get(f"/status?{urlencode({**asked, 'limit': 1000})}")
        assert [example.name_of(row) for row in reply.json()["processes"]] == ids, (reply.json(), asked)
        assert reply.headers["X-Cache"] == "HIT"


async def page_by_page(example: Example, running: RunningService) -> None:
    rows: list[dict[str, Any]] = []
    token = ""
    while True:
        page = (await running.get(f"/status?limit=3{token}")).json()
        rows += page["processes"]
        if page["next_page_token"] is None:
            break
        token = f"&page_token={page['next_page_token']}"
    assert [example.name_of(row) for row in rows] == await example.straight({})
    hidden = [key for key, answer in example.file.answer.items() if not answer.in_list]
    for row in rows:
        expected = example.answers[example.name_of(row)]
        assert row == {key: value for key, value in expected.items() if key not in hidden}


async def described(example: Example, running: RunningService) -> None:
    """The page learns the keys that lists really have, and filters that lists really take."""
    assert (await running.get("/ui")).status == 200
    description = (await running.get("/ui/schema.json")).json()
    [row] = (await running.get("/status?limit=1")).json()["processes"]
    assert ["process_id", *(key["name"] for key in description["keys"] if key["in_list"])] == list(row)
    asked = {each["name"]: 1 if each["type"] == "integer" else "x" for each in description["filters"]}
    assert (await running.get(f"/status?{urlencode(asked)}")).status == 200


async def to_those_who_wait(example: Example, running: RunningService) -> None:
    """A process ends: who waits for a terminal status is answered, and its stream of events ends."""
    terminal = example.file.status.terminal
    under_way = next(each for each, body in example.answers.items() if body["status"] not in terminal)
    ended = next(each for each, body in example.answers.items() if body["status"] in terminal)
    async with (
        event_source(running, example.url(under_way, "/events")) as events,
        waiting(running, example.url(under_way, "", "wait=20&until=terminal")) as waits,
    ):
        [first] = await events.take(1)
        assert first.data == example.answers[under_way]
        await example.document(under_way).set(example.documents[ended])
        named = {"process_id", *(key for key, each in example.file.answer.items() if variable_in(each.path))}
        expected = {**example.answers[ended], **{key: example.answers[under_way][key] for key in named}}
        assert (await waits).json() == expected
        assert [each.data for each in await events.take(1)] == [expected]
        assert await events.next() is None
