"""What a standard client hears of a stream is what was committed, also where its connection breaks off again and again.

The oracle is the list of commits: bodies are written out from the fields that were committed.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.cut_connections import CutConnections, cut_connections
from tests.service.event_source import Event, event_source
from tests.service.running import COLLECTION, RunningService

pytestmark = pytest.mark.parametrize("firestore_host", ["local"], indirect=True)

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
CUTS = 15


class Writer:
    """Commits processes and knows, by version, what each was then."""

    def __init__(self, firestore: BackgroundFirestore, project: str) -> None:
        self._firestore = firestore
        self._project = project
        self.committed: list[tuple[int, dict[str, Any]]] = []
        self.present: dict[str, dict[str, Any]] = {}

    async def put(self, process_id: str, status: str, count: int) -> int:
        """Returns the version."""
        fields = {"status": status, "start_time": T0, "products_processed": count}
        version = await self._commit(process_id, fields)
        body = {
            "process_id": process_id,
            "status": status,
            "start_time": "2026-11-23T09:30:00Z",
            "end_time": None,
            "last_updated": None,
            "csv_url": None,
            "products_processed": count,
            "products_failed": None,
        }
        self.committed.append((version, body))
        self.present[process_id] = body
        return version

    async def delete(self, process_id: str) -> None:
        await self._commit(process_id, None)
        self.present.pop(process_id, None)

    async def _commit(self, process_id: str, fields: dict[str, object] | None) -> int:
        path = f"{COLLECTION}/{process_id}"
        return await asyncio.to_thread(self._firestore.commit, self._project, {path: fields})


@pytest.fixture
def writer(local_firestore: BackgroundFirestore, project: str) -> Writer:
    return Writer(local_firestore, project)


async def resumed(way: CutConnections, path: str) -> AsyncIterator[Event]:
    """Every event, over as many connections as it takes; each goes on from the ID that the last left off at."""
    last_event_id: str | None = None
    while True:
        try:
            async with event_source(way, path, last_event_id) as source:
                if source.status == 204:
                    return
                while (event := await source.next()) is not None:
                    last_event_id = event.last_event_id or last_event_id
                    yield event
        except httpx.TransportError:
            continue


def breaks_after(seed: int, most: int) -> list[int]:
    """Bytes: some break off in the head of the answer, some in the middle of an event, some after many."""
    rng = random.Random(seed)
    return [rng.randrange(1, most) for _ in range(CUTS)]


@pytest.fixture
async def started(running: RunningService, writer: Writer) -> RunningService:
    """A service that holds one process."""
    await running.holds("import-0", await writer.put("import-0", "running", 0))
    return running


async def test_the_events_of_a_process_are_its_commits(started: RunningService, writer: Writer) -> None:
    async with event_source(started, "/status/import-0/events") as source:
        heard = await source.take(1)
        for count in range(1, 20):
            await writer.put("import-0", "completed" if count == 19 else "running", count)
            heard += await source.take(1)
        assert await source.rest() == []
    assert heard == [Event("status", body, str(version)) for version, body in writer.committed]
    assert source.retry_ms is not None
    assert 1_000 <= source.retry_ms < 5_000


async def test_the_events_of_all_are_all_commits_in_their_order(started: RunningService, writer: Writer) -> None:
    async with event_source(started, "/events") as source:
        heard = await source.take(1)
        for count in range(1, 30):
            await writer.put(f"import-{count % 3}", "running", count)
        heard += await source.take(29)
    assert [(event.name, event.data) for event in heard] == [("status", body) for _, body in writer.committed]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (2, 3))])
async def test_a_stream_over_broken_connections_reaches_the_end_of_its_process(
    started: RunningService, writer: Writer, seed: int
) -> None:
    async with cut_connections(started, breaks_after(seed, 1_500)) as way:

        async def hear() -> list[Event]:
            return [event async for event in resumed(way, "/status/import-0/events")]

        hearing = asyncio.create_task(hear())
        while not way.hold:
            await writer.put("import-0", "running", len(writer.committed))
        await writer.put("import-0", "completed", 0)
        heard = await hearing

    ids = [int(event.last_event_id) for event in heard]
    assert ids == sorted(set(ids)), "each event once, and in order"
    bodies = dict(writer.committed)
    assert [event.data for event in heard] == [bodies[version] for version in ids]
    assert heard[-1].data == writer.present["import-0"]


@pytest.mark.parametrize("path", ["/events", "/events?status=running"])
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (2, 3))])
async def test_all_processes_followed_over_broken_connections_are_known_as_they_are(
    started: RunningService, writer: Writer, path: str, seed: int
) -> None:
    rng, known = random.Random(seed), dict[str, Any]()
    async with cut_connections(started, breaks_after(seed, 3_000)) as way:

        async def learn() -> None:
            async for event in resumed(way, path):
                learn_of(known, event)
                if "the-last" in known and event.last_event_id != "0":  # the ID of an incomplete state
                    return

        learning = asyncio.create_task(learn())
        while not way.hold:
            process_id = f"import-{rng.randrange(5)}"
            if rng.random() < 0.25:
                await writer.delete(process_id)
            else:
                await writer.put(process_id, rng.choice(("running", "failed")), len(writer.committed))
        await writer.put("the-last", "running", 0)
        await learning

    assert matching(known, path) == matching(writer.present, path)


def learn_of(known: dict[str, Any], event: Event) -> None:
    """What a client holds once it has heard the event."""
    if event.name == "reset":
        known.clear()
    elif event.name == "removed":
        known.pop(event.data["process_id"], None)
    else:
        known[event.data["process_id"]] = event.data


def matching(processes: dict[str, Any], path: str) -> dict[str, Any]:
    """What the path asks for; a process that no longer matches is sent once more, as it is then."""
    return {key: body for key, body in processes.items() if "=" not in path or body["status"] == "running"}
