"""Event streams by themselves: what they send, in which pieces, and what happens to slow clients."""

import json
from collections.abc import Iterator

import pytest

from listeners.events import Removal
from service.api.caller import SEES_EVERYTHING
from service.api.list_query import Filters
from service.model.read_model import ReadModel
from service.schema.compiled import ProcessSummary
from service.watch.event_stream import StreamState
from service.watch.model_stream import PIECE_BYTES, STEPS_PER_PIECE
from tests.service.watch.watched import Reader, Watched, process


async def test_an_event_is_rendered_once_for_all_streams() -> None:
    watched = await Watched().load(process(100))
    readers = [Reader() for _ in range(3)]
    for reader in readers:
        watched.streaming(reader)

    await watched.change(process(101))

    first, *others = (reader.frames[-1] for reader in readers)
    assert all(frame is first for frame in others)
    assert first.chunk == b"%x\r\n%b\r\n" % (len(first.plain), first.plain)


async def test_a_stream_that_has_to_drain_gets_the_newest_version_only() -> None:
    watched = await Watched().load(process(100))
    reader = Reader(room=1)
    stream = watched.streaming(reader)
    assert stream.state is StreamState.STUCK

    for version in range(101, 200):
        await watched.change(process(version))
    assert len(reader.frames) == 1
    reader.room = 10
    stream.drained()

    assert [frame.plain.split(b"\n")[1] for frame in reader.frames] == [b"id: 100", b"id: 199"]


async def test_reconnect_replays_processes_that_entered_the_window() -> None:
    watched = await Watched(window_size=2).load(process(20, process_id="a"), process(30, process_id="b"))
    await watched.change(process(10, process_id="c"), read_time=110, gone=(Removal("b", deleted=True),))
    stream, reader = watched.watchers.stream_model({}, SEES_EVERYTHING, 100), Reader()
    stream.begin(reader)
    sent = [line for line in reader.text.splitlines() if line.startswith(("event:", "id:"))]
    assert sent == ["event: removed", "id: 0", "event: status", "id: 110"]
    assert '"process_id":"c"' in reader.text
    seen, later = watched.watchers.stream_model({}, SEES_EVERYTHING, 110), Reader()
    seen.begin(later)
    assert later.frames == []


async def test_a_model_stream_that_does_not_drain_is_dropped_alone() -> None:
    watched = await Watched().load(process(100))
    slow, quick = Reader(room=1), Reader()
    slow_stream, quick_stream = (watched.watchers.stream_model({}, SEES_EVERYTHING, None) for _ in range(2))
    slow_stream.begin(slow)
    quick_stream.begin(quick)

    version = 100
    while slow_stream.state is not StreamState.DROPPED:
        version += 1
        assert version < 20_000
        await watched.change(process(version))

    assert (len(slow.frames), slow.is_aborted) == (1, True)
    assert len(quick.frames) == version - 99
    assert await slow_stream.wait() is StreamState.DROPPED
    watched.watchers.leave_model({}, SEES_EVERYTHING, slow_stream)
    assert watched.observer.count == 1


async def test_comments_come_every_fifteen_seconds_to_each_stream() -> None:
    watched = await Watched().load(process(100))
    reader = Reader()
    stream = watched.watchers.stream_model({}, SEES_EVERYTHING, None)
    stream.begin(reader)
    for _ in range(45):
        await watched.timers.advance(1)
        watched.run()

    assert reader.text.count(": nothing new") == 3
    watched.watchers.leave_model({}, SEES_EVERYTHING, stream)
    assert watched.timers.pending == 0


async def test_a_model_stream_walks_through_the_model_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = await Watched().load(*(process(1, "running", f"p{number:05}") for number in range(5_000)))
    looked_at = 0
    walk = ReadModel.walk

    def counted(model: ReadModel, filters: Filters) -> Iterator[ProcessSummary | None]:
        nonlocal looked_at
        for summary in walk(model, filters):
            looked_at += 1
            yield summary

    monkeypatch.setattr(ReadModel, "walk", counted)
    monkeypatch.delattr(ReadModel, "held")  # which is all of it at once
    watched.watchers._model_streams._log._points.insert(0, 0)
    for status, since in ((None, None), ("failed", None), ("running", None), (None, 0), (None, 100)):
        looked_at = before = 0
        stream, reader = (
            watched.watchers.stream_model({} if status is None else {"status": status}, SEES_EVERYTHING, since),
            Reader(),
        )
        assert looked_at == 0
        stream.begin(reader)
        while stream.state is StreamState.STUCK or looked_at > before:
            assert looked_at - before <= STEPS_PER_PIECE
            assert len(reader.frames[-1].plain if reader.frames else b"") < 2 * PIECE_BYTES
            before = looked_at
            stream.drained()
        sent = reader.text.count("event: status")
        assert sent == (0 if status == "failed" or since == 100 else 5_000)
        ids = [line for line in reader.text.splitlines() if line.startswith("id: ")]
        assert ids == (["id: 0", "id: 100"] if sent else []), "cut off in between, it begins anew"


async def test_a_version_that_comes_during_the_backlog_is_sent_once() -> None:
    watched = await Watched().load(*(process(1, "running", f"p{number:05}") for number in range(5_000)))
    stream, reader = watched.watchers.stream_model({}, SEES_EVERYTHING, None), Reader()
    stream.begin(reader)
    await watched.change(process(150, "failed", "p00001"), process(150, "failed", "p04999"), read_time=150)
    while stream.state is StreamState.STUCK:
        stream.drained()
    events = [json.loads(line.removeprefix("data: ")) for line in reader.text.splitlines() if line[:5] == "data:"]
    sent = {name: [each["status"] for each in events if each["process_id"] == name] for name in ("p00001", "p04999")}
    assert sent["p00001"] == ["failed"]  # its turn had not come
    assert sent["p04999"] == ["running", "failed"]
    assert [event["process_id"] for event in events][-2:] == ["p00001", "p04999"]
    assert len(events) == 5_001


async def test_a_filtered_stream_gets_what_leaves_its_filter_and_no_more() -> None:
    watched = await Watched().load(process(1, "failed", "a"), process(1, "running", "b"), process(1, "failed", "c"))
    stream, reader = watched.watchers.stream_model({"status": "failed"}, SEES_EVERYTHING, None), Reader()
    stream.begin(reader)
    reader.frames.clear()
    await watched.change(process(150, "running", "a"), process(150, "completed", "b"))
    await watched.change(read_time=160, gone=(Removal("a", True), Removal("c", True)))
    sent = [json.loads(line.removeprefix("data: ")) for line in reader.text.splitlines() if line[:5] == "data:"]
    assert [(each["process_id"], each.get("status")) for each in sent] == [("a", "running"), ("c", None)]
