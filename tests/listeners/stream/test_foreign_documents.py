"""Foreign documents of a collection group: they count in the stream's result, and the consumer never gets one."""

from typing import Any

import pytest

from listeners.events import Changed, Confirmed, Removal, Replaced
from listeners.listener import ListenerFailure
from listeners.stream.listen_protocol import ListenProtocol
from listeners.window import Window
from tests.listeners.protocol_stream import Stream
from tests.listeners.responses import FIELDS, added, changed, current, deleted, existence_filter, point, reset
from tests.listeners.wanted import by, wanted

ROOT = "projects/p/databases/(default)/documents"
WINDOW = Window("p", "(default)", "users/{uid}/jobs", by("timestamp"), 10)


class GroupStream(Stream):
    def __init__(self) -> None:
        self.protocol = ListenProtocol(WINDOW, wanted(*FIELDS))
        self.request, *self.further_requests = self.protocol.open()


def at(path: str, response: Any) -> Any:
    """The same of the document at this path."""
    kind = response.WhichOneof("response_type")
    if kind == "document_change":
        response.document_change.document.name = f"{ROOT}/{path}"
    else:
        getattr(response, kind).document = f"{ROOT}/{path}"
    return response


OWN, FOREIGN, KEY = "users/alice/jobs/a", "jobs/a", "alice\0a"


@pytest.fixture
def stream() -> GroupStream:
    """Holds one document of its own and two that are foreign."""
    stream = GroupStream()
    load = [at(OWN, changed("a", 1)), at(FOREIGN, changed("a", 2)), at("x/y/jobs/b", changed("a", 3))]
    [event] = stream.tell(added(), *load, current(), point(10, b"t10"))
    assert isinstance(event, Replaced)
    assert ([each.id for each in event.documents], event.foreign) == ([KEY], 2)
    return stream


def test_the_window_asks_for_all_descendants() -> None:
    asked = GroupStream().request.add_target.query
    assert asked.parent == ROOT
    [selector] = asked.structured_query.from_
    assert (selector.collection_id, selector.all_descendants) == ("jobs", True)


def test_a_change_of_a_foreign_document_only_confirms(stream: GroupStream) -> None:
    [event] = stream.tell(at(FOREIGN, changed("a", 5)), point(11))
    assert event == Confirmed(11, 0.0, 2)
    [event] = stream.tell(
        at(FOREIGN, deleted("a")), at("jobs/c", changed("c", 6)), at("jobs/d", changed("d", 6)), point(12)
    )
    assert event == Confirmed(12, 0.0, 3)


def test_the_existence_filter_counts_foreign_documents(stream: GroupStream) -> None:
    assert stream.tell(existence_filter(3)) == []
    with pytest.raises(ListenerFailure, match="filter_mismatch"):
        stream.tell(existence_filter(1))


def test_after_a_reset_foreign_documents_that_do_not_come_again_are_gone(stream: GroupStream) -> None:
    [event] = stream.tell(reset(), at(FOREIGN, changed("a", 2)), current(), point(11))
    assert event == Changed([], [Removal(KEY, None)], 11, 0.0, 1)
    assert stream.tell(existence_filter(1)) == []


def test_a_break_takes_back_foreign_documents_that_were_pending(stream: GroupStream) -> None:
    stream.tell(at("jobs/c", changed("c", 6)))
    assert stream.reopen() == b"t10"
    [event] = stream.tell(added(), current(), point(12))
    assert event == Confirmed(12, 0.0, 2)


def test_a_probe_and_a_followed_document_are_asked_for_by_their_whole_path(stream: GroupStream) -> None:
    [request] = stream.protocol.add_document(KEY)
    assert list(request.add_target.documents.documents) == [f"{ROOT}/{OWN}"]
    _, probe = stream.protocol.add_probe()
    [name] = probe.add_target.documents.documents
    assert name.startswith(f"{ROOT}/users/process-status-probe")
