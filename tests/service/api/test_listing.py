"""The filters of the schema in force as parameters of a list."""

import pytest

from service.api.list_query import ListQuery
from service.api.listing import Listing
from service.api.openapi import openapi_document
from service.errors import BadParameter
from tests.service.schemas import order

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
        ("tenant=a", "unknown parameter 'tenant'; known here: limit, status, owner, shard, start_date"),
        ("process_id=a&owner=b", "process_id can't be combined with owner"),
    ],
)
def test_what_a_filter_cannot_be_is_refused_by_its_name(raw: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        LISTING.read(raw)


def test_the_filters_are_in_the_document() -> None:
    document = openapi_document([LISTING.operation], needs_key=False)
    parameters = {each["name"]: each for each in document["paths"]["/status"]["parameters"]}
    assert parameters["owner"]["schema"] == {"type": "string", "minLength": 1, "maxLength": 1500}
    assert parameters["shard"]["schema"]["type"] == "integer"
