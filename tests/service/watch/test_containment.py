"""A failure inside one watcher ends that watcher's connection and affects no other (invariant 5).

Each place in which a watcher can fail is broken for the first watcher in line. All others must be served as if nothing
had happened: watchers of the same process and of another one, streams of all processes, and the end of the service.
"""

import asyncio
from typing import Any

import pytest
from google.cloud.firestore_v1 import AsyncCollectionReference

from service.reads.answers import Answer
from service.watch import model_streams
from service.watch.deliveries import LINGER_S
from service.watch.event_stream import StreamState
from service.watch.long_poll_waiter import LongPollWaiter
from service.watch.long_polls import LongPolls
from service.watch.model_stream import ModelStream
from service.watch.process_stream import ProcessStream
from tests.service.running import RunningService, waiting
from tests.service.scripted_firestore import document
from tests.service.watch.failing import (
    KINDS,
    OTHERS,
    Client,
    Direct,
    Injected,
    Service,
    Streamed,
    Tasked,
    break_for,
    injected,
)
from tests.service.watch.test_long_poll import held, put, seen
from tests.service.watch.watched import Documents
from tests.waiting import until

PLACES = [
    ("direct", LongPollWaiter, "on_change"),
    ("direct", LongPollWaiter, "close"),
    ("tasked", LongPollWaiter, "on_change"),
    ("tasked", LongPollWaiter, "close"),
    ("streamed", ProcessStream, "on_change"),
    ("streamed", ProcessStream, "comment"),
    ("streamed", ProcessStream, "close"),
    ("streamed_all", ModelStream, "on_batch"),
    ("streamed_all", ModelStream, "comment"),
]


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

    assert [name for name, other in others if not other.is_served()] == []
    if place != "close" and ends_too:
        assert victim.is_ended()
    for name, other in [("p", victim), *others]:
        service.leave(name, other)
    assert service.watchers.count == 0
    assert service.watchers._deliveries.processes == {}
    assert len([line for line in injected(caplog) if place in line.getMessage()]) == 1


@pytest.mark.parametrize(
    ("kind", "watcher"),
    [
        ("direct", LongPollWaiter),
        ("tasked", LongPollWaiter),
        ("streamed", ProcessStream),
        ("streamed_all", ModelStream),
    ],
)
@pytest.mark.parametrize("by_time", [True, False], ids=["its time is over", "the service stops"])
async def test_a_watcher_that_fails_at_its_end_lets_all_others_end(
    kind: str, watcher: type, by_time: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await Service().loaded()
    victim: Client = getattr(service, kind)("p")
    others = [(name, getattr(service, kind)(name)) for name in "pq" for _ in range(OTHERS) for kind in KINDS]
    break_for(monkeypatch, victim.watcher, watcher, "finish")

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


async def test_a_wait_whose_answer_cannot_be_made_is_redispatched(monkeypatch: pytest.MonkeyPatch) -> None:
    service = await Service().loaded()
    victim, other = service.direct("p"), service.direct("p")
    answer_to = LongPolls.answer

    def broken(polls: LongPolls, waiter: LongPollWaiter) -> Answer | None:
        if waiter is victim.watcher:
            raise Injected("answer")
        return answer_to(polls, waiter)

    monkeypatch.setattr(LongPolls, "answer", broken)
    await service.parts.hears(2, document("p", 2))
    service.run()

    assert victim.answers == [None]
    assert other.is_served()


async def test_a_batch_that_cannot_be_rendered_for_a_filter_ends_its_streams(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await Service().loaded()
    broken_ones = [service.streamed_status("") for _ in range(3)]
    others = [("", service.streamed_all("")) for _ in range(OTHERS)]
    news = model_streams._Group.news

    def broken(group: model_streams._Group, applied: object) -> object:
        if group.status is not None:
            raise Injected("news")
        return news(group, applied)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(model_streams._Group, "news", broken)
    await service.parts.hears(2, document("p", 2))
    service.run()

    assert all(client.is_ended() for client in broken_ones)
    assert all(client.is_served() for _, client in others)
    assert len(injected(caplog)) == 1


async def test_a_process_that_cannot_be_followed_affects_no_other(
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
    waits = [service.waiter(name) for name in ("x", "y")]
    for name, wait in zip("xy", waits, strict=True):
        service.watchers.keep_current(name)
        service.watchers.leave(name, wait)

    def broken(following: Documents.Following) -> None:
        raise Injected("release")

    monkeypatch.setattr(Documents.Following, "release", broken)
    await service.timers.advance(LINGER_S)

    assert service.watchers._deliveries.processes == {}


@pytest.mark.parametrize("firestore_host", ["local"], indirect=True)
async def test_a_connection_whose_clean_up_fails_affects_no_other(
    running: RunningService, collection: AsyncCollectionReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await held(running, collection)
    _, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
    writer.write(f'GET /status/import-1?wait=60 HTTP/1.1\r\nHost: x\r\nIf-None-Match: "v{version}"\r\n\r\n'.encode())
    await until(lambda: running.service.watchers.count == 1, "the first waits")
    (topic,) = running.service.watchers._deliveries.processes.values()
    (victim,) = topic.watchers
    break_for(monkeypatch, victim, type(victim), "close")

    async with waiting(running, "/status/import-1?wait=60", **seen(version)) as request:
        writer.close()
        await until(lambda: running.service.watchers.count == 1, "the first has left")
        await put(collection, "import-1", "completed")
        assert (await request).status == 200
    await until(lambda: running.service.watchers.count == 0, "no request waits")
    assert (await running.get("/status/import-1")).status == 200
