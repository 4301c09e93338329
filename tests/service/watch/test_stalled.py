"""Who waits for a dead worker is told: waits until `stalled`, streams of one process, of all, and of a followed one."""

from listeners.events import Document
from service.api.caller import SEES_EVERYTHING
from tests.service.watch.watched import PROCESS, Reader, Watched, process

AFTER_S = 901.0


def events(reader: Reader) -> list[str]:
    return [line.removeprefix("event: ") for line in reader.text.splitlines() if line.startswith("event: ")]


async def test_a_wait_until_stalled_ends_with_the_version_that_its_client_knows() -> None:
    watched = await Watched().load(process(100))
    waits = [watched.waiting(100, until=until) for until in (("stalled",), ("terminal", "stalled"))]
    others = [watched.waiting(100), watched.waiting(100, until=("terminal",))]

    await watched.pass_without_writes(AFTER_S)

    for wait in waits:
        (answer,) = wait.answers
        assert answer is not None
        assert (answer.version, answer.summary is not None and answer.summary.is_stalled) == (100, True)
    assert not any(wait.is_over for wait in others)


async def test_a_wait_until_stalled_goes_on_while_the_process_is_written() -> None:
    watched = await Watched().load(process(100))
    wait = watched.waiting(100, until=("stalled",))
    await watched.pass_without_writes(500)
    await watched.change(process(600_000_000))
    await watched.pass_without_writes(500)
    assert not wait.is_over
    await watched.pass_without_writes(600)
    assert wait.change.key == 600_000_000


async def test_a_stream_of_one_process_tells_its_stall_once_and_its_end() -> None:
    watched = await Watched().load(process(100))
    reader, later = Reader(), Reader()
    watched.streaming(reader)
    await watched.pass_without_writes(AFTER_S)
    await watched.pass_without_writes(1)
    assert events(reader) == ["status", "stalled"]
    assert '"last_written":"1970-01-01T00:00:00.0001Z"' in reader.text
    watched.streaming(later)
    assert events(later) == ["status", "stalled"]

    await watched.change(process(1_000_000_000))

    assert events(reader) == events(later) == ["status", "stalled", "status"]


async def test_a_client_that_knows_the_version_is_told_that_it_stalls() -> None:
    watched = await Watched().load(process(100))
    await watched.pass_without_writes(AFTER_S)
    stream, reader, held = watched.watchers.stream(PROCESS, SEES_EVERYTHING), Reader(), watched.model.get(PROCESS)
    assert held is not None
    stream.begin(reader, watched.watchers.changes.upsert(held), 100)
    assert events(reader) == ["stalled"]


async def test_a_stream_that_has_to_drain_gets_version_and_stall() -> None:
    watched = await Watched().load(process(100))
    reader = Reader(room=1)
    stream = watched.streaming(reader)
    await watched.change(process(101))
    await watched.pass_without_writes(AFTER_S)
    reader.room = 10
    stream.drained()
    assert events(reader) == ["status", "status", "stalled"]


async def test_a_stream_of_the_model_tells_who_stalls_among_those_it_shows() -> None:
    watched = await Watched().load(process(100), process(99, "queued", "import-2"))
    queued, every, later, resumed = (Reader() for _ in range(4))
    watched.watchers.stream_model({"status": "queued"}, SEES_EVERYTHING, None).begin(queued)
    watched.watchers.stream_model({}, SEES_EVERYTHING, None).begin(every)
    await watched.pass_without_writes(AFTER_S)
    assert events(queued) == ["status", "stalled"]
    assert events(every) == ["status", "status", "stalled", "stalled"]
    stream = watched.watchers.stream_model({}, SEES_EVERYTHING, None)
    stream.begin(later)
    assert events(later) == ["status", "stalled", "status", "stalled"]
    assert later.text.rstrip().splitlines()[-2] == "id: 100"  # the last event of the present state names its point
    watched.watchers.stream_model({}, SEES_EVERYTHING, 100).begin(resumed)
    assert events(resumed) == ["stalled", "stalled"]

    await watched.change(process(1_000_000_000))

    assert events(every)[-1] == events(later)[-1] == "status"


async def test_a_followed_process_outside_the_window_stalls_too() -> None:
    watched = await Watched(window_size=1).load(process(100, process_id="newest"))
    wait = watched.waiting(50, until=("stalled",))
    watched.watchers.keep_current(PROCESS)
    watched.documents.followed[PROCESS](process(50), 100, watched.clock())
    watched.run()
    await watched.pass_without_writes(AFTER_S)
    assert wait.change.is_stalled


async def test_a_heartbeat_ends_the_stall_in_streams_of_the_model() -> None:
    def heartbeat(version: int) -> Document:
        return Document(PROCESS, version, {"status": "running", "start_time": "2026"})

    watched = await Watched().load(heartbeat(100))
    reader, resumed = Reader(), Reader()
    watched.watchers.stream_model({}, SEES_EVERYTHING, None).begin(reader)
    await watched.pass_without_writes(AFTER_S)
    seen = watched.model.read_time
    await watched.change(heartbeat(seen + 1))
    assert events(reader) == ["status", "stalled", "status"]
    await watched.change(heartbeat(seen + 2))
    assert events(reader) == ["status", "stalled", "status"], "the second one is no news"
    watched.watchers.stream_model({}, SEES_EVERYTHING, 100).begin(resumed)
    assert events(resumed) == ["status"]
