"""IDs of the form `__id7__` are numbers: wherever names are compared, they come first, in the order of the numbers."""

from typing import Any

import pytest
from google.cloud.firestore_v1 import FieldFilter

from service.local_firestore.names import name_key
from tests.local_firestore.raw_listen import RawListen

SMALLEST, LARGEST = "__id-9223372036854775808__", "__id9223372036854775807__"
IN_ORDER = [SMALLEST, "__id-30__", "__id-4__", "__id7__", "__id10__", LARGEST, "\x00", "A", "__", "__a", "a", "é"]


@pytest.fixture
def numbered(client: Any) -> Any:
    """A collection of documents that are alike but for their IDs."""
    collection = client.collection("jobs")
    batch = client.batch()
    for name in reversed(IN_ORDER):
        batch.set(collection.document(name), {"n": 1, "half": IN_ORDER.index(name) // 2})
    batch.commit()
    return collection


def ids(found: Any) -> list[str]:
    return [each.id for each in found]


def test_documents_come_by_number_and_then_by_text(numbered: Any) -> None:
    assert ids(numbered.stream()) == IN_ORDER
    assert ids(numbered.list_documents(page_size=5)) == IN_ORDER


def test_a_filter_by_name_compares_numbers(numbered: Any) -> None:
    above = numbered.where(filter=FieldFilter("__name__", ">", numbered.document("__id-4__")))
    assert ids(above.stream()) == IN_ORDER[3:]
    below = numbered.where(filter=FieldFilter("__name__", "<=", numbered.document("__id10__")))
    assert ids(below.stream()) == IN_ORDER[:5]


def test_a_cursor_by_name_compares_numbers(numbered: Any) -> None:
    by_name = numbered.order_by("__name__")
    assert ids(by_name.start_after({"__name__": numbered.document("__id7__")}).stream()) == IN_ORDER[4:]
    assert ids(by_name.end_before({"__name__": numbered.document("A")}).stream()) == IN_ORDER[:7]


def test_equal_values_are_ordered_by_number(numbered: Any) -> None:
    assert ids(numbered.order_by("n").limit(4).stream()) == IN_ORDER[:4]
    assert ids(numbered.order_by("n", direction="DESCENDING").stream()) == IN_ORDER[::-1]
    down = numbered.order_by("half", direction="DESCENDING").order_by("__name__").limit(4)
    assert ids(down.stream()) == ["a", "é", "__", "__a"]


def test_references_are_compared_by_number(client: Any, numbered: Any) -> None:
    for name in IN_ORDER:
        client.document(f"links/to-{IN_ORDER.index(name):02}").set({"to": numbered.document(name)})
    above = client.collection("links").where(filter=FieldFilter("to", ">=", numbered.document("__id10__")))
    assert [each.get("to").id for each in above.stream()] == IN_ORDER[4:]


def test_a_collection_group_is_ordered_by_the_numbers_above_it(client: Any) -> None:
    for name in ("a", "__id10__", "__id9__"):
        client.document(f"jobs/{name}/products/p").set({"n": 1})
    found = client.collection_group("products").stream()
    assert [each.reference.parent.parent.id for each in found] == ["__id9__", "__id10__", "a"]


def test_a_cursor_at_a_nested_document_lies_behind_its_parent(client: Any) -> None:
    for name in ("x", "x!", "y"):
        client.document(f"jobs/{name}").set({"n": 1})
    nested = client.document("jobs/x/products/p")
    by_name = client.collection("jobs").order_by("__name__")
    assert ids(by_name.start_at({"__name__": nested}).stream()) == ["x!", "y"]


def test_recursive_delete_leaves_nothing_behind(client: Any, numbered: Any) -> None:
    for _ in range(30):
        _, added = numbered.add({"n": 1})
        added.collection("products").document("__id1__").set({"n": 1})
    client.document("jobs2/kept").set({"n": 1})
    assert client.recursive_delete(numbered) == 30 * 2 + len(IN_ORDER)
    assert ids(numbered.stream()) == []
    assert ids(client.collection_group("products").stream()) == []
    assert ids(client.collection("jobs2").stream()) == ["kept"]


async def test_a_watched_window_is_of_the_lowest_numbers(listen: RawListen, numbered: Any) -> None:
    await listen.add_query(2, numbered.order_by("n").limit(3))
    lines = await listen.lines_until_consistent()
    assert [line.split()[1] for line in lines if line.startswith("change")] == IN_ORDER[:3]


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("c/__id2__", "c/__id10__"),
        ("c/__id-10__", "c/__id-2__"),
        (f"c/{SMALLEST}", "c/__id-1__"),
        (f"c/{LARGEST}", "c/\0"),
        ("c/__id1__/d/x", "c/__id2__"),
        ("c/x", "c/x/d/y"),
        ("c/x/d/y", "c/x\0"),
        ("c/x/d/y", "c/x!"),
        ("c/\0\0", "c/\0\1"),
        ("c/__id08__", "c/__id9"),  # not numbers
    ],
)
def test_names_compare_by_segment(lower: str, higher: str) -> None:
    assert name_key(lower) < name_key(higher)
