"""Values of the wrong kind, through the model and through direct reads alike: null, a count, never a wrong answer."""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, running_service

SCHEMA = """
collection = "webServiceLogs"
[order]
field = "at"
type = "milliseconds"
[status]
names = { 0 = "queued", 3 = "done" }
[answer]
status = "status"
begun = { from = "at", as = "time", unit = "ms" }
ended = { as = "time", unit = "ms", zero_is_null = true }
seconds = { as = "time" }
count = { as = "integer" }
share = { as = "number" }
flag = { as = "boolean" }
text = "text"
inner = "map.text"
last = "steps[-1].name"
whole = { as = "json" }
[filters]
count = { as = "integer" }
text = "text"
"""
AT, BEGUN = 1_763_890_200_000, "2025-11-23T09:30:00Z"
BIG = 2**63
NOTHING = dict.fromkeys(("ended", "seconds", "count", "share", "flag", "text", "inner", "last", "whole"))

CASES: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    # name, fields of the document, keys of the answer that are not null, keys that are counted
    ("zero-end", {"ended": 0}, {}, set()),
    ("zero-point-zero-end", {"ended": 0.0}, {}, set()),
    ("end-as-ms", {"ended": AT}, {"ended": BEGUN}, set()),
    ("end-as-ms-text", {"ended": str(AT)}, {}, {"ended"}),
    ("ms-for-seconds", {"seconds": AT}, {}, {"seconds"}),
    ("zero-seconds", {"seconds": 0}, {"seconds": "1970-01-01T00:00:00Z"}, set()),
    ("boolean-end", {"ended": False}, {}, {"ended"}),
    ("boolean-count", {"count": True}, {}, {"count"}),
    ("boolean-share", {"share": False}, {}, {"share"}),
    ("integer-flag", {"flag": 1}, {}, {"flag"}),
    ("text-flag", {"flag": "true"}, {}, {"flag"}),
    ("text-count", {"count": "5"}, {}, {"count"}),
    ("half-count", {"count": 1.5}, {}, {"count"}),
    ("integral-count", {"count": 5.0}, {"count": 5}, set()),
    ("nan", {"count": math.nan, "share": math.nan, "ended": math.nan}, {}, {"count", "share", "ended"}),
    ("infinite", {"count": math.inf, "share": -math.inf, "seconds": math.inf}, {}, {"count", "share", "seconds"}),
    ("nan-within", {"whole": {"a": [math.nan, math.inf, 1]}}, {"whole": {"a": [None, None, 1]}}, set()),
    ("greatest", {"count": BIG - 1, "share": BIG - 1}, {"count": BIG - 1, "share": BIG - 1}, set()),
    ("least", {"count": -BIG}, {"count": -BIG}, set()),
    ("too-great", {"count": float(BIG), "ended": float(BIG)}, {}, {"count", "ended"}),
    ("great-share", {"share": float(BIG)}, {"share": float(BIG)}, set()),
    ("map-for-text", {"text": {"de": "x"}}, {}, {"text"}),
    ("list-for-text", {"text": ["x"]}, {}, {"text"}),
    ("number-for-text", {"text": 5}, {}, {"text"}),
    (
        "map-for-all",
        {key: {"a": 1} for key in ("ended", "count", "share", "flag")},
        {},
        {"ended", "count", "share", "flag"},
    ),
    ("text-for-map", {"map": "x"}, {}, set()),
    ("map-in-map", {"map": {"text": {"a": 1}}}, {}, {"inner"}),
    ("empty-list", {"steps": []}, {}, set()),
    ("map-for-list", {"steps": {"name": "x"}}, {}, set()),
    ("last-of-list", {"steps": [{"name": "a"}, {"name": "b"}]}, {"last": "b"}, set()),
    ("null-all", dict.fromkeys(("ended", "count", "share", "flag", "text", "map", "steps", "whole")), {}, set()),
]
STATUSES: list[tuple[Any, str | None]] = [
    ("running", "running"),
    (0, "queued"),
    (3.0, "done"),
    (True, None),
    (math.nan, None),
    (float(BIG), None),
    ({"code": 3}, None),
    (["running"], None),
    (None, None),
    (7, "7"),
    ("0", "queued"),
]


def written(fields: dict[str, Any]) -> dict[str, Any]:
    return {"status": "running", "at": AT, **fields}


def expected(process_id: str, shown: dict[str, Any]) -> dict[str, Any]:
    return {"process_id": process_id, "status": "running", "begun": BEGUN, **NOTHING, **shown}


async def counts(running: RunningService) -> dict[str, float]:
    keys = ("status", "begun", *NOTHING)
    return {key: await running.metric("malformed_fields_total", field=key) for key in keys}


async def ask(running: RunningService, process_id: str, source: str) -> Any:
    """From the model, or by a direct read, which is what a window too small to hold it makes necessary."""
    reply = await running.get(f"/status/{process_id}")
    assert reply.headers["X-Cache"] == source
    return reply.json()


@pytest.mark.parametrize(("window_size", "source"), [(0, "HIT"), (1, "MISS")], ids=["model", "direct"])
async def test_a_value_of_the_wrong_kind_is_null_and_counted(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path, window_size: int, source: str
) -> None:
    local_firestore.commit(project, {f"{COLLECTION}/{name}": written(fields) for name, fields, _, _ in CASES})
    local_firestore.commit(project, {f"{COLLECTION}/newest": {"status": "running", "at": AT + 1}})
    async with running_service(
        local_firestore.host, project, schema_file=schema_file, window_size=window_size
    ) as running:
        await running.synced()
        was_counted = any((await counts(running)).values())
        for name, _, shown, _ in CASES:
            assert await ask(running, name, source) == expected(name, shown), name
        counted = {key: count for key, count in (await counts(running)).items() if count}
        named = [key for _, _, _, malformed in CASES for key in malformed]
        assert counted == {key: named.count(key) for key in set(named)}, "once for each, in the model or in the read"
        assert was_counted is (source == "HIT"), "the model has read them before it is asked"


@pytest.mark.parametrize(("window_size", "source"), [(0, "HIT"), (1, "MISS")], ids=["model", "direct"])
async def test_a_status_that_changes_its_type_between_writes_is_never_a_former_one(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path, window_size: int, source: str
) -> None:
    local_firestore.commit(project, {f"{COLLECTION}/newest": {"status": "running", "at": AT + 1}})
    strong = {"Cache-Control": "no-cache"}
    async with running_service(
        local_firestore.host, project, schema_file=schema_file, window_size=window_size
    ) as running:
        await running.synced()
        unreadable = 0
        for status, word in STATUSES:
            local_firestore.commit(project, {f"{COLLECTION}/p": {"status": status, "at": AT}})
            reply = await running.get("/status/p", headers=strong)
            assert (reply.headers["X-Cache"], reply.json()["status"]) == (source, word), status
            unreadable += word is None and status is not None
            assert await running.metric("malformed_fields_total", field="status") == unreadable, status
            page = await running.get("/status?status=done", headers=strong)
            assert [row["process_id"] for row in page.json()["processes"]] == (["p"] if word == "done" else [])


async def test_filters_hold_no_value_of_another_kind(
    local_firestore: BackgroundFirestore, project: str, schema_file: Path
) -> None:
    odd = [True, "5", 5.5, math.nan, {"a": 5}, [5], None, float(BIG)]
    documents = {f"{COLLECTION}/odd-{number}": written({"count": value}) for number, value in enumerate(odd)}
    right = {f"{COLLECTION}/right-{number}": written({"count": value}) for number, value in enumerate((5, 5.0))}
    local_firestore.commit(project, documents | right)
    async with running_service(local_firestore.host, project, schema_file=schema_file) as running:
        await running.synced()
        for headers in ({}, {"Cache-Control": "no-cache"}):
            page = await running.get("/status?count=5", headers=headers)
            assert [row["process_id"] for row in page.json()["processes"]] == ["right-1", "right-0"]
        wrong = await running.get("/status?count=five")
        assert (wrong.status, wrong.json()["message"]) == (400, "count must be a whole number of 64 bits")
