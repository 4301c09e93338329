"""A write that changes nothing that is answered: no wait ends, no event is sent, and every 304 stays one.

The rules are tried on summaries by hand, where versions are missed, and on two replicas that hold the same content
under other versions.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from service.api.etags import etag_for
from service.schema.compiled import MOST_CONFIRMATIONS, ProcessSummary
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import COLLECTION, RunningService, running_service, waiting
from tests.service.schemas import schema
from tests.waiting import until

SCHEMA = schema()


def seen(*versions: tuple[int, str]) -> ProcessSummary:
    """What is held once these versions have come, each with this status."""
    held = None
    for version, status in versions:
        held, _ = SCHEMA.summarize("p", version, {"status": status, "heartbeat": version}, held)
    assert held is not None
    return held


A, B = "running", "failed"


@pytest.mark.parametrize(
    ("versions", "header", "etag"),
    [
        ([(80, A)], "", '"v80"'),
        ([(80, A), (90, A)], "", '"v80"'),
        ([(80, A), (90, A), (100, A)], '"v80"', '"v80"'),
        ([(80, A), (90, A), (100, A)], '"v90"', '"v90"'),
        ([(80, A), (90, A), (100, A)], '"v100"', '"v100"'),
        ([(80, A), (90, A), (100, A)], 'W/"v80-gzip", "v90--gzip"', '"v90"'),
        ([(80, A), (90, A), (100, A)], '"v70"', '"v80"'),
        ([(80, A), (100, A)], '"v90"', '"v100"'),  # never seen here: it can have been another content
        ([(80, A), (100, A)], '"v90", "v80"', '"v80"'),
        ([(80, A), (90, A)], '"v90-p"', '"v90"'),
        ([(80, A), (90, B)], '"v80"', '"v90"'),
        ([(80, A), (90, B), (100, A), (110, A)], '"v80"', '"v100"'),
        ([(80, A), (90, B), (100, A), (110, A)], '"v105"', '"v110"'),
        ([(80, A), (90, A)], "*", '"v80"'),
    ],
)
def test_an_etag_is_the_clients_where_it_names_the_content(
    versions: list[tuple[int, str]], header: str, etag: str
) -> None:
    assert etag_for(seen(*versions), header) == etag


def test_with_products_only_the_newest_writes_version_names_the_whole() -> None:
    assert etag_for(seen((80, A), (90, A)), '"v80-p"', ["products"]) == '"v90-p"'


def test_many_heartbeats_are_remembered_within_bounds() -> None:
    summary = seen(*((version, A) for version in range(1, 1001)))
    assert (summary.content_version, summary.version) == (1, 1000)
    assert [version for version in range(2, 1000) if summary.is_same_as(version)] == [
        *range(1000 - MOST_CONFIRMATIONS, 1000)
    ]


def test_a_version_that_is_older_than_the_held_one_confirms_nothing() -> None:
    summary, _ = SCHEMA.summarize("p", 50, {"status": A}, seen((80, A)))
    assert summary.content_version == 50


class Writer:
    """Writes processes, each time with another heartbeat."""

    def __init__(self, firestore: BackgroundFirestore, project: str) -> None:
        self._firestore = firestore
        self._project = project
        self._beats = count()

    def put(self, status: str, process_id: str = "p", day: int = 23) -> int:
        """Returns the version."""
        start = datetime(2026, 11, day, tzinfo=UTC)
        written = {"status": status, "start_time": start, "heartbeat": next(self._beats)}
        return self._firestore.commit(self._project, {f"{COLLECTION}/{process_id}": written})


@pytest.fixture
def writer(local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch) -> Writer:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    return Writer(local_firestore, project)


Replicas = tuple[RunningService, RunningService]


@pytest.fixture
async def pair(local_firestore: BackgroundFirestore, project: str, writer: Writer) -> AsyncIterator[Replicas]:
    """Two replicas; the second has loaded after a heartbeat."""
    async with AsyncExitStack() as stack:
        began = writer.put(A)
        first = running_service(local_firestore.host, project, audit_sample=100)
        ahead = await (await stack.enter_async_context(first)).synced()
        await ahead.holds("p", began)
        await ahead.holds("p", writer.put(A))
        second = await stack.enter_async_context(running_service(local_firestore.host, project))
        yield ahead, await second.synced()


async def poll(running: RunningService, etag: str = "", **headers: str) -> tuple[int, str, str]:
    given = {**headers, **({"If-None-Match": etag} if etag else {})}
    reply = await running.get("/status/p", headers=given)
    return reply.status, reply.headers["ETag"], reply.headers["X-Cache"]


async def test_replicas_that_know_the_content_by_other_versions_understand_each_other(
    pair: Replicas, writer: Writer
) -> None:
    first, second = pair
    (_, by_first, _), (_, by_second, _) = await poll(first), await poll(second)
    assert by_first < by_second
    assert await poll(first, by_second) == (304, by_second, "HIT")
    assert (await poll(second, by_first))[0] == 200, "it never saw that version"
    version = writer.put(A)
    for running in pair:
        await running.holds("p", version)
        assert (await poll(running, by_second))[:2] == (304, by_second)
        assert (await poll(running))[1] == (by_first if running is first else by_second)
    strong = await poll(first, by_first, **{"Cache-Control": "no-cache"})
    assert strong == (304, by_first, "HIT")
    read = await first.get("/status/p?include_products=true")
    assert (read.headers["X-Cache"], read.headers["ETag"]) == ("MISS", f'"v{version}-p"')
    assert (await first.get("/status/p", headers={"If-Match": by_second})).status == 200
    assert (await first.get("/status/p", headers={"If-Match": '"v1"'})).status == 412
    both = {"If-Match": by_first, "If-None-Match": by_second}
    assert (await first.get("/status/p", headers=both)).status == 304


async def test_heartbeats_end_no_wait_and_are_no_event(pair: Replicas, writer: Writer) -> None:
    first, _ = pair
    etag = (await poll(first))[1]
    async with (
        waiting(first, "/status/p?wait=30", **{"If-None-Match": etag}) as direct,
        waiting(first, f"/status/p?wait=30&after={etag[1:-1]}") as by_query,
        waiting(first, "/status/p?wait=30&until=terminal") as until_terminal,
        event_source(first, "/status/p/events") as one,
        event_source(first, "/events") as every,
    ):
        (begun,), _ = await one.take(1), await every.take(1)
        for _ in range(MOST_CONFIRMATIONS + 2):
            version = writer.put(A)
        await first.holds("p", version)
        changed = writer.put("completed")
        for task in (direct, by_query, until_terminal):
            reply = await asyncio.wait_for(task, 20)
            assert (reply.status, reply.json()["status"], reply.headers["ETag"]) == (200, "completed", f'"v{changed}"')
        assert begun.last_event_id == etag[2:-1]
        assert [event.data["status"] for event in await one.take(1)] == ["completed"]
        assert [event.data["status"] for event in await every.take(1)] == ["completed"], "nothing came before it"


async def test_reconnects_are_told_nothing_of_heartbeats(pair: Replicas, writer: Writer) -> None:
    first, _ = pair
    ids: dict[str, str] = {}
    for path in ("/events", "/status/p/events"):
        async with event_source(first, path) as source:
            await source.take(1)
            ids[path] = source.last_event_id
    await first.holds("p", writer.put(A))
    sources: list[Any] = []
    async with AsyncExitStack() as stack:
        for path, event_id in ids.items():
            sources.append(await stack.enter_async_context(event_source(first, path, event_id)))
        await until(lambda: first.service.watchers.count == 2, "both have come back")
        writer.put("completed")
        for source in sources:
            assert [event.data["status"] for event in await source.take(1)] == ["completed"], "the first that is told"


async def test_an_audit_takes_heartbeats_for_no_difference(pair: Replicas, writer: Writer) -> None:
    first, _ = pair
    await first.holds("p", writer.put(A))
    assert await first.service.audit.once()


async def test_a_direct_read_confirms_content_that_is_remembered(
    local_firestore: BackgroundFirestore, project: str, writer: Writer
) -> None:
    """Outside the window nothing is held; what a read has said is."""
    began = writer.put(A)
    writer.put(A, "newer", 24)
    async with running_service(local_firestore.host, project, window_size=1) as running:
        await running.synced()
        assert await poll(running) == (200, f'"v{began}"', "MISS")
        writer.put(A)
        strong = {"Cache-Control": "no-cache"}
        assert await poll(running, f'"v{began}"', **strong) == (304, f'"v{began}"', "MISS")
        async with waiting(running, "/status/p?wait=30", **{"If-None-Match": f'"v{began}"'}) as task:
            await until(lambda: running.service.watchers.followed("p") is not None, "it is followed")
            writer.put(A)
            changed = writer.put("completed")
            assert (await asyncio.wait_for(task, 20)).headers["ETag"] == f'"v{changed}"'
