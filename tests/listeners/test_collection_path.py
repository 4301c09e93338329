"""Collections and patterns: which documents they have, and keys in Firestore's order."""

import itertools
import random

import pytest

from listeners.collection_path import CollectionPath, WrongCollection, is_foreign
from service.local_firestore.names import name_key

ROOT = "projects/p/databases/(default)/documents/"
JOBS = CollectionPath("users/{uid}/jobs", ROOT)
DEEP = CollectionPath("tenants/acme/users/{uid}/lists/{list}/jobs", ROOT)
ODD_IDS = ["a", "b", "a!", "a-b", "a.b", "A", "é", "😀", "\0", "\0\0", "\1", "\1\0", "a\0", "a\1", "a\0b", "a\2"]
NUMERIC_IDS = ["__id7__", "__id12__", "__id-5__", "__id9223372036854775807__", "__id-9223372036854775808__"]
IDS = [*ODD_IDS, *NUMERIC_IDS, "__id08__", "__idx", "__id", "00000000000000000007"]


def test_the_key_in_a_plain_collection_is_the_id() -> None:
    jobs = CollectionPath("jobs", ROOT)
    assert (jobs.is_group, jobs.id, jobs.top, jobs.variables) == (False, "jobs", "jobs", ())
    for document_id in IDS:
        assert jobs.key_of(f"{ROOT}jobs/{document_id}") == document_id
        assert jobs.name_of(document_id) == f"{ROOT}jobs/{document_id}"
        assert (jobs.key({}, document_id), jobs.id_of(document_id)) == (document_id, document_id)
        assert jobs.is_key(document_id)
    assert jobs.key_of(f"{ROOT}jobs/a b%ä") == "a b%ä"
    assert jobs.key_of(f"{ROOT}others/a") is None
    assert jobs.key_of(f"{ROOT}jobsx/a") is None
    assert jobs.key_of("projects/p/databases/other/documents/jobs/a") is None


def test_a_key_is_made_of_variables_and_id_and_taken_apart_again() -> None:
    for uid, document_id in itertools.product(IDS, IDS):
        key = JOBS.key({"uid": uid}, document_id)
        name = f"{ROOT}users/{uid}/jobs/{document_id}"
        assert JOBS.key_of(name) == key
        assert JOBS.name_of(key) == name
        assert (JOBS.id_of(key), *JOBS.values_of(key)) == (document_id, uid)
        assert JOBS.is_key(key)
        assert not is_foreign(key)


def test_several_variables_and_fixed_ids_are_matched() -> None:
    key = DEEP.key({"uid": "alice", "list": "__id7__"}, "job-1")
    name = f"{ROOT}tenants/acme/users/alice/lists/__id7__/jobs/job-1"
    assert (DEEP.variables, DEEP.id, DEEP.top) == (("uid", "list"), "jobs", "tenants")
    assert (DEEP.key_of(name), DEEP.name_of(key)) == (key, name)
    assert DEEP.parent_of({"uid": "alice", "list": "x"}) == f"{ROOT}tenants/acme/users/alice/lists/x"
    assert is_foreign(str(DEEP.key_of(name.replace("acme", "other"))))


def test_keys_compare_as_firestore_compares_names() -> None:
    names = [f"{ROOT}users/{uid}/jobs/{document_id}" for uid, document_id in itertools.product(IDS, IDS)]
    random.Random(7).shuffle(names)
    assert [JOBS.name_of(key) for key in sorted(str(JOBS.key_of(name)) for name in names)] == sorted(
        names, key=name_key
    )


@pytest.mark.parametrize(
    "path",
    ["jobs/a", "others/alice/jobs/a", "users/alice/jobs/a/jobs/b", "users/alice/lists/x/jobs/a", "a/b/jobs/\0/jobs/c"],
)
def test_documents_of_the_name_elsewhere_are_foreign(path: str) -> None:
    key = JOBS.key_of(ROOT + path)
    assert key == f"/{path}"
    assert is_foreign(key)


@pytest.mark.parametrize("path", ["users/alice", "users/alice/others/a", "users/alice/jobs", "users/alice/jobs/a/b"])
def test_documents_of_other_collections_have_no_key(path: str) -> None:
    assert JOBS.key_of(ROOT + path) is None
    assert JOBS.key_of(f"projects/p/databases/other/documents/{path}/jobs/a") is None


@pytest.mark.parametrize(
    "text", ["", "a", "a\0", "\0a", "a\0b\0c", "a\1\0b", "\0" + "0" * 5 + "\0a", "/jobs/a", "a\1b\0c"]
)
def test_a_text_that_no_document_has_as_its_key_is_none(text: str) -> None:
    assert not JOBS.is_key(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("users/{uid}", "must end with the name of a collection"),
        ("users/{uid}/jobs/{id}", "must end with the name of a collection"),
        ("users/alice/jobs", "no variable"),
        ("users/{uid}/teams/{uid}/jobs", "{uid} twice"),
        ("{kind}/alice/jobs", "where a collection's name is expected"),
        ("users/{uid}/{kind}", "where a collection's name is expected"),
        ("users/{}/jobs", "a variable's name is"),
        ("users/{a-b}/jobs", "a variable's name is"),
        ("users/{uid/jobs", "neither a name nor a variable"),
        ("users/x{uid}/jobs", "neither a name nor a variable"),
        ("users//jobs", "an empty name between its slashes"),
        ("__users__/{uid}/jobs", "of the form '__…__'"),
    ],
)
def test_a_wrong_pattern_says_what_is_wrong_with_it(text: str, fault: str) -> None:
    with pytest.raises(WrongCollection) as wrong:
        CollectionPath(text)
    assert fault in str(wrong.value)
