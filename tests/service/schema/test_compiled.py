"""A compiled schema: documents become answers, rows, positions and filter values; what can't be read becomes null."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listeners.firestore_values import UNDECODED
from service.runtime.times import render_time
from service.schema.compiled import ProcessSummary, Schema
from service.schema.readers import raw_statuses
from service.schema.schema_file import default_schema, parse_schema

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HEAD = '[status]\nterminal = ["done"]\n'


def summary_of(schema: str, fields: dict[str, Any], process_id: str = "p") -> tuple[dict[str, Any], tuple[str, ...]]:
    summary, malformed = Schema(parse_schema(schema)).summarize(process_id, 17, fields)
    return orjson.loads(summary.body), malformed


def shown(answer: str, value: object) -> tuple[object, tuple[str, ...]]:
    """What the key `x`, declared so, shows of a value."""
    body, malformed = summary_of(f"[answer]\nstatus = 'status'\nx = {answer}", {"x": value})
    return body["x"], malformed


def test_keys_come_in_the_schemas_order_behind_the_id() -> None:
    body, _ = summary_of("[answer]\nend = 'e'\nstatus = 's.t'\nbegin = 'b'", {"s.t": "x", "e": "1"})
    assert list(body.items()) == [("process_id", "p"), ("end", "1"), ("status", "x"), ("begin", None)]


@pytest.mark.parametrize(
    ("answer", "value", "expected"),
    [
        ("'x'", "text", "text"),
        ("{ as = 'time' }", NOON, "2026-11-28T12:00:00Z"),
        ("{ as = 'time' }", "2026-11-28T13:00:00.120+01:00", "2026-11-28T12:00:00.12Z"),
        ("{ as = 'time' }", "2026-11-28 12:00:00", "2026-11-28T12:00:00Z"),
        ("{ as = 'time' }", 1_795_867_200, "2026-11-28T12:00:00Z"),
        ("{ as = 'time', unit = 'ms' }", 1_795_867_200_250, "2026-11-28T12:00:00.25Z"),
        ("{ as = 'time', unit = 'ms', zero_is_null = true }", 0, None),
        ("{ as = 'time', unit = 'ms', zero_is_null = true }", 0.0, None),
        ("{ as = 'time' }", 0, "1970-01-01T00:00:00Z"),
        ("{ as = 'integer' }", 7, 7),
        ("{ as = 'integer' }", 7.0, 7),
        ("{ as = 'integer', zero_is_null = true }", 0, None),
        ("{ as = 'number' }", 0.25, 0.25),
        ("{ as = 'number' }", 3, 3),
        ("{ as = 'boolean' }", False, False),
        ("{ as = 'json' }", {"at": NOON, "raw": b"\x00", "n": [1, None, float("nan")]},
         {"at": "2026-11-28T12:00:00Z", "raw": "AA==", "n": [1, None, None]}),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_its_type(answer: str, value: object, expected: object) -> None:
    assert shown(answer, value) == (expected, ())


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("'x'", 7),
        ("'x'", UNDECODED),
        ("{ as = 'time' }", True),
        ("{ as = 'time' }", "yesterday"),
        ("{ as = 'time' }", "2026-02-30T00:00:00Z"),
        ("{ as = 'time' }", float("nan")),
        ("{ as = 'time' }", 2**63),
        ("{ as = 'time', zero_is_null = true }", False),
        ("{ as = 'integer' }", True),
        ("{ as = 'integer' }", 2.0**63),
        ("{ as = 'integer' }", 2**63),
        ("{ as = 'integer' }", 0.5),
        ("{ as = 'integer' }", "7"),
        ("{ as = 'number' }", float("inf")),
        ("{ as = 'number' }", float("nan")),
        ("{ as = 'boolean' }", 1),
        ("{ as = 'json' }", UNDECODED),
    ],
)
def test_what_cannot_be_read_is_null_and_named(answer: str, value: object) -> None:
    assert shown(answer, value) == (None, ("x",))


@settings(max_examples=300)
@given(
    st.datetimes(
        datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5)))
    ),
    st.sampled_from((0, 1, 9, 10, 120_000, 500_000, 999_999)) | st.integers(0, 999_999),
)
def test_a_time_is_shown_alike_whoever_renders_it(value: datetime, fraction: int) -> None:
    value = value.replace(microsecond=fraction)
    assert shown("{ as = 'time' }", value) == (render_time(value), ())


def test_absent_and_null_are_null_and_no_fault() -> None:
    assert shown("{ as = 'integer' }", None) == (None, ())


@pytest.mark.parametrize(
    ("value", "word"),
    [(0, "queued"), (3, "done"), (3.0, "done"), ("3", "done"), (4, "4"), ("other", "other"), ("old", "new")],
)
def test_a_status_has_the_name_of_its_value(value: object, word: str) -> None:
    schema = "[status]\nnames = { 0 = 'queued', 3 = 'done', old = 'new' }\n[answer]\nstatus = 'status'"
    assert summary_of(schema, {"status": value}) == ({"process_id": "p", "status": word}, ())


@pytest.mark.parametrize("value", [True, 0.5, NOON, UNDECODED])
def test_a_status_that_is_no_text_or_integer_is_null_and_named(value: object) -> None:
    assert summary_of("[answer]\nstatus = 'status'", {"status": value})[1] == ("status",)


@pytest.mark.parametrize(
    ("word", "raw"),
    [("queued", ["0", "queued", 0]), ("7", ["7", 7]), ("x", ["x"]), ("y", ["x", "y"]), ("07", ["07"])],
)
def test_a_word_is_asked_for_as_every_value_it_stands_for(word: str, raw: list[str | int]) -> None:
    names = {"0": "queued", "x": "y"} if word != "x" else {}
    assert raw_statuses(names, word) == raw


def test_a_word_that_names_another_value_does_not_stand_for_itself() -> None:
    assert raw_statuses({"done": "finished", "3": "done"}, "done") == ["3", 3]


def test_a_row_is_the_answer_without_what_lists_do_not_show() -> None:
    hidden = "{ in_list = false }"
    answer = f"a = {hidden}\nstatus = 'status'\nb = {hidden}\nc = {hidden}\nd = 'd'"
    schema = Schema(parse_schema(f"[answer]\n{answer}"))
    summary, _ = schema.summarize("p", 17, {"a": "A", "status": "s", "b": "B", "c": "C", "d": "D"})
    assert summary.body == b'{"process_id":"p","a":"A","status":"s","b":"B","c":"C","d":"D"}'
    assert summary.row == b'{"process_id":"p","status":"s","d":"D"}'


@pytest.mark.parametrize(
    ("type_", "value", "key"),
    [
        ("timestamp", NOON, 1_795_867_200_000_000),
        ("timestamp", "2026-11-28T12:00:00Z", None),
        ("string", "2026-11-28T12:00:00Z", "2026-11-28T12:00:00Z"),
        ("string", NOON, None),
        ("milliseconds", 1_795_867_200_000, 1_795_867_200_000),
        ("milliseconds", 1.5, 1.5),
        ("seconds", True, None),
        ("seconds", float("nan"), None),
        ("seconds", None, None),
    ],
)
def test_a_document_is_listed_where_its_order_field_has_the_type(type_: str, value: object, key: object) -> None:
    schema = Schema(parse_schema(f"[order]\nfield = 'at'\ntype = '{type_}'\n[answer]\nstatus = 'status'"))
    summary, _ = schema.summarize("p", 17, {"at": value})
    assert summary.position == (None if key is None else (key, "p"))


def test_filters_hold_what_can_be_equal_to_them() -> None:
    schema = Schema(parse_schema("[answer]\nstatus = 's'\n[filters]\nowner = 'uid'\nshard = { as = 'integer' }"))
    values = [
        schema.summarize("p", 17, fields)[0].filters
        for fields in ({"uid": "u", "shard": 3.0}, {"uid": 7, "shard": "3"}, {}, {"uid": None, "shard": 0.5})
    ]
    assert values == [("u", 3), (None, None), (None, None), (None, None)]


ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.sampled_from('aä\0"\\é😀'), max_size=9),
    st.binary(),
    st.datetimes(timezones=st.just(UTC)),
    st.just(UNDECODED),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*default_schema().answer, "secret"]), ANY))
def test_whatever_a_document_holds_the_answer_is_json_with_the_schemas_keys(fields: dict[str, Any]) -> None:
    summary, malformed = Schema(default_schema()).summarize("p", 17, fields)
    body = json.loads(summary.body)
    assert list(body) == ["process_id", *default_schema().answer]
    assert list(json.loads(summary.row)) == [key for key in body if key != "csv_url"]
    assert all(body[key] is None for key in malformed)
    assert isinstance(summary, ProcessSummary)
