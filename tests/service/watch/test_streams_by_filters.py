"""`/events` by the schema's filters: what enters and what leaves them, alive and after a reconnect."""

import json

import pytest

from listeners.events import Document, Removal
from service.api.caller import SEES_EVERYTHING
from service.api.list_query import Filters
from service.schema.compiled import Schema
from service.watch.model_stream import ModelStream
from tests.service.schemas import with_filters
from tests.service.watch.watched import Reader, Watched

ANN = {"owner": "ann"}


def owned(version: int, owner: object, process_id: str, status: str = "running", shard: object = 1) -> Document:
    return Document(
        process_id,
        version,
        {"status": status, "start_time": "2026-11-23T09:30:00Z", "owner": owner, "place.shard": shard},
    )


async def loaded(*documents: Document) -> Watched:
    return await Watched(in_force=Schema(with_filters("string"))).load(*documents)


def opened(watched: Watched, filters: Filters, since: int | None = None) -> Reader:
    stream, reader = watched.watchers.stream_model(filters, SEES_EVERYTHING, since), Reader()
    assert isinstance(stream, ModelStream)
    stream.begin(reader)
    return reader


def told(reader: Reader) -> list[tuple[str, str, object]]:
    """(event, process ID, status or deleted), and forgets them."""
    events = []
    for each in reader.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in each.splitlines() if not line.startswith(":"))
        if "event" in lines:
            data = json.loads(lines["data"])
            events.append((lines["event"], data.get("process_id"), data.get("status", data.get("deleted"))))
    reader.frames.clear()
    return events


async def test_a_stream_by_a_filter_begins_with_what_fits_and_no_more() -> None:
    watched = await loaded(
        owned(1, "ann", "a"), owned(1, "bob", "b"), owned(1, None, "c"), owned(1, "ann", "d", "failed")
    )
    assert told(opened(watched, ANN)) == [("status", "d", "failed"), ("status", "a", "running")]
    assert told(opened(watched, {"owner": "ann", "status": "failed"})) == [("status", "d", "failed")]
    assert told(opened(watched, {"shard": 2})) == []


async def test_what_leaves_a_filter_is_removed_and_what_enters_it_is_sent() -> None:
    watched = await loaded(owned(1, "ann", "a"), owned(1, "bob", "b"), owned(1, "bob", "c"))
    reader = opened(watched, ANN)
    told(reader)
    await watched.change(owned(110, "bob", "a"), owned(110, "ann", "b"), owned(110, "bob", "c", "failed"))
    assert told(reader) == [("removed", "a", False), ("status", "b", "running")]
    await watched.change(owned(120, "cid", "a"), owned(120, "ann", "b", "failed"), read_time=120)
    assert told(reader) == [("status", "b", "failed")], "what has left is not told of again"
    await watched.change(read_time=130, gone=(Removal("a", True), Removal("b", True), Removal("c", True)))
    assert told(reader) == [("removed", "b", True)]


async def test_a_stream_by_status_and_filter_sends_what_leaves_either() -> None:
    watched = await loaded(owned(1, "ann", "a"), owned(1, "ann", "b"), owned(1, "ann", "c", "failed"))
    reader = opened(watched, {"owner": "ann", "status": "running"})
    told(reader)
    await watched.change(owned(110, "ann", "a", "failed"), owned(110, "bob", "b"), owned(110, "bob", "c", "failed"))
    assert told(reader) == [("status", "a", "failed"), ("removed", "b", False)]
    await watched.change(owned(120, "ann", "c", "failed"), owned(120, "ann", "b", "failed"), read_time=120)
    assert told(reader) == [], "neither the status before nor that now is asked for"


@pytest.mark.parametrize("filters", [ANN, {"shard": 1}, {"owner": "ann", "shard": 1}])
async def test_a_reconnect_replays_what_left_its_filter_meanwhile(filters: Filters) -> None:
    watched = await loaded(
        owned(1, "ann", "a"), owned(1, "ann", "b"), owned(1, "bob", "c", shard=2), owned(1, "ann", "d")
    )
    await watched.change(owned(110, "bob", "a", shard=2), owned(110, "ann", "c"), read_time=110)
    await watched.change(owned(120, "bob", "b", shard=2), read_time=120)
    await watched.change(owned(130, "ann", "b"), read_time=130, gone=(Removal("d", True),))
    assert told(opened(watched, filters, since=100)) == [
        ("removed", "a", False),
        ("removed", "d", True),
        ("status", "c", "running"),
        ("status", "b", "running"),
    ]
    assert told(opened(watched, filters, since=120)) == [("removed", "d", True), ("status", "b", "running")]


async def test_a_reconnect_by_a_filter_hears_nothing_of_other_processes() -> None:
    watched = await loaded(owned(1, "bob", "b"), owned(1, "bob", "d"))
    await watched.change(owned(110, "bob", "b", "failed"), read_time=110, gone=(Removal("d", True),))
    assert told(opened(watched, ANN, since=100)) == []
    assert told(opened(watched, {}, since=100)) == [("removed", "d", True), ("status", "b", "failed")]


async def test_the_removal_of_an_unknown_process_is_no_event_of_a_filter() -> None:
    watched = await loaded(owned(1, "ann", "a"))
    reader = opened(watched, ANN)
    told(reader)
    await watched.change(read_time=110, gone=(Removal("unknown", True),))
    await watched.change(owned(120, "ann", "a", "failed"))
    assert told(reader) == [("status", "a", "failed")], "the stream goes on"
