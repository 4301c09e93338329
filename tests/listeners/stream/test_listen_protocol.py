"""The first sync, changes and resets: what the Listen protocol makes of a stream, one claim at a time. No server."""

from listeners.events import Changed, Confirmed, Removal, Replaced
from listeners.stream.listen_protocol import MODEL_TARGET
from tests.listeners.protocol_stream import opened, synced, version
from tests.listeners.responses import (
    added,
    changed,
    current,
    deleted,
    point,
    removed,
    reset,
    target_change,
)

# -- the first sync


def test_the_first_request_asks_for_the_window_without_a_token() -> None:
    stream = opened()
    target = stream.request.add_target
    assert stream.request.database == "projects/p/databases/(default)"
    assert (target.target_id, target.resume_token) == (MODEL_TARGET, b"")
    assert target.query.parent == "projects/p/databases/(default)/documents"
    assert target.query.structured_query.limit.value == 10


def test_the_first_sync_is_one_replaced_at_the_first_point_after_current() -> None:
    stream = opened()
    assert stream.tell(added(), changed("a", 1), point(5, b"t5"), changed("b", 2, status="done"), current()) == []
    assert stream.tell(point(10, b"t10")) == [Replaced([version("a", 1), version("b", 2, "done")], 10, 0.0)]


def test_an_empty_collection_is_a_replaced_with_nothing() -> None:
    stream = opened()
    assert stream.tell(added(), current(), point(10)) == [Replaced([], 10, 0.0)]


def test_what_came_and_went_before_the_first_sync_is_never_mentioned() -> None:
    stream = opened()
    events = stream.tell(changed("a", 1), deleted("a"), changed("b", 1), removed("b"), current(), point(10))
    assert events == [Replaced([], 10, 0.0)]


# -- changes


def test_a_point_with_nothing_new_confirms() -> None:
    stream = synced()
    assert stream.tell(point(11, b"t11")) == [Confirmed(11, 0.0)]


def test_changes_split_over_several_messages_are_one_batch() -> None:
    stream = synced()
    assert stream.tell(changed("a", 11, status="done"), changed("d", 11), removed("b"), deleted("c")) == []
    assert stream.tell(point(11)) == [
        Changed([version("a", 11, "done"), version("d", 11)], [Removal("b", False), Removal("c", True)], 11, 0.0)
    ]


def test_an_unchanged_version_is_no_change() -> None:
    stream = synced()
    assert stream.tell(changed("a", 1), point(11)) == [Confirmed(11, 0.0)]


def test_the_last_word_about_a_document_counts() -> None:
    stream = synced()
    events = stream.tell(changed("a", 11), deleted("a"), deleted("b"), changed("b", 12), removed("c"), changed("c", 3))
    assert events == []
    assert stream.tell(point(13)) == [Changed([version("b", 12)], [Removal("a", True)], 13, 0.0)]


def test_a_document_that_changed_twice_between_points_is_told_once() -> None:
    stream = synced()
    assert stream.tell(changed("a", 11), changed("a", 12), point(13)) == [Changed([version("a", 12)], [], 13, 0.0)]


def test_a_change_that_leaves_our_target_is_a_removal_of_what_still_exists() -> None:
    stream = synced()
    events = stream.tell(changed("a", 11, targets=(), left=(MODEL_TARGET,)), point(11))
    assert events == [Changed([], [Removal("a", False)], 11, 0.0)]


def test_a_document_of_another_target_is_none_of_ours() -> None:
    stream = synced()
    events = stream.tell(changed("x", 11, targets=(7,)), deleted("a", targets=(7,)), removed("b", targets=(7,)))
    assert events + stream.tell(point(11)) == [Confirmed(11, 0.0)]


def test_a_removal_that_names_no_target_concerns_whoever_holds_the_document() -> None:
    stream = synced()
    assert stream.tell(deleted("a", targets=()), point(11)) == [Changed([], [Removal("a", True)], 11, 0.0)]


def test_a_removal_of_what_is_not_held_is_no_news() -> None:
    stream = synced()
    assert stream.tell(deleted("unknown"), removed("other"), point(11)) == [Confirmed(11, 0.0)]


def test_a_point_for_some_targets_only_is_no_consistent_point() -> None:
    stream = synced()
    assert stream.tell(changed("a", 11), target_change(0, (MODEL_TARGET,), read_time=11, token=b"t11")) == []
    assert stream.reopen() == b"t10"


def test_a_point_without_a_read_time_is_no_consistent_point() -> None:
    stream = synced()
    assert stream.tell(changed("a", 11), target_change(0, token=b"t11")) == []


# -- reset


def test_a_reset_is_applied_as_a_difference() -> None:
    stream = synced()
    told = stream.tell(changed("a", 11), reset(), changed("a", 12), changed("b", 2), changed("e", 12), point(12))
    assert told == []  # not current: what is told again is not yet whole
    assert stream.tell(current(), point(13)) == [
        Changed([version("a", 12), version("e", 12)], [Removal("c", None)], 13, 0.0)
    ]


def test_a_reset_that_tells_the_same_again_confirms() -> None:
    stream = synced()
    again = [changed("a", 1), changed("b", 2), changed("c", 3), current(), point(11)]
    assert stream.tell(reset(), *again) == [Confirmed(11, 0.0)]


def test_a_reset_in_the_middle_of_another_starts_over() -> None:
    stream = synced()
    stream.tell(reset(), changed("a", 11), changed("b", 2), reset())
    assert stream.tell(changed("c", 3), current(), point(12)) == [
        Changed([], [Removal("a", None), Removal("b", None)], 12, 0.0)
    ]


def test_a_document_deleted_while_a_reset_is_told_is_known_to_be_deleted() -> None:
    stream = synced()
    stream.tell(reset(), changed("a", 1), deleted("b"), changed("c", 3))
    assert stream.tell(current(), point(11)) == [Changed([], [Removal("b", True)], 11, 0.0)]


def test_a_reset_of_all_targets_is_one_of_ours() -> None:
    stream = synced()
    assert stream.tell(target_change(4), changed("a", 1), point(11)) == []
