"""Queries of the client library, on both servers: filters, order across types, cursors, counts."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition, InvalidArgument
from google.cloud.firestore_v1 import And, FieldFilter, GeoPoint, Or

OF_EVERY_TYPE: dict[str, Any] = {
    "null": None,
    "false": False,
    "true": True,
    "nan": math.nan,
    "minus": -1,
    "half": 0.5,
    "one-double": 1.0,
    "one-integer": 1,
    "two53-double": 2.0**53,
    "two53-integer+1": 2**53 + 1,
    "time": datetime(2026, 1, 1, tzinfo=UTC),
    "time+1us": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "text-": "",
    "text-Z": "Z",
    "text-a": "a",
    "text-é": "é",
    "text-\uffff": "\uffff",
    "text-emoji": "😀",
    "bytes": b"\x00",
    "geo": GeoPoint(1, 2),
    "list": [1],
    "list-longer": [1, 0],
    "map": {"a": 1},
    "map-b": {"b": 0},
}
"""One document of each, in the order in which Firestore sorts them."""


@pytest.fixture
def of_every_type(client: Any) -> Any:
    collection = client.collection("values")
    batch = client.batch()
    for name, value in OF_EVERY_TYPE.items():
        batch.set(collection.document(name), {"value": value})
    batch.set(collection.document("without"), {"other": 1})
    batch.commit()
    return collection


@pytest.fixture
def jobs(client: Any) -> Any:
    collection = client.collection("jobs")
    batch = client.batch()
    for number in range(10):
        status = "failed" if number % 3 == 0 else "running"
        batch.set(collection.document(f"job{number}"), {"n": number, "half": number // 2, "status": status})
    batch.commit()
    return collection


def ids(found: Any) -> list[str]:
    return [snapshot.id for snapshot in found]


def test_values_of_all_types_are_sorted_as_firestore_sorts_them(of_every_type: Any) -> None:
    assert ids(of_every_type.order_by("value").stream()) == list(OF_EVERY_TYPE)


def test_descending_order_reverses_values_and_names(of_every_type: Any) -> None:
    found = ids(of_every_type.order_by("value", direction="DESCENDING").stream())
    assert found == list(reversed(OF_EVERY_TYPE))


def test_documents_without_the_ordering_field_are_left_out(of_every_type: Any) -> None:
    assert "without" not in ids(of_every_type.order_by("value").stream())


def test_without_an_order_documents_come_by_name(of_every_type: Any) -> None:
    found = ids(of_every_type.stream())
    assert found == sorted([*OF_EVERY_TYPE, "without"], key=str.encode)


@pytest.mark.parametrize(
    ("operator", "operand", "found"),
    [
        ("==", 1, ["one-double", "one-integer"]),
        ("==", None, ["null"]),
        ("==", math.nan, ["nan"]),
        ("==", [1], ["list"]),
        ("==", {"a": 1}, ["map"]),
        ("<", 1, ["minus", "half"]),
        ("<=", 1.0, ["minus", "half", "one-double", "one-integer"]),
        (">", 2.0**53, ["two53-integer+1"]),
        (">=", "a", ["text-a", "text-é", "text-\uffff", "text-emoji"]),
        (">=", "", ["text-", "text-Z", "text-a", "text-é", "text-\uffff", "text-emoji"]),
        (">", datetime(2026, 1, 1, tzinfo=UTC), ["time+1us"]),
        (">=", datetime.min.replace(tzinfo=UTC), ["time", "time+1us"]),
        (">=", False, ["false", "true"]),
        (">", [1], ["list-longer"]),
        ("in", [1, "a", None], ["one-double", "one-integer", "text-a"]),
        ("array_contains", 0, ["list-longer"]),
        ("array_contains_any", [0, 1.0], ["list", "list-longer"]),
        ("!=", 1, [n for n in OF_EVERY_TYPE if n not in {"null", "one-double", "one-integer"}]),
        ("!=", None, [n for n in OF_EVERY_TYPE if n != "null"]),
        ("!=", math.nan, [n for n in OF_EVERY_TYPE if n not in {"null", "nan"}]),
        ("not-in", [1, "a"], [n for n in OF_EVERY_TYPE if n not in {"null", "one-double", "one-integer", "text-a"}]),
        ("not-in", [1, None], []),
    ],
)
def test_filters_compare_within_one_type_only(
    of_every_type: Any, operator: str, operand: Any, found: list[str]
) -> None:
    query = of_every_type.where(filter=FieldFilter("value", operator, operand)).order_by("value")
    assert ids(query.stream()) == found


def test_a_page_starts_after_the_last_snapshot_of_the_one_before(jobs: Any) -> None:
    query = jobs.where(filter=FieldFilter("status", "==", "running")).order_by("half", direction="DESCENDING").limit(4)
    first = list(query.stream())
    assert ids(first) == ["job8", "job7", "job5", "job4"]
    assert ids(query.start_after(first[-1]).stream()) == ["job2", "job1"]


@pytest.mark.parametrize(
    ("cursor", "found"),
    [
        (lambda q: q.start_at({"half": 3}), ["job6", "job7", "job8", "job9"]),
        (lambda q: q.start_after({"half": 3}), ["job8", "job9"]),
        (lambda q: q.end_at({"half": 0}), ["job0", "job1"]),
        (lambda q: q.end_before({"half": 1}), ["job0", "job1"]),
        (lambda q: q.start_at({"half": 1}).end_before({"half": 2}), ["job2", "job3"]),
        (lambda q: q.limit_to_last(3), ["job7", "job8", "job9"]),
        (lambda q: q.offset(7).limit(2), ["job7", "job8"]),
    ],
)
def test_cursors_and_limits_cut_the_ordered_result(jobs: Any, cursor: Any, found: list[str]) -> None:
    assert ids(cursor(jobs.order_by("half")).get()) == found


@pytest.mark.parametrize(
    ("cursor", "found"),
    [
        (lambda q: q.start_at({"half": 3}), ["job7", "job6", "job5", "job4", "job3", "job2", "job1", "job0"]),
        (lambda q: q.start_after({"half": 1}), ["job1", "job0"]),
        (lambda q: q.end_at({"half": 4}), ["job9", "job8"]),
        (lambda q: q.end_before({"half": 4}), []),
    ],
)
def test_cursors_follow_a_descending_order(jobs: Any, cursor: Any, found: list[str]) -> None:
    assert ids(cursor(jobs.order_by("half", direction="DESCENDING")).stream()) == found


def test_several_orders_each_keep_their_direction(jobs: Any) -> None:
    query = jobs.order_by("half", direction="DESCENDING").order_by("n").limit(4)
    assert ids(query.stream()) == ["job8", "job9", "job6", "job7"]
    assert ids(query.start_after({"half": 4, "n": 9}).stream()) == ["job6", "job7", "job4", "job5"]


def test_an_inequality_orders_by_its_field_and_a_second_one_filters(jobs: Any) -> None:
    both = And([FieldFilter("half", ">", 0), FieldFilter("n", "<", 5)])
    assert ids(jobs.where(filter=both).stream()) == ["job2", "job3", "job4"]


def test_an_or_unites_its_filters(jobs: Any) -> None:
    either = Or(
        [FieldFilter("n", "==", 7), And([FieldFilter("status", "==", "failed"), FieldFilter("half", "in", [0, 3])])]
    )
    assert ids(jobs.where(filter=either).stream()) == ["job0", "job6", "job7"]


def test_names_can_be_filtered_and_ordered(jobs: Any) -> None:
    query = jobs.where(filter=FieldFilter("__name__", ">", jobs.document("job6"))).order_by("__name__")
    assert ids(query.stream()) == ["job7", "job8", "job9"]


def test_a_projection_returns_only_the_fields_asked_for(client: Any) -> None:
    reference = client.collection("maps").document("m")
    reference.set({"a": {"x": 1, "y": 2}, "b": 3, "odd.name": 4})
    (found,) = client.collection("maps").select(["a.x", "`odd.name`"]).stream()
    assert found.to_dict() == {"a": {"x": 1}, "odd.name": 4}
    assert found.update_time == reference.get().update_time
    (bare,) = client.collection("maps").select([]).stream()
    assert bare.to_dict() == {}


def test_counts_and_sums_agree_with_the_query(jobs: Any) -> None:
    running = jobs.where(filter=FieldFilter("status", "==", "running"))
    assert running.count(alias="all").get()[0][0].value == 6
    assert running.limit(4).count().get()[0][0].value == 4
    assert jobs.where(filter=FieldFilter("n", ">=", 3)).count().get()[0][0].value == 7
    sums = {result.alias: result.value for result in running.sum("n", alias="s").avg("n", alias="a").get()[0]}
    assert sums == {"s": 27, "a": 4.5}


def test_a_collection_group_finds_documents_at_every_depth(client: Any) -> None:
    client.document("jobs/a/products/p1").set({"n": 1})
    client.document("jobs/b/products/p0").set({"n": 2})
    client.document("products/p2").set({"n": 3})
    client.document("jobs/a/other/p3").set({"n": 4})
    assert ids(client.collection_group("products").stream()) == ["p1", "p0", "p2"]
    assert ids(client.collection_group("products").order_by("n", direction="DESCENDING").stream()) == ["p2", "p0", "p1"]
    assert ids(client.collection("jobs").stream()) == []


def test_a_read_time_shows_the_documents_as_they_were(client: Any) -> None:
    collection = client.collection("past")
    collection.document("gone").set({"n": 1})
    then = collection.document("kept").set({"n": 1}).update_time
    collection.document("gone").delete()
    collection.document("kept").set({"n": 2})
    collection.document("new").set({"n": 3})
    past = list(collection.order_by("n").stream(read_time=then))
    assert {snapshot.id: snapshot.to_dict() for snapshot in past} == {"gone": {"n": 1}, "kept": {"n": 1}}
    assert collection.document("kept").get(read_time=then).to_dict() == {"n": 1}
    assert not collection.document("new").get(read_time=then).exists
    assert collection.count().get(read_time=then)[0][0].value == 2


def test_a_read_time_out_of_reach_is_refused(client: Any) -> None:
    document = client.document("past/a")
    with pytest.raises(FailedPrecondition):
        document.get(read_time=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidArgument):
        document.get(read_time=datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda c: c.where(filter=FieldFilter("n", "in", list(range(31)))),
        lambda c: c.where(filter=FieldFilter("n", "not-in", list(range(11)))),
        lambda c: c.where(filter=FieldFilter("n", "in", [])),
        lambda c: c.where(filter=FieldFilter("n", "!=", 1)).where(filter=FieldFilter("m", "not-in", [1])),
        lambda c: c.limit(-1),
        lambda c: c.offset(-1),
    ],
)
def test_a_query_firestore_refuses_is_an_invalid_argument(client: Any, wrong: Any) -> None:
    with pytest.raises(InvalidArgument):
        list(wrong(client.collection("jobs")).stream())
