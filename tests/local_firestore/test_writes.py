"""Writes of the client library, on both servers: set, update, delete, preconditions, transforms, batches."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from google.cloud.firestore_v1 import (
    DELETE_FIELD,
    SERVER_TIMESTAMP,
    ArrayRemove,
    ArrayUnion,
    Client,
    GeoPoint,
    Increment,
    Maximum,
    Minimum,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def document(client: Any) -> Any:
    return client.document("jobs/a")


def fields(document: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = document.get().to_dict()
    return found


def test_what_was_set_is_read_back_in_every_type(client: Any, document: Any) -> None:
    written = {
        "null": None,
        "bool": True,
        "int": -(2**63),
        "float": 0.1,
        "time": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "text": "ä€😀",
        "bytes": b"\x00\xff",
        "reference": client.document("jobs/b"),
        "geo": GeoPoint(-1.5, 2.5),
        "list": [1, "x", {"y": []}],
        "map": {"a": {"b": {}}},
        "odd.name `\\": 1,
    }
    document.set(written)
    assert fields(document) == written


def test_a_set_replaces_and_a_merge_keeps_what_it_does_not_name(document: Any) -> None:
    document.set({"a": {"x": 1, "y": 2}, "b": 1})
    document.set({"a": {"x": 3}}, merge=True)
    assert fields(document) == {"a": {"x": 3, "y": 2}, "b": 1}
    document.set({"a": {"z": 4}}, merge=["a"])
    assert fields(document) == {"a": {"z": 4}, "b": 1}
    document.set({"c": 5})
    assert fields(document) == {"c": 5}


def test_an_update_sets_and_deletes_by_path(document: Any) -> None:
    document.set({"a": {"x": 1, "y": 2}, "b": 1, "c": "no map"})
    document.update({"a.x": DELETE_FIELD, "b": DELETE_FIELD, "c.deep.er": 3, "missing.one": DELETE_FIELD})
    assert fields(document) == {"a": {"y": 2}, "c": {"deep": {"er": 3}}}


def test_an_update_needs_the_document_and_a_create_its_absence(document: Any) -> None:
    with pytest.raises(NotFound):
        document.update({"a": 1})
    document.create({"a": 1})
    with pytest.raises(AlreadyExists):
        document.create({"a": 2})
    assert fields(document) == {"a": 1}


def test_a_write_conditional_on_a_version_fails_on_another(client: Any, document: Any) -> None:
    version = document.set({"a": 1}).update_time
    stale = client.write_option(last_update_time=LONG_AGO)
    with pytest.raises(FailedPrecondition):
        document.update({"a": 2}, option=stale)
    with pytest.raises(FailedPrecondition):
        document.delete(option=stale)
    document.update({"a": 2}, option=client.write_option(last_update_time=version))
    assert fields(document) == {"a": 2}


def test_deleting_what_is_not_there_succeeds_unless_it_had_to_exist(client: Any) -> None:
    document = client.document("jobs/none")
    document.delete()
    with pytest.raises(NotFound):
        document.delete(option=client.write_option(exists=True))


def test_a_write_that_changes_nothing_keeps_the_update_time(document: Any) -> None:
    first = document.set({"a": 1, "b": [1, {"c": 2}]}).update_time
    assert document.set({"a": 1, "b": [1, {"c": 2}]}).update_time == first
    assert document.update({"a": 1}).update_time == first
    assert document.set({"a": 1.0, "b": [1, {"c": 2}]}).update_time > first


def test_create_time_lasts_until_the_document_is_deleted(document: Any) -> None:
    document.set({"a": 1})
    created = document.get().create_time
    document.set({"a": 2})
    assert document.get().create_time == created
    document.delete()
    document.set({"a": 3})
    assert document.get().create_time > created


def test_numeric_transforms_compute_on_the_server(document: Any) -> None:
    document.set({"int": 1, "double": 0.5, "text": "x", "big": 2**63 - 1, "max": 3, "min": 3, "equal": 2})
    document.update(
        {
            "int": Increment(2),
            "double": Increment(1),
            "text": Increment(5),
            "big": Increment(1),
            "absent": Increment(1.5),
            "max": Maximum(4.5),
            "min": Minimum(4),
            "equal": Maximum(2.0),
        }
    )
    found = fields(document)
    assert found == {
        "int": 3,
        "double": 1.5,
        "text": 5,
        "big": 2**63 - 1,
        "absent": 1.5,
        "max": 4.5,
        "min": 3,
        "equal": 2,
    }
    assert [type(found[name]) for name in ("int", "max", "min")] == [int, float, int]


def test_array_transforms_treat_equal_values_as_one(document: Any) -> None:
    document.set({"union": [1, "a"], "remove": [1, 2, 1.0, "a"], "text": "x"})
    document.update(
        {
            "union": ArrayUnion([1.0, "b", "b"]),
            "remove": ArrayRemove([1]),
            "text": ArrayUnion([1]),
            "new": ArrayRemove([1]),
        }
    )
    assert fields(document) == {"union": [1, "a", "b"], "remove": [2, "a"], "text": [1], "new": []}


def test_a_server_timestamp_is_the_time_of_the_write(document: Any) -> None:
    document.set({"at": SERVER_TIMESTAMP, "map": {"at": SERVER_TIMESTAMP}})
    found = document.get()
    written = found.to_dict()
    assert written["at"] == written["map"]["at"]
    assert written["at"].microsecond % 1000 == 0
    assert timedelta(0) <= found.update_time - written["at"] < timedelta(seconds=1)


def test_a_batch_is_applied_as_a_whole_with_one_time(client: Any) -> None:
    client.document("jobs/old").set({"n": 1})
    batch = client.batch()
    batch.set(client.document("jobs/a"), {"n": 1})
    batch.update(client.document("jobs/a"), {"m": 2})
    batch.delete(client.document("jobs/old"))
    results = batch.commit()
    assert results[0].update_time == results[1].update_time == client.document("jobs/a").get().update_time
    assert {one.id: one.to_dict() for one in client.collection("jobs").stream()} == {"a": {"n": 1, "m": 2}}


def test_a_batch_with_one_failing_write_changes_nothing(client: Any) -> None:
    batch = client.batch()
    batch.set(client.document("jobs/a"), {"n": 1})
    batch.update(client.document("jobs/none"), {"n": 1})
    with pytest.raises(NotFound):
        batch.commit()
    assert not client.document("jobs/a").get().exists


def test_a_bulk_write_applies_each_write_on_its_own(client: Any) -> None:
    client.document("jobs/there").set({"n": 0})
    failed: list[str] = []

    def note(failure: Any, writer: object) -> bool:
        failed.append(failure.operation.reference.id)
        return False

    writer = client.bulk_writer()
    writer.on_write_error(note)
    writer.create(client.document("jobs/a"), {"n": 1})
    writer.create(client.document("jobs/there"), {"n": 2})
    writer.set(client.document("jobs/b"), {"n": 3})
    writer.close()
    assert failed == ["there"]
    found = {one.id: one.to_dict() for one in client.collection("jobs").stream()}
    assert found == {"a": {"n": 1}, "b": {"n": 3}, "there": {"n": 0}}


@pytest.mark.parametrize("wrong", [{"__reserved__": 1}, {"map": {"__reserved__": 1}}])
def test_a_field_name_firestore_refuses_is_an_invalid_argument(document: Any, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        document.set(wrong)


@pytest.mark.parametrize("wrong", ["__reserved__", "..", "x" * 1501])
def test_a_document_id_firestore_refuses_is_an_invalid_argument(client: Any, wrong: str) -> None:
    with pytest.raises(InvalidArgument):
        client.collection("jobs").document(wrong).set({"n": 1})


def test_a_document_over_one_mebibyte_is_refused(document: Any) -> None:
    with pytest.raises(InvalidArgument):
        document.set({"text": "x" * (1024 * 1024)})


def test_missing_documents_are_listed_where_they_have_children(client: Any) -> None:
    client.document("jobs/real").set({"n": 1})
    client.document("jobs/ghost/products/p").set({"n": 1})
    assert [each.id for each in client.collection("jobs").list_documents()] == ["ghost", "real"]
    assert [each.id for each in client.document("jobs/ghost").collections()] == ["products"]
    assert [each.id for each in client.collections()] == ["jobs"]


def test_several_documents_are_read_at_one_time(client: Any) -> None:
    for name in "abc":
        client.document(f"jobs/{name}").set({"n": name, "m": 1})
    wanted = [client.document(f"jobs/{name}") for name in ("c", "none", "a")]
    found = {one.id: one for one in client.get_all(wanted, field_paths=["n"])}
    assert {name: one.to_dict() for name, one in found.items()} == {"c": {"n": "c"}, "none": None, "a": {"n": "a"}}
    assert len({one.read_time for one in found.values()}) == 1


def test_databases_of_one_project_share_nothing(host: str, client: Any, project: str) -> None:
    other: Any = Client(project=project, database="other", credentials=client._credentials)
    other.document("jobs/a").set({"n": 1})
    assert not client.document("jobs/a").get().exists
    assert other.document("jobs/a").get().to_dict() == {"n": 1}
    other._firestore_api_internal.transport.close()
