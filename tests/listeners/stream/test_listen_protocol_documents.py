"""Followed documents in the Listen protocol: further targets of the window's stream. One claim at a time, no server."""

from typing import Any

import pytest

from listeners.events import Changed, Confirmed, Event, Removal, Replaced
from listeners.listener import ListenerFailure
from listeners.stream.consistent_point import ConsistentPoint, TargetsEnded
from listeners.stream.listen_protocol import MODEL_TARGET
from tests.listeners.protocol_stream import Stream, synced, version
from tests.listeners.responses import (
    COLLECTION,
    added,
    changed,
    current,
    deleted,
    existence_filter,
    point,
    removed,
    removed_target,
    reset,
)

UNAVAILABLE, PERMISSION_DENIED = 14, 7


class Following(Stream):
    """A stream whose window is synced; `tell_all` returns what the window is told, and what the documents are."""

    def follow(self, document_id: str) -> int:
        """Returns the target's ID."""
        *_, request = self.protocol.add_document(document_id)
        return int(request.add_target.target_id)

    def tell_all(self, *responses: Any) -> list[tuple[Event, dict[str, Event]]]:
        told = []
        for response in responses:
            answer = self.protocol.receive(response)
            if isinstance(answer, ConsistentPoint):
                self.protocol.take(answer)
                told.append((answer.event(0.0), dict(answer.document_events(0.0))))
        return told

    def tell_one(self, *responses: Any) -> dict[str, Event]:
        """What the documents are told at the only point of these."""
        [(_, documents)] = self.tell_all(*responses)
        return documents

    def ended_by(self, response: Any) -> tuple[str, tuple[str, ...], bool]:
        told = self.protocol.receive(response)
        assert isinstance(told, TargetsEnded)
        return told.failure.reason, told.document_ids, told.has_probe


def following() -> Following:
    """The window holds a (version 1), b (2) and c (3), as of 10, with token t10."""
    stream = Following()
    stream.tell(added(), changed("a", 1), changed("b", 2), changed("c", 3), current(), point(10, b"t10"))
    return stream


def followed() -> tuple[Following, int]:
    """The same, with `old` followed (version 4) as of 11, with token t11. Returns its target too."""
    stream = following()
    target = stream.follow("old")
    stream.tell(added(target), changed("old", 4, targets=(target,)), current(target), point(11, b"t11"))
    return stream, target


# -- being told


def test_a_followed_document_is_asked_for_by_its_name_under_a_target_of_its_own() -> None:
    stream = following()
    [request] = stream.protocol.add_document("old")
    assert request.database == "projects/p/databases/(default)"
    assert request.add_target.target_id != MODEL_TARGET
    assert list(request.add_target.documents.documents) == [f"{COLLECTION}/old"]
    assert not request.add_target.resume_token
    [removal] = stream.protocol.remove_document("old")
    assert removal.remove_target == request.add_target.target_id


def test_the_point_that_answers_its_add_also_confirms_the_window() -> None:
    stream = following()
    target = stream.follow("old")
    assert stream.tell_all(
        added(target), changed("old", 4, targets=(target,)), point(11), current(target), point(12)
    ) == [
        (Confirmed(11, 0.0), {}),
        (Confirmed(12, 0.0), {"old": Replaced([version("old", 4)], 12, 0.0)}),
    ]


def test_a_change_of_it_does_not_reach_the_window() -> None:
    stream, target = followed()
    assert stream.tell_all(changed("old", 12, targets=(target,)), point(12)) == [
        (Confirmed(12, 0.0), {"old": Changed([version("old", 12)], [], 12, 0.0)})
    ]


def test_a_change_of_the_window_is_no_news_of_it() -> None:
    stream, _ = followed()
    assert stream.tell_all(changed("a", 12), point(12)) == [(Changed([version("a", 12)], [], 12, 0.0), {})]
    assert stream.protocol.current_documents() == ["old"]


def test_a_document_that_does_not_exist_is_told_as_none() -> None:
    stream = following()
    target = stream.follow("nope")
    assert stream.tell_one(deleted("nope", targets=(target,)), current(target), point(11)) == {
        "nope": Replaced([], 11, 0.0)
    }


def test_a_target_that_becomes_current_without_a_word_has_no_document() -> None:
    stream = following()
    target = stream.follow("nope")
    assert stream.tell_one(current(target), point(11)) == {"nope": Replaced([], 11, 0.0)}


@pytest.mark.parametrize("gone", [deleted, removed])
def test_a_document_that_goes_is_told_as_a_removal(gone: Any) -> None:
    stream, target = followed()
    told = stream.tell_one(gone("old", targets=(target,)), point(12))
    assert told == {"old": Changed([], [Removal("old", gone is deleted)], 12, 0.0)}


def test_nothing_is_told_of_a_document_while_the_window_is_told_again() -> None:
    stream, target = followed()
    assert stream.tell_all(reset(), changed("old", 12, targets=(target,)), point(12)) == []
    assert stream.tell_one(changed("a", 1), changed("b", 2), changed("c", 3), current(), point(13)) == {
        "old": Changed([version("old", 12)], [], 13, 0.0)
    }


def test_several_are_told_at_one_point_each_its_own() -> None:
    stream, old = followed()
    older = stream.follow("older")
    told = stream.tell_one(
        changed("older", 5, targets=(older,)), current(older), changed("old", 12, targets=(old,)), point(12)
    )
    assert told == {
        "old": Changed([version("old", 12)], [], 12, 0.0),
        "older": Replaced([version("older", 5)], 12, 0.0),
    }


# -- documents that are in the window too


def test_a_change_of_a_document_in_the_window_and_followed_is_told_to_both() -> None:
    stream = following()
    target = stream.follow("a")
    assert stream.tell_one(changed("a", 1, targets=(target,)), current(target), point(11)) == {
        "a": Replaced([version("a", 1)], 11, 0.0)
    }
    news = Changed([version("a", 12)], [], 12, 0.0)
    assert stream.tell_all(changed("a", 12, targets=(MODEL_TARGET, target)), point(12)) == [(news, {"a": news})]
    gone = Changed([], [Removal("a", True)], 13, 0.0)
    assert stream.tell_all(deleted("a", targets=(MODEL_TARGET, target)), point(13)) == [(gone, {"a": gone})]


def test_a_followed_document_that_leaves_the_window_is_removed_there_alone() -> None:
    stream = following()
    target = stream.follow("a")
    stream.tell(changed("a", 1, targets=(target,)), current(target), point(11))
    assert stream.tell_all(changed("a", 12, targets=(target,), left=(MODEL_TARGET,)), point(12)) == [
        (
            Changed([], [Removal("a", False)], 12, 0.0),
            {"a": Changed([version("a", 12)], [], 12, 0.0)},
        )
    ]


def test_a_deletion_that_names_no_target_is_one_for_whoever_holds_the_document() -> None:
    stream = following()
    target = stream.follow("a")
    stream.tell(changed("a", 1, targets=(target,)), current(target), point(11))
    gone = Changed([], [Removal("a", True)], 12, 0.0)
    assert stream.tell_all(deleted("a", targets=()), point(12)) == [(gone, {"a": gone})]


def test_letting_go_of_a_document_in_the_window_leaves_it_there() -> None:
    stream = following()
    target = stream.follow("a")
    stream.tell(changed("a", 1, targets=(target,)), current(target), point(11))
    stream.protocol.remove_document("a")
    assert stream.tell_all(removed_target(target), changed("a", 12), point(12)) == [
        (Changed([version("a", 12)], [], 12, 0.0), {})
    ]


def test_every_message_is_billed_once_and_so_is_a_document_that_does_not_exist() -> None:
    stream = following()
    billed = stream.protocol.documents_billed
    target, nope = stream.follow("a"), stream.follow("nope")
    stream.tell(changed("a", 1, targets=(target,)), deleted("nope", targets=(nope,)), current(target, nope), point(11))
    stream.tell(changed("a", 12, targets=(MODEL_TARGET, target)), point(12))
    stream.tell(deleted("a", targets=(MODEL_TARGET, target)), point(13))  # Firestore bills no deletion
    assert stream.protocol.documents_billed - billed == 3


# -- probes


def test_a_probe_is_answered_with_the_point_that_tells_what_was_committed_before_it() -> None:
    stream, target = followed()
    probe, _ = stream.protocol.add_probe()
    stream.tell(added(probe), changed("old", 12, targets=(target,)), deleted("probe", targets=(probe,)), current(probe))
    told = stream.protocol.receive(point(12))
    assert isinstance(told, ConsistentPoint)
    assert told.answered == (probe,)
    assert dict(told.document_events(0.0)) == {"old": Changed([version("old", 12)], [], 12, 0.0)}


# -- a target's own trouble


def test_a_reset_of_its_target_is_a_difference_once_it_is_current_again() -> None:
    stream, target = followed()
    stream.tell(reset(target))
    assert stream.protocol.current_documents() == []
    assert stream.tell_all(changed("a", 12), point(12)) == [(Changed([version("a", 12)], [], 12, 0.0), {})]
    assert stream.tell_one(changed("old", 4, targets=(target,)), current(target), point(13)) == {
        "old": Confirmed(13, 0.0)
    }
    assert stream.tell_one(reset(target), current(target), point(14)) == {
        "old": Changed([], [Removal("old", None)], 14, 0.0)
    }


@pytest.mark.parametrize(("code", "reason"), [(UNAVAILABLE, "unavailable"), (PERMISSION_DENIED, "permission_denied")])
def test_a_target_that_firestore_removes_ends_alone(code: int, reason: str) -> None:
    stream, target = followed()
    assert stream.ended_by(removed_target(target, code=code, why="no")) == (reason, ("old",), False)
    assert stream.protocol.current_documents() == []
    late = changed("old", 12, targets=(target,))
    assert stream.tell_all(late, changed("a", 12), point(12)) == [(Changed([version("a", 12)], [], 12, 0.0), {})]


def test_a_target_removed_without_a_cause_that_nobody_asked_for_ends_too() -> None:
    stream, target = followed()
    assert stream.ended_by(removed_target(target)) == ("protocol_error", ("old",), False)


def test_a_target_that_ended_is_added_again_from_the_start() -> None:
    stream, target = followed()
    stream.protocol.receive(removed_target(target, code=UNAVAILABLE))
    [request] = stream.protocol.add_document("old")
    again = request.add_target.target_id
    assert again != target
    assert not request.add_target.resume_token
    told = stream.tell_one(added(again), changed("old", 12, targets=(again,)), current(again), point(13))
    assert told == {"old": Changed([version("old", 12)], [], 13, 0.0)}


def test_a_removal_of_all_targets_is_the_windows_and_ends_the_stream() -> None:
    stream, target = followed()
    with pytest.raises(ListenerFailure, match="unavailable"):
        stream.tell(removed_target(MODEL_TARGET, target, code=UNAVAILABLE))


def test_a_filter_that_counts_none_says_that_the_document_does_not_exist() -> None:
    stream, target = followed()
    assert stream.tell_one(existence_filter(1, target), existence_filter(0, target), point(12)) == {
        "old": Changed([], [Removal("old", True)], 12, 0.0)
    }


def test_a_filter_that_counts_a_document_not_held_has_the_target_replaced() -> None:
    stream = following()
    target = stream.follow("old")
    stream.tell(deleted("old", targets=(target,)), current(target), point(11))
    assert stream.ended_by(existence_filter(1, target)) == ("filter_mismatch", ("old",), False)
    assert stream.tell_all(point(12)) == [(Confirmed(12, 0.0), {})]
    removal, request = stream.protocol.add_document("old")
    again = request.add_target.target_id
    assert removal.remove_target == target
    assert stream.tell_one(removed_target(target), changed("old", 4, targets=(again,)), current(again), point(13)) == {
        "old": Changed([version("old", 4)], [], 13, 0.0)
    }


# -- the next stream


def test_a_new_stream_resumes_what_the_token_covers_and_tells_the_difference() -> None:
    stream, _ = followed()
    stream.follow("newer")  # not current yet: the token says nothing of it
    assert stream.reopen() == b"t11"
    old, newer = (request.add_target for request in stream.further_requests)
    assert [list(target.documents.documents) for target in (old, newer)] == [
        [f"{COLLECTION}/old"],
        [f"{COLLECTION}/newer"],
    ]
    assert (old.resume_token, newer.resume_token) == (b"t11", b"")
    ids = (old.target_id, newer.target_id)
    assert MODEL_TARGET not in ids
    assert ids[0] != ids[1]
    told = stream.tell_one(
        added(MODEL_TARGET, *ids), changed("old", 12, targets=ids[:1]), current(MODEL_TARGET, *ids), point(13)
    )
    assert told == {"old": Changed([version("old", 12)], [], 13, 0.0), "newer": Replaced([], 13, 0.0)}


def test_a_new_stream_forgets_what_no_point_has_told() -> None:
    stream, target = followed()
    stream.tell(changed("old", 12, targets=(target,)))
    stream.reopen()
    [request] = stream.further_requests
    again = request.add_target.target_id
    assert stream.tell_one(current(MODEL_TARGET, again), point(13)) == {"old": Confirmed(13, 0.0)}


def test_a_target_that_the_last_stream_ended_too_soon_for_is_resumed_from_before() -> None:
    stream, _ = followed()
    stream.reopen()
    stream.tell(added(), current(), point(13, b"t13"))  # the window's; of the document nothing was said yet
    assert stream.reopen() == b"t13"
    [request] = stream.further_requests
    assert request.add_target.resume_token == b"t11", "what has changed between 11 and 13 is told"
    again = request.add_target.target_id
    stream.tell(added(), current(MODEL_TARGET, again), point(14, b"t14"))
    stream.reopen()
    assert stream.further_requests[0].add_target.resume_token == b"t14"


def test_a_point_without_a_token_leaves_the_old_one_to_those_it_covers() -> None:
    stream, _ = followed()
    newer = stream.follow("newer")
    assert stream.tell_one(current(newer), point(12)) == {"newer": Replaced([], 12, 0.0)}
    assert stream.reopen() == b"t11"
    assert [request.add_target.resume_token for request in stream.further_requests] == [b"t11", b""]


def test_what_was_reset_or_ended_is_not_resumed() -> None:
    stream, target = followed()
    stream.tell(reset(target), point(12, b"t12"))
    assert stream.reopen() == b"t12"
    [request] = stream.further_requests
    assert not request.add_target.resume_token
    stream.protocol.receive(removed_target(request.add_target.target_id, code=UNAVAILABLE))
    stream.tell(current(), point(13, b"t13"))
    assert stream.reopen() == b"t13"
    assert not stream.further_requests[0].add_target.resume_token


def test_a_refused_stream_is_asked_for_without_any_token() -> None:
    stream, _ = followed()
    stream.protocol.forget_token()
    assert stream.reopen() == b""
    assert not stream.further_requests[0].add_target.resume_token


def test_what_was_let_go_is_neither_told_nor_added_again() -> None:
    stream, target = followed()
    stream.protocol.remove_document("old")
    assert stream.tell_one(changed("old", 12, targets=(target,)), point(12)) == {}
    stream.reopen()
    assert stream.further_requests == []


def test_after_forgetting_everything_is_told_from_the_start() -> None:
    stream, target = followed()
    stream.protocol.forget()
    assert stream.tell_all(changed("old", 12, targets=(target,)), point(12)) == []
    assert stream.reopen() == b""
    [request] = stream.further_requests
    again = request.add_target.target_id
    told = stream.tell_one(changed("old", 12, targets=(again,)), current(MODEL_TARGET, again), point(13))
    assert told == {"old": Replaced([version("old", 12)], 13, 0.0)}


# -- between a point and its taking


def test_who_follows_a_document_anew_hears_nothing_of_its_former_target() -> None:
    stream, target = followed()
    stream.protocol.receive(changed("old", 12, targets=(target,)))
    told = stream.protocol.receive(point(12))
    assert isinstance(told, ConsistentPoint)
    stream.protocol.remove_document("old")
    again = stream.follow("old")
    stream.protocol.take(told)
    assert list(told.document_events(0.0)) == []
    assert stream.protocol.current_documents() == []
    assert stream.tell_one(changed("old", 12, targets=(again,)), current(again), point(13)) == {
        "old": Replaced([version("old", 12)], 13, 0.0)
    }


def test_a_target_added_again_before_the_point_is_taken_loses_nothing() -> None:
    stream, target = followed()
    stream.protocol.receive(deleted("old", targets=(target,)))
    told = stream.protocol.receive(point(12))
    assert isinstance(told, ConsistentPoint)
    again = stream.protocol.add_document("old")[-1].add_target.target_id
    stream.protocol.take(told)
    assert list(told.document_events(0.0)) == []
    assert stream.tell_one(current(again), point(13)) == {"old": Changed([], [Removal("old", None)], 13, 0.0)}


def test_the_window_is_as_ever_without_followed_documents() -> None:
    stream = synced()
    stream.reopen()
    assert stream.further_requests == []
