"""A process whose writer stops, in a whole service on both listeners: list, wait and events tell it within a second."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import EventSource, event_source
from tests.service.running import COLLECTION, RunningService, firestore_client, running_service, version_of, waiting

AFTER_S = 1.0
RUNNING = {"status": "running", "start_time": datetime(2026, 11, 23, tzinfo=UTC)}


async def listed(running: RunningService, query: str) -> list[str]:
    return [each["process_id"] for each in (await running.get(f"/status?{query}")).json()["processes"]]


async def name_of_the_next_but_status(source: EventSource) -> str:
    while (event := await source.next()) is not None:
        if event.name != "status":
            return event.name
    return "the end"


async def test_a_process_whose_writer_stops_stalls_until_it_writes_again(
    local_firestore: BackgroundFirestore, project: str, listener_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    serving = running_service(local_firestore.host, project, listener=listener_kind, stalled_after_s=AFTER_S)
    async with firestore_client(project) as client, serving as running:
        document = client.collection(COLLECTION).document("import-1")
        await (await running.synced()).holds("import-1", version_of(await document.set(RUNNING)))
        async with (
            event_source(running, "/events") as every,
            event_source(running, "/status/import-1/events") as one,
            waiting(running, "/status/import-1?wait=10&until=terminal,stalled") as wait,
        ):
            written = version_of(await document.update({"heartbeat": 1}))
            assert await listed(running, "stalled=false") == ["import-1"]
            reply = await asyncio.wait_for(wait, 10)
            late_s = time.time() - written / 1_000_000 - AFTER_S
            assert (reply.status, reply.headers["X-Stalled"]) == (200, "true")
            assert 0 <= late_s <= 1
            for source in (every, one):
                assert await name_of_the_next_but_status(source) == "stalled"
            assert await listed(running, "stalled=true") == ["import-1"]
            assert await listed(running, "stalled=false&status=running") == []
            again = version_of(await document.update({"heartbeat": 2}))
            await running.holds("import-1", again)
            assert await listed(running, "stalled=true") == []
            for source in (every, one):
                (event,) = await source.take(1)
                assert (event.name, event.data["status"]) == ("status", "running")


async def test_while_the_model_is_not_current_nothing_is_said_of_stalls(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    async with running_service(local_firestore.host, project) as running:
        (await running.synced()).service.model.distrust()
        reply = await running.get("/status?stalled=true")
        assert reply.status == 503
        assert "Retry-After" in reply.headers
