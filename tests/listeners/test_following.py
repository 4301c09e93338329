"""What is guaranteed to whoever follows a document, in either listener's way, on every server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

import grpc
import pytest

from listeners.events import Document
from listeners.on_snapshot.document_watch import DocumentWatches
from listeners.stream.document_targets import DocumentTargets
from listeners.window import Window
from tests.firestore_servers import BackgroundFirestore
from tests.listeners.both_listeners import commit, job, on_snapshot, stream, window_of
from tests.listeners.listening import FIELDS, Consumer
from tests.listeners.streams import keep_listening
from tests.listeners.wanted import by
from tests.waiting import until

Documents = DocumentTargets | DocumentWatches


class Follower:
    """Hears of one document. `statuses` has an entry for each version, None where there is no document."""

    def __init__(self) -> None:
        self.told = 0
        self.read_times: list[int] = []
        self.documents: list[Document | None] = []

    def hear(self, document: Document | None, read_time: int, as_of: float) -> None:
        assert as_of <= time.monotonic()
        self.told += 1
        if not self.documents or document != self.documents[-1]:
            self.read_times.append(read_time)
            self.documents.append(document)

    @property
    def statuses(self) -> list[object]:
        return [None if document is None else document.fields.get("status") for document in self.documents]

    async def until_heard(self, *statuses: object) -> None:
        await until(lambda: self.statuses == list(statuses), f"hearing {statuses}")


@asynccontextmanager
async def with_on_snapshot(window: Window) -> AsyncIterator[Documents]:
    async def briefly(_: float) -> None:
        await asyncio.sleep(0.01)

    watches = DocumentWatches(window, on_snapshot, randomness=Random(1), sleep=briefly)
    try:
        yield watches
    finally:
        await watches.close()


@asynccontextmanager
async def with_stream(window: Window) -> AsyncIterator[Documents]:
    listener, consumer = stream(window), Consumer()
    listening = asyncio.create_task(keep_listening(listener, consumer, []))
    try:
        await consumer.until_news(1)
        yield listener.documents
    finally:
        await listener.documents.close()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening  # what the window's consumer had to object


Way = Callable[[Window], AbstractAsyncContextManager[Documents]]

WAYS: dict[str, Way] = {"on_snapshot": with_on_snapshot, "stream": with_stream}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture
async def documents(jobs: Any, way: Way) -> AsyncIterator[Documents]:
    """Beside a window of one document, which is `new`."""
    commit(jobs, {"new": job(9), "old": job(1)})
    async with way(window_of(jobs, size=1)) as documents:
        yield documents


async def test_it_is_told_as_it_is_and_then_every_change_to_its_end_and_beyond(jobs: Any, documents: Documents) -> None:
    old = Follower()
    assert documents.follow("old", old.hear) is not None
    await old.until_heard("running")
    times = [old.documents[0].update_time if old.documents[0] else 0]
    times += commit(jobs, {"old": job(1, "slow")})
    await old.until_heard("running", "slow")
    commit(jobs, {"old": None})
    await old.until_heard("running", "slow", None)
    times += commit(jobs, {"old": job(2, "again")})
    await old.until_heard("running", "slow", None, "again")
    assert [document.update_time for document in old.documents if document is not None] == times
    assert old.documents[-1] is not None
    assert old.documents[-1].fields.keys() == set(FIELDS)
    assert old.read_times == sorted(set(old.read_times))
    assert all(read >= time for read, time in zip([*old.read_times[:2], old.read_times[3]], times, strict=True))


async def test_one_that_does_not_exist_is_told_as_none_and_then_when_it_does(jobs: Any, documents: Documents) -> None:
    nope = Follower()
    documents.follow("nope", nope.hear)
    await nope.until_heard(None)
    commit(jobs, {"nope": {"status": "after all"}})
    await nope.until_heard(None, "after all")


async def test_one_that_no_list_would_hold_is_followed_like_any_other(jobs: Any, documents: Documents) -> None:
    commit(jobs, {"odd": {"start_time": {"a": ["map"]}, "status": "odd"}, "a.b c%2F`'ü": {"status": "named"}})
    odd, named = Follower(), Follower()
    documents.follow("odd", odd.hear)
    documents.follow("a.b c%2F`'ü", named.hear)
    await odd.until_heard("odd")
    await named.until_heard("named")


async def test_each_hears_of_its_own_document_alone(jobs: Any, documents: Documents) -> None:
    first, second = Follower(), Follower()
    commit(jobs, {"older": job(0)})
    documents.follow("old", first.hear)
    documents.follow("older", second.hear)
    await first.until_heard("running")
    await second.until_heard("running")
    commit(jobs, {"old": job(1, "a"), "new": job(9, "n")})
    commit(jobs, {"older": job(1, "b"), "new": job(9, "m")})
    await first.until_heard("running", "a")
    await second.until_heard("running", "b")


async def test_one_that_enters_and_leaves_the_window_is_followed_all_the_while(jobs: Any, documents: Documents) -> None:
    new = Follower()
    documents.follow("new", new.hear)
    await new.until_heard("running")
    commit(jobs, {"new": job(9, "newest")})
    await new.until_heard("running", "newest")
    commit(jobs, {"old": job(10, "newer still")})
    commit(jobs, {"new": job(9, "outside")})
    await new.until_heard("running", "newest", "outside")
    commit(jobs, {"new": job(11, "inside"), "old": None})
    await new.until_heard("running", "newest", "outside", "inside")


async def test_what_was_released_is_told_nothing_more_and_can_be_followed_again(
    jobs: Any, documents: Documents
) -> None:
    released, again = Follower(), Follower()
    following = documents.follow("old", released.hear)
    assert following is not None
    await released.until_heard("running")
    following.release()
    told = released.told
    documents.follow("old", again.hear)
    await again.until_heard("running")
    commit(jobs, {"old": job(1, "done")})
    await again.until_heard("running", "done")
    assert released.told == told


# -- faults, which only one of the servers can be told to have


@pytest.fixture
def firestore(monkeypatch: pytest.MonkeyPatch, project: str) -> Any:
    with BackgroundFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        server.commit(project, {"jobs/new": job(9), "jobs/old": job(1)})
        yield server


async def test_what_changed_while_firestore_was_out_of_reach_is_told_after(
    firestore: BackgroundFirestore, project: str, way: Way
) -> None:
    old = Follower()
    async with way(Window(project, "(default)", "jobs", by("timestamp"), 1)) as documents:
        documents.follow("old", old.hear)
        await old.until_heard("running")
        firestore.faults.refuse_connections()
        firestore.commit(project, {"jobs/old": job(1, "failed")})
        firestore.commit(project, {"jobs/old": job(1, "repaired")})
        firestore.faults.accept_connections()
        await old.until_heard("running", "repaired")


@pytest.mark.parametrize("code", [grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_stream_that_ends_is_followed_by_another(
    firestore: BackgroundFirestore, project: str, way: Way, code: grpc.StatusCode
) -> None:
    old = Follower()
    async with way(Window(project, "(default)", "jobs", by("timestamp"), 1)) as documents:
        documents.follow("old", old.hear)
        await old.until_heard("running")
        firestore.faults.end_streams(code)
        firestore.commit(project, {"jobs/old": None})
        await old.until_heard("running", None)
