"""Probes in the Listen protocol: what answers one, and what doesn't. One claim at a time, no server."""

from typing import Any

from listeners.events import Changed, Confirmed
from listeners.stream.consistent_point import ConsistentPoint, TargetsEnded
from listeners.stream.listen_protocol import MODEL_TARGET, ListenProtocol
from tests.listeners.protocol_stream import opened, synced, version
from tests.listeners.responses import (
    added,
    changed,
    current,
    deleted,
    point,
    removed_target,
    reset,
)

# -- bills


def test_every_document_sent_is_counted_unchanged_ones_and_the_probes_too() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    stream.tell(changed("a", 1), changed("b", 12), deleted("c"), deleted("probe", targets=(probe,)))
    assert stream.protocol.documents_billed == 3 + 2 + 1


# -- probes


def answered(protocol: ListenProtocol, *responses: Any) -> tuple[int, ...]:
    """The targets that the last response answers."""
    for response in responses[:-1]:
        protocol.receive(response)
    told = protocol.receive(responses[-1])
    assert isinstance(told, ConsistentPoint)
    protocol.take(told)
    return told.answered


def test_the_first_point_answers_the_windows_own_target_once() -> None:
    stream = opened()
    assert answered(stream.protocol, added(), current(), point(10)) == (MODEL_TARGET,)
    assert answered(stream.protocol, point(11)) == ()


def test_a_probe_asks_for_one_document_that_does_not_exist_under_a_new_id() -> None:
    stream = synced()
    first, request = stream.protocol.add_probe()
    second, _ = stream.protocol.add_probe()
    assert MODEL_TARGET not in (first, second)
    assert first != second
    assert request.add_target.target_id == first
    assert list(request.add_target.documents.documents) == [
        "projects/p/databases/(default)/documents/jobs/process-status-probe-that-does-not-exist"
    ]
    assert stream.protocol.remove_probe(first).remove_target == first


def test_a_probe_is_answered_at_the_first_point_at_which_it_is_current() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    assert answered(stream.protocol, added(probe), point(11)) == ()
    assert answered(stream.protocol, deleted("probe", targets=(probe,)), current(probe), point(12)) == (probe,)
    assert answered(stream.protocol, point(13)) == ()


def test_a_probe_is_not_answered_while_the_window_is_told_again() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    assert stream.tell(added(probe), reset(), current(probe), point(11)) == []
    assert set(answered(stream.protocol, changed("a", 1), current(), point(12))) == {MODEL_TARGET, probe}


def test_the_point_that_answers_a_probe_carries_the_changes_before_it() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    assert stream.tell(changed("a", 11), added(probe), current(probe), point(12)) == [
        Changed([version("a", 11)], [], 12, 0.0)
    ]


def test_two_probes_may_be_answered_by_one_point() -> None:
    stream = synced()
    first, second = stream.protocol.add_probe()[0], stream.protocol.add_probe()[0]
    assert answered(stream.protocol, current(first, second), point(11)) == (first, second)


def test_a_probe_of_the_stream_before_is_never_answered() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    stream.reopen()
    assert answered(stream.protocol, current(), point(11)) == (MODEL_TARGET,)
    assert probe not in answered(stream.protocol, current(probe), point(12))


def test_a_refused_probe_leaves_the_window_alone() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    refused = stream.protocol.receive(removed_target(probe, code=3, why="no"))
    assert isinstance(refused, TargetsEnded)
    assert (refused.failure.reason, refused.document_ids, refused.has_probe) == ("invalid_argument", (), True)
    assert stream.tell(changed("a", 11), point(11)) == [Changed([version("a", 11)], [], 11, 0.0)]


def test_a_probe_removed_as_asked_is_no_news() -> None:
    stream = synced()
    probe, _ = stream.protocol.add_probe()
    stream.protocol.remove_probe(probe)
    assert stream.tell(removed_target(probe), point(11)) == [Confirmed(11, 0.0)]
