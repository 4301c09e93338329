"""Products are rendered as Firestore has them, a step at a time."""

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud.firestore_v1 import GeoPoint
from google.cloud.firestore_v1._helpers import encode_value
from google.cloud.firestore_v1.types import Value
from google.cloud.firestore_v1.vector import Vector
from hypothesis import given, settings
from hypothesis import strategies as st

from service.reads.children import Items
from service.runtime.times import render_time

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def raw(value: object) -> bytes:
    encoded: bytes = Value.serialize(encode_value(value))
    return encoded


def rendered(value: bytes) -> tuple[bytes, bool]:
    products = Items()
    for _ in products.of_field(value):
        pass
    return products.json, products.has_others


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.datetimes(timezones=st.just(UTC)),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


def as_json(value: Any) -> Any:
    """What a reader of the answer is to find."""
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, datetime):
        return render_time(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert names == sorted(names), "keys are sorted"
    return dict(pairs)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=4))
def test_documents_of_a_subcollection_are_rendered_as_the_maps_of_an_array(maps: list[dict[str, Any]]) -> None:
    items = Items()
    documents = [encode_value(each)._pb.map_value.fields for each in maps]
    assert len(list(items.of_documents(documents))) >= len(maps)
    assert (items.json, False) == rendered(raw(maps))


@pytest.mark.thorough
@settings(max_examples=200)
@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=4))
def test_every_product_is_rendered_as_it_is(products: list[dict[str, Any]]) -> None:
    found, has_others = rendered(raw(products))
    assert json.loads(found, object_pairs_hook=in_order) == as_json(products)
    assert not has_others


def test_the_values_that_json_has_not() -> None:
    product = {"t": NOON, "g": GeoPoint(1.5, 2.0), "b": b"\x00\xff", "v": Vector([1.0]), "n": math.nan}
    assert rendered(raw([product])) == (
        b'[{"b":"AP8=","g":{"latitude":1.5,"longitude":2.0},"n":null,"t":"2026-11-23T12:00:00Z","v":[1.0]}]',
        False,
    )


def test_a_reference_is_the_path_below_its_database() -> None:
    value = Value.pb()()
    field = value.array_value.values.add().map_value.fields["r"]
    field.reference_value = "projects/p/databases/other/documents/articles/7/parts/1"
    assert rendered(value.SerializeToString())[0] == b'[{"r":"articles/7/parts/1"}]'


@pytest.mark.parametrize(
    ("value", "json_text", "has_others"),
    [
        (None, b"null", False),
        ([], b"[]", False),
        ([{}], b"[{}]", False),
        ([{"a": 1}], b'[{"a":1}]', False),
        ([{"a": 1}, 5], b'[{"a":1}]', True),
        ([5, {"a": [{}, []]}], b'[{"a":[{},[]]}]', True),
        ([Vector([1.0])], b"[]", True),
        ("x", b"null", True),
        ({"a": 1}, b"null", True),
    ],
)
def test_products_are_a_list_of_maps(value: object, json_text: bytes, has_others: bool) -> None:
    assert rendered(raw(value)) == (json_text, has_others)


@pytest.mark.parametrize(
    "products",
    [
        [{"sku": number, "ok": True} for number in range(500)],
        [{f"{number}": number for number in range(1_000)}],
        [{"all": [{} for _ in range(1_000)]}],
        [0] * 1_000,
    ],
    ids=["many", "one with many fields", "one with a long list", "none of them a map"],
)
def test_no_step_renders_more_than_one_value(products: list[Any]) -> None:
    assert len(list(Items().of_field(raw(products)))) >= 1_000


def test_documents_of_a_subcollection_are_products_each() -> None:
    products = Items()
    fields = [encode_value({"sku": number})._pb.map_value.fields for number in range(3)]
    assert len(list(products.of_documents(fields))) >= 3
    assert products.json == b'[{"sku":0},{"sku":1},{"sku":2}]'
