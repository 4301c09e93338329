"""A failure inside one watcher ends that watcher's connection and reaches no other (invariant 5).

Each place in which a watcher can fail is broken for one watcher, the first in line; all others must be served as if
nothing had happened: those of the same process, of another one, streams of all processes, and the end of the service.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from google.cloud.firestore_v1 import AsyncCollectionReference

from service.api.parameters import Wanted
from service.reads.answers import Answer
from service.runtime.failure_log import FailureLog
from service.runtime.slices import InOrder, Slices
from service.watch import model_streams
from service.watch.event_stream import StreamState
from service.watch.long_polls import Awaited, DirectWait, LongPolls
from service.watch.model_streams import ModelStream
from service.watch.watched_process import Change, ProcessStream, Wait
from service.watch.watchers import LINGER_S, Watchers, WatchOptions
from tests.service.running import RunningService, waiting
from tests.service.schemas import schema
from tests.service.scripted_firestore import Parts, document
from tests.service.virtual_time import Clock
from tests.service.watch.test_long_poll import held, put, seen
from tests.service.watch.test_watchers import Documents, Observer, Reader, Timers, every_change
from tests.waiting import until

OTHERS = 100


class Injected(Exception):
    """The failure that a test makes."""


@dataclass
class Direct:
    """A long poll without a task."""

    answers: list[Answer | None] = field(default_factory=list)
    watcher: Any = None

    def is_told(self) -> bool:
        return [answer.version if answer else None for answer in self.answers] == [2]

    def is_ended(self) -> bool:
        return self.answers == [None]


@dataclass
class Tasked:
    """A long poll with a task."""

    watcher: Wait
    future: "asyncio.Future[Change | None]"

    def is_told(self) -> bool:
        change = self.future.result() if self.future.done() else None
        return change is not None and change.key == 2

    def is_ended(self) -> bool:
        return self.future.done() and isinstance(self.future.exception(), Injected)


@dataclass
class Streamed:
    """An event stream, of one process or of all."""

    watcher: Any
    reader: Reader

    def is_told(self) -> bool:
        return "id: 2\n" in self.reader.text and self.watcher.state is not StreamState.DROPPED

    def is_ended(self) -> bool:
        return self.reader.is_aborted


Client = Direct | Tasked | Streamed


class Service:
    """The parts that watch, with time and turns of the loop in the test's hands."""

    def __init__(self) -> None:
        self.parts = Parts(window_size=10)
        self.documents, self.turns = Documents(), list[Callable[[], None]]()
        self.timers = Timers(self.parts.clock)
        self.slices = Slices(self.turns.append, failures=FailureLog(self.parts.clock))
        self.watchers = Watchers(
            self.parts.model,
            self.documents,
            self.parts.reads,
            self.slices,
            WatchOptions(1_000, schema(terminal=("completed",))),
            call_later=self.timers.call_later,
            observer=Observer(),
            rng=Random(1),
        )
        self.polls = LongPolls(
            self.parts.answers, self.watchers, self.parts.model, clock=self.parts.clock, lease_s=10_000
        )

    async def loaded(self) -> "Service":
        await self.parts.hears_all(1, document("p", 1), document("q", 1))
        self.run()
        return self

    def run(self) -> None:
        while self.turns:
            self.turns.pop(0)()

    def direct(self, process_id: str) -> Direct:
        client = Direct()

        def end(answer: Answer | None) -> None:
            client.answers.append(answer)
            client.watcher.leave()

        client.watcher = self.polls.begin(process_id, Awaited(60, Wanted(), '"v1"'), end)
        return client

    def tasked(self, process_id: str) -> Tasked:
        wait = self.watchers.wait(process_id)
        return Tasked(wait, wait.change_after(1, accepts=every_change, end=self.watchers.end_in(wait, 60)))

    def streamed(self, process_id: str) -> Streamed:
        stream, reader = self.watchers.stream(process_id), Reader()
        held = self.parts.model.get(process_id)
        assert held is not None
        stream.begin(reader, self.watchers.changes.upsert(held), None)
        return Streamed(stream, reader)

    def streamed_all(self, _: str) -> Streamed:
        stream, reader = self.watchers.stream_model(None, None), Reader()
        stream.begin(reader)
        return Streamed(stream, reader)

    def streamed_status(self, _: str) -> Streamed:
        stream, reader = self.watchers.stream_model("of nobody's", None), Reader()
        stream.begin(reader)
        return Streamed(stream, reader)

    def leave(self, process_id: str, client: Client) -> None:
        if isinstance(client.watcher, ModelStream):
            self.watchers.leave_model(None, client.watcher)
        elif not (isinstance(client, Direct) and client.answers):
            self.watchers.leave(process_id, client.watcher)


def break_for(patch: pytest.MonkeyPatch, victim: object, kind: type, place: str) -> None:
    """This method raises for one of the kind."""
    original = getattr(kind, place)

    def broken(self: object, *arguments: object) -> object:
        if self is victim:
            raise Injected(place)
        return original(self, *arguments)

    patch.setattr(kind, place, broken)


PLACES = [
    ("direct", DirectWait, "take"),
    ("direct", DirectWait, "close"),
    ("tasked", Wait, "take"),
    ("tasked", Wait, "settle"),
    ("tasked", Wait, "close"),
    ("streamed", ProcessStream, "take"),
    ("streamed", ProcessStream, "settle"),
    ("streamed", ProcessStream, "comment"),
    ("streamed", ProcessStream, "close"),
    ("streamed_all", ModelStream, "take"),
    ("streamed_all", ModelStream, "comment"),
]


def injected(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The lines that log the injected failure with its stack."""
    return [line for line in caplog.records if line.exc_info and line.exc_info[0] is Injected]


@pytest.mark.parametrize(("kind", "watcher", "place"), PLACES, ids=[f"{kind}-{place}" for kind, _, place in PLACES])
@pytest.mark.parametrize("ends_too", [True, False], ids=["ends", "cannot even end"])
async def test_a_failing_watcher_ends_alone_and_is_logged_once(
    kind: str,
    watcher: type,
    place: str,
    ends_too: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = await Service().loaded()
    victim: Client = getattr(service, kind)("p")
    others = [(name, getattr(service, kind)(name)) for name in "pq" for _ in range(OTHERS) for kind in KINDS]
    if not ends_too:
        break_for(monkeypatch, victim.watcher, watcher, "fail")
    break_for(monkeypatch, victim.watcher, watcher, place)

    await service.parts.hears(2, document("p", 2), document("q", 2))
    service.run()
    for _ in range(15):
        await service.timers.advance(1)
        service.run()

    assert [name for name, other in others if not other.is_told()] == []
    if place in ("take", "comment", "settle") and ends_too:
        assert victim.is_ended()
    for name, other in [("p", victim), *others]:
        service.leave(name, other)
    assert service.watchers.count == 0
    assert service.watchers._topics == {}
    assert len([line for line in injected(caplog) if place in line.getMessage()]) == 1


KINDS = ("direct", "tasked", "streamed", "streamed_all")


@pytest.mark.parametrize(
    ("kind", "watcher"),
    [("direct", DirectWait), ("tasked", Wait), ("streamed", ProcessStream), ("streamed_all", ModelStream)],
)
@pytest.mark.parametrize("by_time", [True, False], ids=["its time is over", "the service stops"])
async def test_a_watcher_that_fails_at_its_end_lets_all_others_end(
    kind: str, watcher: type, by_time: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await Service().loaded()
    victim: Client = getattr(service, kind)("p")
    others = [(name, getattr(service, kind)(name)) for name in "pq" for _ in range(OTHERS) for kind in KINDS]
    break_for(monkeypatch, victim.watcher, watcher, "farewell")

    if by_time:
        await service.timers.advance(60)
    else:
        service.watchers.stop()
    service.run()

    for _, other in others:
        if isinstance(other, Direct):
            assert len(other.answers) == 1
        elif isinstance(other, Tasked):
            assert other.future.done()
        elif not by_time:
            assert other.watcher.state is StreamState.ENDED
    if not (by_time and isinstance(victim, Streamed)):
        assert victim.is_ended()
        assert len(injected(caplog)) == 1
    for name, other in [("p", victim), *others]:
        service.leave(name, other)
    assert service.watchers.count == 0


async def test_a_direct_wait_whose_answer_cannot_be_made_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    service = await Service().loaded()
    victim, other = service.direct("p"), service.direct("p")
    of_change = LongPolls.of_change

    def broken(polls: LongPolls, change: Change, awaited: Awaited) -> Answer | None:
        if not victim.answers:
            raise Injected("of_change")
        return of_change(polls, change, awaited)

    monkeypatch.setattr(LongPolls, "of_change", broken)
    await service.parts.hears(2, document("p", 2))
    service.run()

    assert victim.answers == [None]
    assert other.is_told()


async def test_a_batch_that_one_filter_cannot_be_told_ends_its_streams_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await Service().loaded()
    broken_ones = [service.streamed_status("") for _ in range(3)]
    others = [("", service.streamed_all("")) for _ in range(OTHERS)]
    news = model_streams._Filter.news

    def broken(group: model_streams._Filter, applied: object) -> object:
        if group.status is not None:
            raise Injected("news")
        return news(group, applied)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(model_streams._Filter, "news", broken)
    await service.parts.hears(2, document("p", 2))
    service.run()

    assert all(client.is_ended() for client in broken_ones)
    assert all(client.is_told() for _, client in others)
    assert len(injected(caplog)) == 1


async def test_a_process_that_cannot_be_followed_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    victim = service.tasked("outside-1")
    others = [service.tasked(f"outside-{number}") for number in range(2, OTHERS)]
    for number in range(1, OTHERS):
        service.watchers.keep_current(f"outside-{number}")
    follow = Documents.follow

    def broken(documents: Documents, process_id: str, *how: Any) -> object:
        if process_id == "outside-1":
            raise Injected("follow")
        return follow(documents, process_id, *how)

    monkeypatch.setattr(Documents, "follow", broken)
    await service.loaded()

    assert len(service.documents.followed) == len(others)
    assert victim.is_ended()
    assert len(injected(caplog)) == 1


async def test_a_followed_document_that_cannot_be_released_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    service = await Service().loaded()
    waits = [service.watchers.wait(name) for name in ("x", "y")]
    for name, wait in zip("xy", waits, strict=True):
        service.watchers.keep_current(name)
        service.watchers.leave(name, wait)

    def broken(following: Documents.Following) -> None:
        raise Injected("release")

    monkeypatch.setattr(Documents.Following, "release", broken)
    await service.timers.advance(LINGER_S)

    assert service.watchers._topics == {}


def test_a_failing_job_and_a_failing_item_end_alone(caplog: pytest.LogCaptureFixture) -> None:
    turns = list[Callable[[], None]]()
    slices = Slices(turns.append, failures=FailureLog(Clock()))
    done: list[int] = []

    def work(number: int) -> Any:
        if number == 0:
            raise Injected("a job")
        yield
        done.append(number)

    in_order = InOrder(slices, work)
    for number in range(3):
        slices.add(work(number))
        in_order.add(number)
    while turns:
        turns.pop(0)()

    assert sorted(done) == [1, 1, 2, 2]
    assert len(injected(caplog)) == 2


def test_equal_failures_write_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    failures = FailureLog(clock)
    for _ in range(10_000):
        failures.report("Wait.take", Injected())
    assert len(injected(caplog)) == 1
    clock.advance(1)
    failures.report("Wait.take", Injected())
    failures.report("Wait.close", Injected())

    assert (failures.count, len(injected(caplog))) == (10_002, 3)
    assert "9999 more like it" in caplog.text


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_a_connection_lost_in_a_failing_clean_up_keeps_no_other_waiting(
    running: RunningService, collection: AsyncCollectionReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await held(running, collection)
    _, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
    writer.write(f'GET /status/import-1?wait=60 HTTP/1.1\r\nHost: x\r\nIf-None-Match: "v{version}"\r\n\r\n'.encode())
    await until(lambda: running.service.watchers.count == 1, "the first waits")
    (topic,) = running.service.watchers._topics.values()
    (victim,) = topic.watchers
    break_for(monkeypatch, victim, type(victim), "close")

    async with waiting(running, "/status/import-1?wait=60", **seen(version)) as request:
        writer.close()
        await until(lambda: running.service.watchers.count == 1, "the first has left")
        await put(collection, "import-1", "completed")
        assert (await request).status == 200
    await until(lambda: running.service.watchers.count == 0, "nobody waits")
    assert (await running.get("/status/import-1")).status == 200
