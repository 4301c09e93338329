"""The filters of the schema in force as parameters of a list."""

from typing import Any

import pytest

from service.api.list_query import Filters, ListQuery, write_page_token
from service.api.listing import Listing
from service.api.openapi import openapi_document
from service.api.ordering import Order
from service.errors import BadParameter
from service.schema.description import describe
from service.schema.schema_file import default_schema
from tests.service.schemas import order

DESCRIBED = describe(default_schema())
LISTING = Listing(order(), {"owner": "string", "shard": "integer"})


@pytest.mark.parametrize(
    ("raw", "filters"),
    [
        ("", {}),
        ("owner=ann", {"owner": "ann"}),
        ("owner=7", {"owner": "7"}),
        ("shard=7", {"shard": 7}),
        ("shard=-9223372036854775808&status=done&owner=%C3%A9", {"status": "done", "owner": "é", "shard": -(2**63)}),
        ("owner=" + "%C3%A9" * 750, {"owner": "é" * 750}),
    ],
)
def test_a_filter_of_the_schema_is_a_parameter(raw: str, filters: dict[str, str | int]) -> None:
    assert LISTING.read(raw) == ListQuery(10, filters=filters)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("owner=", "owner must have 1 to 1,500 bytes"),
        ("owner=" + "%C3%A9" * 751, "owner must have 1 to 1,500 bytes"),
        ("shard=", "shard must be a whole number of 64 bits"),
        ("shard=1.0", "shard must be a whole number of 64 bits"),
        ("shard=9223372036854775808", "shard must be a whole number of 64 bits"),
        ("shard=" + "9" * 5000, "shard must be a whole number of 64 bits"),
        ("owner=a&owner=b", "owner can be given only once"),
        ("tenant=a", "unknown parameter 'tenant'; known here: limit, status, owner, shard, stalled"),
        ("process_id=a&owner=b", "process_id can't be combined with owner"),
    ],
)
def test_what_a_filter_cannot_be_is_refused_by_its_name(raw: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        LISTING.read(raw)


def test_the_filters_are_in_the_document() -> None:
    document = openapi_document([LISTING.operation], DESCRIBED, needs_key=False)
    parameters = {each["name"]: each for each in document["paths"]["/status"]["parameters"]}
    assert parameters["owner"]["schema"] == {"type": "string", "minLength": 1, "maxLength": 1500}
    assert parameters["shard"]["schema"]["type"] == "integer"


def test_events_take_the_same_filters_and_their_texts_name_the_order_field() -> None:
    assert LISTING.read_events("owner=ann&shard=7&status=done") == {"status": "done", "owner": "ann", "shard": 7}
    with pytest.raises(BadParameter, match="shard must be a whole number of 64 bits"):
        LISTING.read_events("shard=x")
    by_creation = Listing(Order("createdAt", "timestamp"), {})
    document = openapi_document([by_creation.operation, LISTING.events], DESCRIBED, needs_key=False)
    described = document["paths"]["/status"]
    assert "`createdAt`" in described["get"]["description"]
    assert all("start_time" not in each["description"] for each in described["parameters"])
    assert {"status", "owner", "shard"} <= {each["name"] for each in document["paths"]["/events"]["parameters"]}


def after(listing: Listing, token: str) -> Any:
    query = listing.read(f"page_token={token}")
    assert isinstance(query, ListQuery)
    return query.after


def test_a_page_token_belongs_to_the_filters_of_its_list() -> None:
    filters: Filters = {"status": "done", "owner": "ann", "shard": 7}
    token = write_page_token((5, "p1"), filters)
    assert after(LISTING, f"{token}&shard=7&owner=ann&status=done&limit=3") == (5, "p1")
    for others in ("", "&owner=ann&shard=7", "&owner=bob&shard=7&status=done", "&owner=ann&shard=8&status=done"):
        with pytest.raises(BadParameter, match="page_token belongs to a list with other filters"):
            LISTING.read(f"page_token={token}{others}")
    with pytest.raises(BadParameter, match="page_token belongs to a list with other filters"):
        LISTING.read(f"page_token={write_page_token((5, 'p1'))}&owner=ann")


@pytest.mark.parametrize("start", [float("inf"), float("-inf"), -0.0, 1.5, 2**63 - 1])
def test_every_number_that_orders_a_list_fits_into_a_page_token(start: float) -> None:
    token = write_page_token((start, "p1"))
    assert after(Listing(order("seconds"), {}), token) == (start, "p1")


def test_an_infinity_is_text_where_texts_order_and_nothing_where_times_do() -> None:
    token = write_page_token((float("inf"), "p1"))
    assert after(Listing(order("string"), {}), token) == ("Infinity", "p1")
    with pytest.raises(BadParameter, match="page_token is not one"):
        Listing(order("timestamp"), {}).read(f"page_token={token}")
