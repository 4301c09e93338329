"""The documents behind the local server: commit times, retention, history, plain values."""

import itertools
from datetime import UTC, datetime

import pytest

from service.local_firestore import CommitRecord, Database, FirestoreError, Store
from service.local_firestore.clock import Clock


class ManualClock:
    """A source of microseconds that stands still until told."""

    def __init__(self) -> None:
        self.now_us = 1_000_000_000

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def time() -> ManualClock:
    return ManualClock()


def database(time: ManualClock, **options: float) -> Database:
    return Store(clock=Clock(time), **options).database("p")  # type: ignore[arg-type]


def test_commit_times_increase_even_where_the_clock_stands_still(time: ManualClock) -> None:
    jobs = database(time)
    times = [jobs.set("jobs/a", {"n": number}) for number in range(4)]
    assert times == [1_000_000_000, 1_000_000_001, 1_000_000_002, 1_000_000_003]


def test_no_commit_gets_a_time_that_was_read_at(time: ManualClock) -> None:
    jobs = database(time)
    time.now_us += 5
    read_us = jobs.clock.now()
    assert jobs.set("jobs/a", {"n": 1}) > read_us


def test_the_clock_going_back_does_not_turn_back_commit_times(time: ManualClock) -> None:
    jobs = database(time)
    first = jobs.set("jobs/a", {"n": 1})
    time.now_us -= 1_000_000
    assert jobs.set("jobs/a", {"n": 2}) == first + 1


def test_versions_are_kept_for_the_retention_and_no_longer(time: ManualClock) -> None:
    jobs = database(time, read_retention_s=10, resume_window_s=0)
    written_us = jobs.set("jobs/a", {"n": 1})
    jobs.set("jobs/a", {"n": 2})
    time.now_us += 9_000_000
    jobs.check_read_time(written_us)
    time.now_us += 2_000_000
    with pytest.raises(FirestoreError, match="too old"):
        jobs.check_read_time(written_us)


def test_no_more_superseded_versions_are_kept_than_allowed(time: ManualClock) -> None:
    jobs = database(time, max_versions=2)
    times = [jobs.set("jobs/a", {"n": number}) for number in range(5)]
    jobs.check_read_time(times[2])
    with pytest.raises(FirestoreError, match="too old"):
        jobs.check_read_time(times[1])


def test_a_deleted_document_leaves_nothing_behind_once_its_versions_are_past(time: ManualClock) -> None:
    jobs = database(time, read_retention_s=1, resume_window_s=1)
    jobs.set("jobs/a", {"n": 1})
    jobs.commit_plain({"jobs/a": None})
    assert "jobs" in str(jobs.collections)
    time.now_us += 2_000_000
    jobs.set("other/b", {"n": 1})
    assert [path.rpartition("/")[2] for path in jobs.collections] == ["other"]


def test_history_holds_the_latest_commits_as_plain_values(time: ManualClock) -> None:
    jobs = database(time, max_history=3)
    jobs.set("jobs/forgotten", {"n": 0})
    first = jobs.commit_plain({"jobs/a": {"n": 1}, "other/x": {"m": [1, {"k": None}]}})
    second = jobs.set("jobs/a", {"at": datetime(2026, 1, 1, tzinfo=UTC)}, merge=True)
    third = jobs.commit_plain({"jobs/a": None})
    assert jobs.history("jobs") == [
        CommitRecord(first, {"a": {"n": 1}}),
        CommitRecord(second, {"a": {"n": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}}),
        CommitRecord(third, {"a": None}),
    ]
    assert jobs.history()[0] == CommitRecord(first, {"jobs/a": {"n": 1}, "other/x": {"m": [1, {"k": None}]}})


def test_a_commit_with_a_failing_write_leaves_no_trace(time: ManualClock) -> None:
    jobs = database(time, max_history=10)
    with pytest.raises(FirestoreError, match='lacks "/" at index'):
        jobs.commit_plain({"jobs/a": {"n": 1}, "jobs": {"n": 2}})
    assert jobs.history() == []
    assert list(itertools.chain(jobs.documents(jobs.collections.values()))) == []


def test_a_value_without_counterpart_is_a_type_error(time: ManualClock) -> None:
    with pytest.raises(TypeError, match="object has no counterpart"):
        database(time).set("jobs/a", {"n": object()})
