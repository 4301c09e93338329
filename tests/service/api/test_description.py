"""What page and terminal are told of the answers, and what a status means to people."""

import pytest

from service.api.description import FilterOffered, Key, read_description
from service.schema.description import describe
from service.schema.schema_file import default_schema, parse_schema, read_schema_file
from tests.examples import NAMES, schema_file


def test_the_default_schema_is_described() -> None:
    described = describe(default_schema())
    assert [key.name for key in described.keys if key.in_list] == [
        "status",
        "start_time",
        "end_time",
        "last_updated",
        "products_processed",
        "products_failed",
    ]
    assert described.keys[4] == Key("csv_url", "string", in_list=False)
    assert described.roles == {
        "started": "start_time",
        "ended": "end_time",
        "updated": "last_updated",
        "progress": None,
        "processed": "products_processed",
        "failed": "products_failed",
        "total": None,
        "error": None,
    }
    assert (described.order_key, described.has_days, described.has_products) == ("start_time", True, True)
    assert (described.collection, described.order_field, described.order_type) == (
        "webServiceLogs",
        "start_time",
        "timestamp",
    )
    assert (described.terminal, described.failed) == (("completed", "failed", "cancelled"), ("failed",))


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_read_as_it_was_sent_and_names_no_path_but_the_orders(name: str) -> None:
    file = read_schema_file(schema_file(name))
    described = describe(file)
    assert read_description(described.as_json()) == described
    paths = {answer.path for answer in file.answer.values() if answer.path and "." in answer.path} - {file.order.field}
    assert not [path for path in paths if path in str(described.as_json())]


@pytest.mark.parametrize(
    "body", [{}, {"keys": 1}, {"keys": [{"title": "x"}]}, {**describe(default_schema()).as_json(), "x": 1}]
)
def test_what_is_no_description_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a description"):
        read_description(body)


def test_filters_name_the_key_that_shows_the_same_value() -> None:
    described = describe(read_schema_file(schema_file("renders")))
    assert described.filters == (FilterOffered("scene", "string", "scene"), FilterOffered("shard", "integer", None))


def test_a_filter_is_not_matched_with_a_key_that_reads_the_value_otherwise() -> None:
    file = parse_schema(
        '[answer]\nstatus = "s"\nsize = { from = "n", as = "number" }\n'
        '[status]\nnames = { 1 = "on" }\n[filters]\nn = { as = "integer" }\ns = "s"'
    )
    assert [each.key for each in describe(file).filters] == [None, None]


@pytest.mark.parametrize(
    ("ordering", "answer", "expected"),
    [
        ("at", 'made = { from = "at", as = "time" }', ("made", True)),
        ("at", 'made = { from = "at", as = "string" }', ("made", False)),
        ("at", 'made = { from = "at", as = "time", in_list = false }', (None, False)),
        ("`at`", 'start_time = { from = "begun", as = "time" }', ("start_time", False)),
    ],
)
def test_lists_are_sorted_by_the_key_that_shows_the_order(
    ordering: str, answer: str, expected: tuple[str | None, bool]
) -> None:
    described = describe(parse_schema(f'[order]\nfield = "{ordering}"\n[answer]\nstatus = "s"\n{answer}'))
    assert (described.order_key, described.has_days) == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("completed", "completed"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("pending", "waiting"),
        ("Queued", "waiting"),
        ("awaiting_review", "waiting"),
        ("running", "running"),
        ("sorting", "running"),
        ("errored", "running"),
        (None, "running"),
    ],
)
def test_a_status_has_a_kind_whatever_its_word(status: str | None, kind: str) -> None:
    assert describe(default_schema()).kind(status) == kind
