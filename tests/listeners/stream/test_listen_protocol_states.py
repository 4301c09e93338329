"""Every message in every state of a stream: what comes of it at once, and at the consistent point that follows."""

from collections.abc import Callable
from typing import Any

import pytest

from listeners.events import Changed, Confirmed, Replaced
from listeners.listener import ListenerFailure
from listeners.stream.consistent_point import ConsistentPoint, TargetsEnded
from listeners.stream.listen_protocol import ListenProtocol
from tests.listeners.responses import (
    FIELDS,
    WINDOW,
    added,
    changed,
    current,
    deleted,
    existence_filter,
    point,
    removed,
    removed_target,
    reset,
    target_change,
)
from tests.listeners.wanted import wanted

PROBE = 2
HELD = (added(), changed("a", 1), changed("b", 2), current(), point(10, b"t10"))


def told(protocol: ListenProtocol, *responses: Any) -> str:
    """What the last response brought, in a word or two; everything is taken."""
    summary = ""
    for response in responses:
        summary = ""
        try:
            result = protocol.receive(response)
        except ListenerFailure as failure:
            return failure.reason
        if isinstance(result, TargetsEnded):
            summary = "refused"
        elif isinstance(result, ConsistentPoint):
            summary = described(result)
            protocol.take(result)
    return summary


def described(point: ConsistentPoint) -> str:
    match point.event(0.0):
        case Replaced(documents):
            return f"={ids(documents)}"
        case Changed(upserts, removals):
            return f"+{ids(upserts)}-{ids(removals)}"
        case Confirmed():
            return "confirmed"


def ids(items: Any) -> str:
    return "".join(sorted(item.id for item in items))


def opened() -> ListenProtocol:
    protocol = ListenProtocol(WINDOW, wanted(*FIELDS))
    protocol.open()
    return protocol


def loading() -> ListenProtocol:
    protocol = opened()
    told(protocol, added(), changed("a", 1), changed("b", 2))
    return protocol


def live() -> ListenProtocol:
    protocol = opened()
    told(protocol, *HELD)
    return protocol


def changing() -> ListenProtocol:
    protocol = live()
    told(protocol, changed("a", 11))
    return protocol


def probing() -> ListenProtocol:
    protocol = live()
    protocol.add_probe()
    return protocol


def was_reset() -> ListenProtocol:
    protocol = live()
    told(protocol, changed("a", 11), reset(), changed("a", 1))
    return protocol


def resumed() -> ListenProtocol:
    protocol = changing()
    protocol.open()
    return protocol


def forgotten() -> ListenProtocol:
    protocol = live()
    protocol.forget()
    protocol.open()
    return protocol


STATES: list[Callable[[], ListenProtocol]] = [
    opened,
    loading,
    live,
    changing,
    probing,
    was_reset,
    resumed,
    forgotten,
]

MESSAGES = {
    "ADD": added(),
    "CURRENT": current(),
    "RESET": reset(),
    "point": point(20, b"t20"),
    "NO_CHANGE, ours": target_change(0, (1,), read_time=20, token=b"t20"),
    "NO_CHANGE, untimed": target_change(0, token=b"t20"),
    "new c": changed("c", 20),
    "unchanged b": changed("b", 2),
    "c of another target": changed("c", 20, targets=(9,)),
    "b left": changed("b", 20, targets=(), left=(1,)),
    "b deleted": deleted("b"),
    "b removed": removed("b"),
    "b removed elsewhere": removed("b", targets=(9,)),
    "filter 2": existence_filter(2),
    "REMOVE, transient": removed_target(code=14),
    "REMOVE, permanent": removed_target(code=7),
    "ADD of a stranger": added(9),
    "probe current": current(PROBE),
    "probe refused": removed_target(PROBE, code=3),
    "probe reset": reset(PROBE),
}

# In the order of STATES: what the message brings itself. "" is nothing (or, for what fails, the reason).
AT_ONCE = {
    "ADD": ["", "", "", "", "", "", "", ""],
    "CURRENT": ["", "", "", "", "", "", "", ""],
    "RESET": ["", "", "", "", "", "", "", ""],
    "point": ["", "", "confirmed", "+a-", "confirmed", "", "", ""],
    "NO_CHANGE, ours": ["", "", "", "", "", "", "", ""],
    "NO_CHANGE, untimed": ["", "", "", "", "", "", "", ""],
    "new c": ["", "", "", "", "", "", "", ""],
    "unchanged b": ["", "", "", "", "", "", "", ""],
    "c of another target": ["", "", "", "", "", "", "", ""],
    "b left": ["", "", "", "", "", "", "", ""],
    "b deleted": ["", "", "", "", "", "", "", ""],
    "b removed": ["", "", "", "", "", "", "", ""],
    "b removed elsewhere": ["", "", "", "", "", "", "", ""],
    "filter 2": ["filter_mismatch", "", "", "", "", "filter_mismatch", "", "filter_mismatch"],
    "REMOVE, transient": ["unavailable"] * 8,
    "REMOVE, permanent": ["permission_denied"] * 8,
    "ADD of a stranger": ["protocol_error"] * 8,
    "probe current": ["", "", "", "", "", "", "", ""],
    "probe refused": ["", "", "", "", "refused", "", "", ""],
    "probe reset": ["", "", "", "", "", "", "", ""],
}

# What the consumer is told at the next point, after CURRENT.
AT_THE_NEXT_POINT = {
    "ADD": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "CURRENT": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "RESET": ["=", "=", "+-ab", "+-ab", "+-ab", "+-ab", "+-ab", "="],
    "point": ["=", "=ab", "confirmed", "confirmed", "confirmed", "+-b", "confirmed", "="],
    "NO_CHANGE, ours": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "NO_CHANGE, untimed": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "new c": ["=c", "=abc", "+c-", "+ac-", "+c-", "+c-b", "+c-", "=c"],
    "unchanged b": ["=b", "=ab", "confirmed", "+a-", "confirmed", "confirmed", "confirmed", "=b"],
    "c of another target": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "b left": ["=", "=a", "+-b", "+a-b", "+-b", "+-b", "+-b", "="],
    "b deleted": ["=", "=a", "+-b", "+a-b", "+-b", "+-b", "+-b", "="],
    "b removed": ["=", "=a", "+-b", "+a-b", "+-b", "+-b", "+-b", "="],
    "b removed elsewhere": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "probe current": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "probe refused": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
    "probe reset": ["=", "=ab", "confirmed", "+a-", "confirmed", "+-b", "confirmed", "="],
}


def test_the_tables_speak_of_every_message() -> None:
    assert AT_ONCE.keys() == MESSAGES.keys()
    ending = {"filter 2", "REMOVE, transient", "REMOVE, permanent", "ADD of a stranger"}
    assert AT_THE_NEXT_POINT.keys() == MESSAGES.keys() - ending


@pytest.mark.parametrize("message", AT_ONCE)
def test_what_a_message_brings_by_itself(message: str) -> None:
    assert [told(state(), MESSAGES[message]) for state in STATES] == AT_ONCE[message]


@pytest.mark.parametrize("message", AT_THE_NEXT_POINT)
def test_what_a_message_has_changed_at_the_next_point(message: str) -> None:
    found = [told(state(), MESSAGES[message], current(), point(30, b"t30")) for state in STATES]
    assert found == AT_THE_NEXT_POINT[message]
