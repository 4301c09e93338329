"""Listening to a pattern: both listeners hold its documents, and count the foreign ones, on every server."""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from listeners.collection_path import collection_path
from listeners.events import Document, Event, Replaced
from listeners.listener import Listener
from listeners.on_snapshot.document_watch import DocumentWatches
from listeners.stream.document_targets import DocumentTargets
from listeners.stream.listen_stream import StreamListener
from listeners.window import Window
from tests.listeners.both_listeners import LISTENERS, MakeListener, job
from tests.listeners.listening import Consumer, listening, writing_client
from tests.listeners.wanted import by
from tests.waiting import until

PATTERN = "users/{uid}/jobs"


@pytest.fixture(params=LISTENERS)
def make_listener(request: pytest.FixtureRequest) -> MakeListener:
    return LISTENERS[request.param]


@pytest.fixture
def client(host: str, project: str) -> Iterator[Any]:
    assert os.environ["FIRESTORE_EMULATOR_HOST"] == host
    with writing_client(project) as writing:
        yield writing


def window_of(client: Any, size: int) -> Window:
    return Window(client.project, "(default)", PATTERN, by("timestamp"), size)


def commit(client: Any, documents: dict[str, dict[str, object] | None]) -> None:
    """All of them, by path, in one commit; None deletes."""
    batch = client.batch()
    for path, fields in documents.items():
        reference = client.document(path)
        batch.set(reference, fields) if fields is not None else batch.delete(reference)
    batch.commit()


def key(uid: str, document_id: str) -> str:
    return collection_path(PATTERN).key({"uid": uid}, document_id)


async def until_foreign(consumer: Consumer, count: int) -> None:
    await until(lambda: consumer.events and consumer.events[-1].foreign == count, f"{count} foreign documents")


async def test_documents_of_the_pattern_are_held_and_foreign_ones_counted(
    client: Any, make_listener: MakeListener
) -> None:
    commit(
        client,
        {
            "users/alice/jobs/a": job(1),
            "users/bob/jobs/a": job(2, "done"),  # the same ID: another process
            "users/__id7__/jobs/__id12__": job(3),
            "jobs/a": job(4),
            "users/alice/lists/x/jobs/a": job(5),
        },
    )
    consumer = Consumer()
    async with listening(make_listener(window_of(client, 10)), consumer):
        first, *_ = await consumer.until_news(1)
        assert isinstance(first, Replaced)
        assert first.foreign == 2
        assert consumer.statuses() == {
            key("alice", "a"): "running",
            key("bob", "a"): "done",
            key("__id7__", "__id12__"): "running",
        }
        commit(client, {"jobs/a": job(4, "done"), "jobs/b": job(6), "others/x/jobs/c": job(7)})
        await until_foreign(consumer, 4)
        commit(client, {"jobs/a": None, "jobs/b": None, "users/bob/jobs/a": None, "users/carol/jobs/a": job(8)})
        await until_foreign(consumer, 2)
        await consumer.until_holds(key("alice", "a"), key("__id7__", "__id12__"), key("carol", "a"))
    told = [each.id for event in consumer.events for each in documents_in(event)]
    assert not [each for each in told if each.startswith("/")]


def documents_in(event: Event) -> list[Document]:
    return [*getattr(event, "documents", ()), *getattr(event, "upserts", ())]


async def test_foreign_documents_take_places_of_the_window(client: Any, make_listener: MakeListener) -> None:
    commit(client, {f"users/u{second}/jobs/a": job(second) for second in range(4)})
    consumer = Consumer()
    async with listening(make_listener(window_of(client, 3)), consumer):
        await consumer.until_holds(*(key(f"u{second}", "a") for second in (1, 2, 3)))
        commit(client, {"jobs/new": job(9)})
        await until_foreign(consumer, 1)
        await consumer.until_holds(key("u2", "a"), key("u3", "a"))
        commit(client, {"jobs/new": None})
        await until_foreign(consumer, 0)
        await consumer.until_holds(*(key(f"u{second}", "a") for second in (1, 2, 3)))


async def test_ties_are_ordered_by_the_whole_path(client: Any, make_listener: MakeListener) -> None:
    uids = ["a", "a!", "a-b", "b", "__id7__", "__id12__"]
    commit(client, {f"users/{uid}/jobs/x": job(1) for uid in uids})
    expected = sorted((key(uid, "x") for uid in uids), reverse=True)[:4]
    consumer = Consumer()
    async with listening(make_listener(window_of(client, 4)), consumer):
        await consumer.until_holds(*expected)


async def test_the_stream_confirms_a_group_with_a_probe(client: Any) -> None:
    listener = LISTENERS["stream"](window_of(client, 3))
    commit(client, {"users/alice/jobs/a": job(1), "jobs/a": job(2)})
    consumer = Consumer()
    async with listening(listener, consumer):
        await consumer.until_news(1)
        commit(client, {"users/alice/jobs/a": job(1, "done")})
        await listener.confirm()
        assert consumer.statuses() == {key("alice", "a"): "done"}


async def test_one_document_of_a_group_is_followed_outside_of_the_window(
    client: Any, make_listener: MakeListener
) -> None:
    commit(client, {"users/alice/jobs/a": job(1), "users/bob/jobs/a": job(2), "jobs/a": job(3)})
    window, consumer = window_of(client, 1), Consumer()
    listener = make_listener(window)
    seen: list[tuple[str, object] | None] = []

    def on_document(document: Document | None, _read_time: int, _as_of: float) -> None:
        seen.append(None if document is None else (document.id, document.fields["status"]))

    async with listening(listener, consumer):
        await consumer.until_news(1)
        following = followers(listener, window, make_listener)
        following.follow(key("alice", "a"), on_document)
        await until(lambda: seen[-1:] == [(key("alice", "a"), "running")], "the followed document")
        commit(client, {"users/alice/jobs/a": job(1, "done"), "users/bob/jobs/a": job(2, "failed")})
        await until(lambda: seen[-1] == (key("alice", "a"), "done"), "its change")
        commit(client, {"users/alice/jobs/a": None})
        await until(lambda: seen[-1] is None, "its deletion")
        await following.close()


def followers(listener: Listener, window: Window, make_listener: MakeListener) -> DocumentTargets | DocumentWatches:
    if isinstance(listener, StreamListener):
        return listener.documents
    return DocumentWatches(window, make_listener, randomness=random.Random(1))
