"""Field paths, and the values at some paths of a document: alike from messages and from the library's values."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import Client, GeoPoint
from google.cloud.firestore_v1._helpers import encode_dict

from listeners.field_paths import Projection, WrongPath, parse_field_path
from listeners.firestore_values import UNDECODED

DOCUMENT: dict[str, Any] = {
    "status": "running",
    "delivery": {"state": "SENT", "attempts": [1, 2], "a.b": 3},
    "steps": [{"stage": "load"}, {"stage": "store"}],
    "empty": [],
    "nothing": None,
    "at": datetime(2026, 11, 28, 9, 30, tzinfo=UTC),
    "place": GeoPoint(1.5, 2.5),
    "secret": "canary",
}


def found(*paths: str, structured: tuple[str, ...] = ()) -> dict[str, object]:
    """What both ways give; they agree."""
    projection = Projection(map(parse_field_path, paths), structured)
    messages = {name: value._pb for name, value in encode_dict(DOCUMENT).items()}
    from_messages = projection.of_message(messages)
    assert from_messages == projection.of_values(DOCUMENT)
    return from_messages


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("status", ("status",)),
        ("delivery.state", ("delivery", "state")),
        ("system_status[-1].stage", ("system_status", -1, "stage")),
        ("a[0][12]", ("a", 0, 12)),
        ("`a.b`.c", ("a.b", "c")),
        (r"`a\`b`", ("a`b",)),
    ],
)
def test_a_path_is_names_and_indexes(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_field_path(text).steps == steps


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "a-b", "1a", "a[", "a[x]", "[0]", "a[0]b", "`a", "``", "a b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(WrongPath, match="is no field path"):
        parse_field_path(text)


def test_only_a_path_without_an_index_can_be_queried() -> None:
    assert parse_field_path("`a.b`.c").in_firestore == "`a.b`.c"
    assert parse_field_path("a[0].c").in_firestore is None


def test_flat_fields_are_found_and_others_left_out() -> None:
    assert found("status", "nothing", "absent") == {"status": "running", "nothing": None}


def test_maps_and_arrays_are_descended_into() -> None:
    assert found("delivery.state", "delivery.`a.b`", "steps[-1].stage", "steps[0].stage", "delivery.attempts[1]") == {
        "delivery.state": "SENT",
        "delivery.`a.b`": 3,
        "steps[-1].stage": "store",
        "steps[0].stage": "load",
        "delivery.attempts[1]": 2,
    }


def test_a_path_that_leads_nowhere_is_left_out() -> None:
    assert (
        found("status.x", "delivery[0]", "steps[2].stage", "steps[-3]", "empty[-1]", "nothing.x", "steps.stage") == {}
    )


def test_structures_are_undecoded_unless_asked_for() -> None:
    assert found("delivery", "steps", "place") == {"delivery": UNDECODED, "steps": UNDECODED, "place": UNDECODED}
    assert found("steps", "place", "at", structured=("steps", "place", "at")) == {
        "steps": [{"stage": "load"}, {"stage": "store"}],
        "place": {"latitude": 1.5, "longitude": 2.5},
        "at": datetime(2026, 11, 28, 9, 30, tzinfo=UTC),
    }


def test_a_reference_is_its_path() -> None:
    client = Client(project="p", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    reference = client.document("users", "u 1")
    projection = Projection([parse_field_path("user")], ["user"])
    messages = {name: value._pb for name, value in encode_dict({"user": reference}).items()}
    assert projection.of_message(messages) == projection.of_values({"user": reference}) == {"user": "users/u 1"}
