"""Bounds, tokens and IDs: what a list asks for, read strictly."""

import base64

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners.window import OrderType
from service.api.list_query import (
    is_process_id,
    position_of,
    process_id_at,
    read_end_date,
    read_page_token,
    read_start_date,
    write_page_token,
)
from service.errors import BadParameter
from tests.service.schemas import order

DAY = 86_400_000_000
NOV_23 = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z


@pytest.mark.parametrize(
    ("text", "microseconds", "as_text"),
    [
        ("2026-11-23", NOV_23, "2026-11-23"),
        ("2026-11-23T00:00", NOV_23, "2026-11-23T00:00:00"),
        ("2026-11-23T00:00:00Z", NOV_23, "2026-11-23T00:00:00"),
        ("2026-11-23 00:00:00.5", NOV_23 + 500_000, "2026-11-23T00:00:00.5"),
        ("2026-11-23t00:00:00,25z", NOV_23 + 250_000, "2026-11-23T00:00:00.25"),
        ("2026-11-23T00:00:00.123456789Z", NOV_23 + 123_456, "2026-11-23T00:00:00.123456"),
        ("2026-11-23T02:00:00+02:00", NOV_23, "2026-11-23T00:00:00"),
        ("2026-11-23T02:00:00+0200", NOV_23, "2026-11-23T00:00:00"),
        ("2026-11-23T02:00:00+02", NOV_23, "2026-11-23T00:00:00"),
        ("0001-01-01", -62_135_596_800_000_000, "0001-01-01"),
    ],
)
def test_a_start_date_is_an_inclusive_lower_bound(text: str, microseconds: int, as_text: str) -> None:
    assert read_start_date(text, order("timestamp")) == microseconds
    assert read_start_date(text, order("string")) == as_text


@pytest.mark.parametrize(
    ("text", "as_timestamp", "as_string"),
    [
        ("2026-11-23", (NOV_23 + DAY, False), ("2026-11-24", False)),
        ("2026-12-31", (NOV_23 + 39 * DAY, False), ("2027-01-01", False)),
        ("2026-11-23T00:00:00Z", (NOV_23, True), ("2026-11-23T00:00:00Z", True)),
        ("2026-11-23T01:00:00+01:00", (NOV_23, True), ("2026-11-23T00:00:00Z", True)),
        ("9999-12-31", (253_402_300_799_999_999, True), ("9999-12-32", False)),
    ],
)
def test_an_end_date_takes_in_the_whole_of_its_day(
    text: str, as_timestamp: tuple[int, bool], as_string: tuple[str, bool]
) -> None:
    assert read_end_date(text, order("timestamp")) == as_timestamp
    assert read_end_date(text, order("string")) == as_string


@pytest.mark.parametrize("spelling", ["Z", ".0Z", ".000Z", "+00:00", "", ".9Z"])
@pytest.mark.parametrize("day", ["2026-11-23", "9999-12-31"])
@pytest.mark.parametrize("separator", ["T", "t", " "])
def test_every_spelling_of_an_instant_is_within_the_bounds_of_its_day(spelling: str, day: str, separator: str) -> None:
    text = f"{day}{separator}23:59:59{spelling}"
    upper, inclusive = read_end_date(day, order("string"))
    assert not inclusive
    assert str(read_start_date(day, order("string"))) <= text < str(upper)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-02-30",
        "2026-13-01",
        "0000-01-01",
        "2026-11-23T24:00:00Z",
        "2026-11-23T09:60",
        "20261123",
        "2026-11-23T09:30:00+25:00",
        "2026-11-23T09:30:00+00:99",
        "2026-11-23T09:30.5Z",
        "0001-01-01T00:00:00+01:00",
        "2026-11-23T09",
        "2026-11-23T09:30:00 01:00",
        " 2026-11-23",
        "2026-11-23\n",
        "\u0662026-11-23",
        "2026-11-23TZ",
    ],
)
def test_what_is_no_date_is_refused_naming_the_parameter(text: str) -> None:
    for start_time_type in ("timestamp", "string"):
        with pytest.raises(BadParameter, match="start_date must be an ISO 8601"):
            read_start_date(text, order(start_time_type))
        with pytest.raises(BadParameter, match="end_date must be an ISO 8601"):
            read_end_date(text, order(start_time_type))


process_ids = st.text(min_size=1, max_size=20).filter(is_process_id)
timestamps = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


@given(timestamps, process_ids)
def test_a_token_of_timestamps_comes_back_as_it_went(start: int, process_id: str) -> None:
    assert read_page_token(write_page_token((start, process_id)), order("timestamp")) == (start, process_id)


@given(st.text(max_size=30), process_ids)
def test_a_token_of_texts_comes_back_as_it_went(start: str, process_id: str) -> None:
    assert read_page_token(write_page_token((start, process_id)), order("string")) == (start, process_id)


@settings(max_examples=300)
@given(st.text() | st.text("ABCabc019_-=+/"), st.sampled_from(["timestamp", "string"]))
def test_a_token_is_accepted_only_as_it_was_written(token: str, start_time_type: OrderType) -> None:
    try:
        position = read_page_token(token, order(start_time_type))
    except BadParameter:
        return
    assert write_page_token(position) == token


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("value", "start_time_type"),
    [
        ({"2026": 1, "p1": 2}, "string"),
        ("ab", "string"),
        ([1, "p1"], "string"),
        (["2026", "p1"], "timestamp"),
        ([True, "p1"], "timestamp"),
        ([1.0, "p1"], "timestamp"),
        ([253_402_300_800_000_000, "p1"], "timestamp"),
        ([-(2**63), "p1"], "timestamp"),
        ([1, "a/b"], "timestamp"),
        ([1, 2], "timestamp"),
        ([1], "timestamp"),
        ([1, "p1", 3], "timestamp"),
        (None, "timestamp"),
    ],
)
def test_tokens_of_another_making_are_refused(value: object, start_time_type: OrderType) -> None:
    with pytest.raises(BadParameter, match="page_token"):
        read_page_token(encoded(value), order(start_time_type))


def test_a_token_has_one_spelling() -> None:
    token = write_page_token((5, "p1"))
    padded = token + "=" * (-len(token) % 4)
    spaced = base64.urlsafe_b64encode(b'[5, "p1"]').decode().rstrip("=")
    for other in (padded + "====", " " + token, token + "\n", spaced):
        with pytest.raises(BadParameter):
            read_page_token(other, order("timestamp"))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("p1", True),
        ("___", True),
        ("__", True),
        ("__x", True),
        ("x__", True),
        ("é" * 750, True),
        ("...", True),
        ("", False),
        (".", False),
        ("..", False),
        ("____", False),
        ("__id7__", True),
        ("__id-5__", True),
        ("__id9223372036854775807__", True),
        ("__id-9223372036854775808__", True),
        ("__id9223372036854775808__", False),
        ("__id-9223372036854775809__", False),
        ("__id08__", False),
        ("__id0__", False),
        ("__id-0__", False),
        ("__id+7__", False),
        ("__id__", False),
        ("__id7 __", False),
        ("__id٣__", False),
        ("__x__", False),
        ("a/b", False),
        ("é" * 751, False),
        ("x" * 1501, False),
        ("\ud800", False),
    ],
)
def test_process_ids_follow_firestores_rules(text: str, is_one: bool) -> None:
    assert is_process_id(text) is is_one


def test_numeric_ids_sort_by_number_before_all_others_of_their_start() -> None:
    ids = ["__id-9223372036854775808__", "__id-5__", "__id7__", "__id12__", "\0", "12", "7", "_id1__", "__idx"]
    in_order = [*ids[:5], "12", "7", "__idx", "_id1__"]
    assert [process_id_at(each) for each in sorted(position_of(5, id_) for id_ in ids)] == in_order
    for id_ in ids:
        assert position_of(4, "z") < position_of(5, id_) < position_of(6, "__id-9__")
        assert read_page_token(write_page_token(position_of(5, id_)), order("timestamp")) == position_of(5, id_)


def test_a_page_token_of_an_invalid_numeric_id_is_refused() -> None:
    token = base64.urlsafe_b64encode(b'[5,"__id08__"]').decode().rstrip("=")
    with pytest.raises(BadParameter):
        read_page_token(token, order("timestamp"))
