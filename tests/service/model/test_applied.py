"""What an update notes of each process: how it was before, whether it is news, and whether news of it came late."""

from typing import Any

import pytest

from listeners.times import moment
from service.model.applied import Update
from service.schema.compiled import ProcessSummary, Schema, stalled
from tests.service.schemas import with_filters

SCHEMA = Schema(with_filters())
READ_TIME = 10
FIELDS: dict[str, Any] = {"status": "running", "owner": "ann", "start_time": moment(5)}


def version(number: int, held: ProcessSummary | None = None, **fields: object) -> ProcessSummary:
    return SCHEMA.summarize("p", number, {**FIELDS, **fields}, held)[0]


BEFORE = version(7)


def noted(held: ProcessSummary | None, number: int, *, since: int = READ_TIME, **fields: object) -> dict[str, object]:
    """What differs from an update that has noted nothing; `entered` by versions."""
    update, nothing = Update(since), Update(since)
    update.note(held, version(number, held, **fields))
    found = {
        name: getattr(update, name)
        for name in ("added", "status_before", "filters_before", "belated", "changed", "is_reordered")
        if getattr(update, name) != getattr(nothing, name)
    }
    assert update.newest_version == number
    for name, value in (("resumed", "p" in update.resumed), ("entered", [each.version for each in update.entered])):
        if value:
            found[name] = value
    return found


@pytest.mark.parametrize(
    ("number", "fields", "expected"),
    [
        (11, {}, {}),
        (9, {}, {}),
        (11, {"status": "failed"}, {"changed": 1, "status_before": {"p": "running"}, "entered": [11]}),
        (10, {"status": "failed"}, {"changed": 1, "status_before": {"p": "running"}, "belated": ["p"]}),
        (11, {"owner": "bob"}, {"changed": 1, "filters_before": {"p": BEFORE.filters}}),
        (9, {"owner": "bob"}, {"changed": 1, "filters_before": {"p": BEFORE.filters}, "belated": ["p"]}),
        (11, {"start_time": moment(6)}, {"changed": 1, "is_reordered": True}),
    ],
)
def test_a_version_is_news_by_what_it_changes(number: int, fields: dict[str, Any], expected: dict[str, object]) -> None:
    assert noted(BEFORE, number, **fields) == expected


def test_a_process_that_is_new_is_added_and_late_where_it_is_older_than_the_last_event() -> None:
    assert noted(None, 11) == {"added": 1, "changed": 1, "entered": [11]}
    assert noted(None, 10) == {"added": 1, "changed": 1, "belated": ["p"]}


def test_nothing_enters_a_status_with_the_first_event() -> None:
    assert noted(None, 11, since=0) == {"added": 1, "changed": 1}


def test_a_process_that_stalled_has_resumed_with_any_write() -> None:
    assert noted(stalled(BEFORE), 11) == {"changed": 1, "resumed": True, "belated": ["p"]}


def test_of_what_is_removed_everything_was_before() -> None:
    update = Update(READ_TIME)
    update.note_removal(BEFORE)
    assert update.status_before == {"p": "running"}
    assert update.filters_before == {"p": BEFORE.filters}
