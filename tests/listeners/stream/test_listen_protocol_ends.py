"""How streams end and resume: tokens, existence filters, removed targets. One claim at a time, no server."""

import grpc
import pytest

from listeners.events import Changed, Confirmed, Removal, Replaced
from listeners.listener import ListenerFailure
from listeners.stream.consistent_point import ConsistentPoint
from listeners.stream.listen_protocol import MODEL_TARGET
from tests.listeners.protocol_stream import opened, synced, version
from tests.listeners.responses import (
    added,
    changed,
    current,
    deleted,
    existence_filter,
    point,
    removed_target,
    reset,
    target_change,
)

# -- tokens


def test_the_token_of_the_last_point_taken_is_resumed_from() -> None:
    stream = synced()
    stream.tell(changed("a", 11), point(11, b"t11"), changed("a", 12), current())
    assert stream.reopen() == b"t11"


def test_a_point_without_a_token_leaves_the_old_one() -> None:
    stream = synced()
    stream.tell(changed("a", 11), point(11))
    assert stream.reopen() == b"t10"


def test_a_point_that_was_not_taken_is_told_again() -> None:
    stream = synced()
    stream.protocol.receive(changed("a", 11))
    stream.protocol.receive(point(11, b"t11"))  # and the connection ends before the consumer has it
    assert stream.reopen() == b"t10"
    assert stream.tell(changed("a", 11), current(), point(12)) == [Changed([version("a", 11)], [], 12, 0.0)]


def test_a_reopened_stream_forgets_pending_changes_and_tells_the_difference() -> None:
    stream = synced()
    stream.tell(changed("phantom", 11), deleted("a"))
    assert stream.reopen() == b"t10"
    assert stream.tell(added(), changed("b", 12), point(12)) == []
    assert stream.tell(current(), point(13)) == [Changed([version("b", 12)], [], 13, 0.0)]


def test_a_reopened_stream_without_changes_confirms() -> None:
    stream = synced()
    stream.reopen()
    assert stream.tell(added(), existence_filter(3), current(), point(11)) == [Confirmed(11, 0.0)]


def test_after_a_reset_that_never_ended_nothing_is_resumed() -> None:
    stream = synced()
    stream.tell(reset(), changed("a", 1))
    assert stream.reopen() == b""
    assert stream.tell(changed("a", 1), changed("b", 2), current(), point(12)) == [
        Changed([], [Removal("c", None)], 12, 0.0)
    ]


def test_forgetting_makes_the_next_sync_a_whole_one() -> None:
    stream = synced()
    stream.protocol.forget()
    assert stream.tell(changed("a", 11), point(11, b"t11")) == []  # the open stream is of no more use
    assert stream.reopen() == b""
    assert stream.tell(changed("a", 1), current(), point(12)) == [Replaced([version("a", 1)], 12, 0.0)]


def test_a_point_taken_after_forgetting_changes_nothing() -> None:
    stream = synced()
    offered = stream.protocol.receive(point(11, b"t11"))
    assert isinstance(offered, ConsistentPoint)
    stream.protocol.forget()
    stream.protocol.take(offered)
    assert stream.reopen() == b""


# -- existence filters


def test_a_filter_that_agrees_is_no_news() -> None:
    stream = synced()
    assert stream.tell(changed("d", 11), changed("a", 11), deleted("b"), existence_filter(3), point(11)) == [
        Changed([version("d", 11), version("a", 11)], [Removal("b", True)], 11, 0.0)
    ]


def test_a_filter_counts_only_what_has_come_again_after_a_reset() -> None:
    stream = synced()
    assert stream.tell(reset(), changed("a", 1), changed("d", 11), existence_filter(2)) == []


@pytest.mark.parametrize("count", [2, 4])
def test_a_filter_mismatch_reopens_without_the_token_and_ends_as_a_difference(count: int) -> None:
    stream = synced()
    with pytest.raises(ListenerFailure) as failed:
        stream.tell(existence_filter(count))
    assert (failed.value.reason, failed.value.permanent) == ("filter_mismatch", False)
    assert stream.reopen() == b""
    events = stream.tell(changed("a", 1), changed("b", 12), current(), point(12))
    assert events == [Changed([version("b", 12)], [Removal("c", None)], 12, 0.0)]


def test_a_filter_of_another_target_is_ignored() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    assert stream.tell(existence_filter(0, probe), point(11)) == [Confirmed(11, 0.0)]


# -- ends


def test_a_target_that_was_not_asked_for_is_a_protocol_error() -> None:
    stream = opened()
    with pytest.raises(ListenerFailure, match="protocol_error"):
        stream.tell(added(MODEL_TARGET, 9))


def test_a_document_from_elsewhere_is_a_protocol_error() -> None:
    stream = opened()
    elsewhere = "projects/p/databases/(default)/documents/others"
    with pytest.raises(ListenerFailure, match="protocol_error"):
        stream.tell(changed("a", 1, collection=elsewhere))


@pytest.mark.parametrize(
    ("code", "reason", "permanent", "token_kept"),
    [
        (grpc.StatusCode.UNAVAILABLE, "unavailable", False, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "resource_exhausted", False, True),
        (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated", False, True),
        (grpc.StatusCode.PERMISSION_DENIED, "permission_denied", True, False),
        (grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument", True, False),
        (grpc.StatusCode.FAILED_PRECONDITION, "failed_precondition", True, False),
    ],
)
def test_a_removed_target_ends_the_stream_with_its_cause(
    code: grpc.StatusCode, reason: str, permanent: bool, token_kept: bool
) -> None:
    stream = synced()
    with pytest.raises(ListenerFailure, match="why") as failed:
        stream.tell(removed_target(code=code.value[0], why="why"))
    assert (failed.value.reason, failed.value.permanent) == (reason, permanent)
    assert (stream.reopen() == b"t10") is token_kept


def test_a_target_removed_without_a_cause_is_a_permanent_protocol_error() -> None:
    stream = synced()
    with pytest.raises(ListenerFailure) as failed:
        stream.tell(removed_target())
    assert (failed.value.reason, failed.value.permanent) == ("protocol_error", True)


def test_a_message_of_a_kind_yet_unknown_is_ignored() -> None:
    stream = synced()
    assert stream.tell(target_change(77), type(point(1))(), point(11)) == [Confirmed(11, 0.0)]
