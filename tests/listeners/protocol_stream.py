"""A protocol with a consumer that takes every point."""

from typing import Any

from listeners.events import Document, Event
from listeners.stream.consistent_point import ConsistentPoint
from listeners.stream.listen_protocol import ListenProtocol
from tests.listeners.responses import FIELDS, WINDOW, added, changed, current, point
from tests.listeners.wanted import wanted


class Stream:
    """`tell` returns what the consumer is told."""

    def __init__(self) -> None:
        self.protocol = ListenProtocol(WINDOW, wanted(*FIELDS))
        self.request, *self.further_requests = self.protocol.open()

    def tell(self, *responses: Any) -> list[Event]:
        events = []
        for response in responses:
            told = self.protocol.receive(response)
            if isinstance(told, ConsistentPoint):
                events.append(told.event(0.0))
                self.protocol.take(told)
        return events

    def reopen(self) -> bytes:
        """Returns the token the new stream resumes from; empty: none."""
        self.request, *self.further_requests = self.protocol.open()
        token: bytes = self.request.add_target.resume_token
        return token


def opened() -> Stream:
    """An open stream that has said nothing."""
    return Stream()


def synced() -> Stream:
    """A stream whose consumer holds a (version 1), b (2) and c (3), as of 10, with token t10."""
    stream = Stream()
    stream.tell(added(), changed("a", 1), changed("b", 2), changed("c", 3), current(), point(10, b"t10"))
    return stream


def version(document_id: str, update_time: int, status: str = "running") -> Document:
    return Document(document_id, update_time, {"status": status})
