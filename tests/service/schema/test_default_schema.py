"""A document under the default schema → ProcessSummary: tolerant, exact, and never raising."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.cloud.firestore_v1 import GeoPoint
from google.cloud.firestore_v1.vector import Vector
from hypothesis import example, given, settings
from hypothesis import strategies as st

from listeners.times import microseconds, moment
from listeners.window import OrderType
from service.schema.children import with_children
from service.schema.compiled import Summarized
from service.schema.readers import MALFORMED, read_time
from service.schema.schema_file import default_schema
from tests.service.schemas import schema

FIELDS = tuple(default_schema().answer)

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
FULL: dict[str, object] = {
    "status": "running",
    "start_time": NOON,
    "end_time": NOON + timedelta(microseconds=500_000),
    "last_updated": "2026-11-23T13:00:00.120+01:00",
    "csv_url": 'gs://bucket/"quoted".csv',
    "products_processed": 3,
    "products_failed": 1.0,
}


def summarize(process_id: str, version: int, fields: dict[str, object], order_type: OrderType) -> Summarized:
    return schema(order_type).summarize(process_id, version, fields)


def read_time_text(value: object) -> object:
    text = read_time(value)
    return None if text is MALFORMED else text


def test_a_body_has_the_keys_of_the_contract_in_their_order() -> None:
    made, malformed = summarize("p/1", 7, FULL, "timestamp")
    assert malformed == ()
    assert made.body == (
        b'{"process_id":"p/1","status":"running","start_time":"2026-11-23T12:00:00Z",'
        b'"end_time":"2026-11-23T12:00:00.5Z","last_updated":"2026-11-23T12:00:00.12Z",'
        b'"csv_url":"gs://bucket/\\"quoted\\".csv","products_processed":3,"products_failed":1}'
    )


def test_a_lists_row_is_the_body_without_csv_url() -> None:
    made, _ = summarize("p1", 7, FULL, "timestamp")
    assert made.row == (
        b'{"process_id":"p1","status":"running","start_time":"2026-11-23T12:00:00Z",'
        b'"end_time":"2026-11-23T12:00:00.5Z","last_updated":"2026-11-23T12:00:00.12Z",'
        b'"products_processed":3,"products_failed":1}'
    )


def test_an_empty_document_is_all_null_and_nothing_in_it_is_malformed() -> None:
    made, malformed = summarize("p1", 7, {}, "timestamp")
    assert malformed == ()
    assert json.loads(made.body) == {"process_id": "p1", **dict.fromkeys(FIELDS)}
    assert (made.position, made.status, made.version) == (None, None, 7)


def test_fields_that_cannot_be_read_are_null_and_named() -> None:
    odd: dict[str, object] = {
        "status": 5,
        "start_time": [1],
        "end_time": "soon",
        "last_updated": True,
        "csv_url": b"x",
        "products_processed": 1.5,
        "products_failed": "3",
    }
    made, malformed = summarize("p1", 7, odd, "timestamp")
    assert malformed == FIELDS
    assert json.loads(made.row) == {"process_id": "p1", **{f: None for f in FIELDS if f != "csv_url"}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOON, "2026-11-23T12:00:00Z"),
        (NOON + timedelta(microseconds=1), "2026-11-23T12:00:00.000001Z"),
        (datetime(2026, 11, 23, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-22T23:00:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), None),
        ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"),
        ("2026-11-23t12:00:00z", "2026-11-23T12:00:00Z"),
        ("2026-11-23 12:00:00", "2026-11-23T12:00:00Z"),
        ("2026-11-23T12:00:00.123456789Z", "2026-11-23T12:00:00.123456Z"),
        ("2026-11-23T12:00:00.000Z", "2026-11-23T12:00:00Z"),
        ("2026-11-23T12:00:00-05:30", "2026-11-23T17:30:00Z"),
        ("2026-02-30T12:00:00Z", None),
        ("2026-11-23T25:00:00Z", None),
        ("2026-11-23T12:00:00+99:00", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("2026-11-23", None),
        ("", None),
        ("\u0661026-11-23T12:00:00Z", None),
        (0, "1970-01-01T00:00:00Z"),
        (1_795_435_200, "2026-11-23T12:00:00Z"),
        (1_795_435_200.25, "2026-11-23T12:00:00.25Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (2**62, None),
        (10**400, None),
        (1e308, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (b"2026-11-23T12:00:00Z", None),
        ({}, None),
    ],
)
def test_times_are_rfc_3339_utc_or_null(value: object, text: str | None) -> None:
    assert read_time_text(value) == text


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (-3, -3),
        (5.0, 5),
        (-0.0, 0),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (1e300, None),
        (1.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (False, None),
        ("5", None),
        ([5], None),
    ],
)
def test_a_count_is_an_integer_or_an_integral_double(value: object, count: int | None) -> None:
    made, malformed = summarize("p1", 7, {"products_processed": value}, "timestamp")
    assert json.loads(made.body)["products_processed"] == count
    assert malformed == (() if count is not None else ("products_processed",))


@pytest.mark.parametrize(
    ("start_time_type", "value", "start"),
    [
        ("timestamp", NOON, 1_795_435_200_000_000),
        ("timestamp", NOON - timedelta(days=365_000), -29_740_564_800_000_000),
        ("timestamp", "2026-11-23T12:00:00Z", None),
        ("timestamp", 1_795_435_200, None),
        ("string", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"),
        ("string", "soon", "soon"),
        ("string", "", ""),
        ("string", NOON, None),
        ("string", None, None),
    ],
)
def test_lists_hold_only_the_start_times_of_the_configured_type(
    start_time_type: OrderType, value: object, start: int | str | None
) -> None:
    made, _ = summarize("p1", 7, {"start_time": value}, start_time_type)
    assert made.position == (None if start is None else (start, "p1"))


firestore_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.timezones() | st.just(UTC))
    | st.builds(GeoPoint, st.floats(-90, 90), st.floats(-180, 180))
    | st.builds(Vector, st.lists(st.floats(), max_size=3))
    | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.thorough
@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(FIELDS), firestore_values), st.sampled_from(["timestamp", "string"]))
@example({"start_time": 1e300, "end_time": "2026-02-30T00:00:00Z", "products_failed": 1e300}, "timestamp")
def test_no_value_of_firestores_makes_decoding_raise(fields: dict[str, object], start_time_type: OrderType) -> None:
    made, malformed = summarize("p1", 7, fields, start_time_type)
    body, row = json.loads(made.body), json.loads(made.row)
    assert list(body) == ["process_id", *FIELDS]
    assert row == {name: value for name, value in body.items() if name != "csv_url"}
    assert set(malformed) == {name for name, value in fields.items() if value is not None and body[name] is None}


def test_products_are_the_last_key() -> None:
    made, _ = summarize("p1", 7, {}, "timestamp")
    assert with_children(made.body, {"products": b"null"}).endswith(b'"products_failed":null,"products":null}')


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_and_moments_are_inverse(value: datetime) -> None:
    assert moment(microseconds(value)) == value
