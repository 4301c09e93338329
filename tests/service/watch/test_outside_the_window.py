"""Watched processes outside the window: a listener keeps them current, no read in a loop does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import COLLECTION, Reply, RunningService, running_service, waiting
from tests.waiting import until

NO_READS = {"Commit", "Listen"}


class Outside:
    """A service whose window is one process wide, which is `new`; `old` is outside of it."""

    def __init__(self, firestore: BackgroundFirestore, project: str, running: RunningService) -> None:
        self.firestore = firestore
        self.running = running
        self._project = project

    def put(self, status: str | None) -> str:
        """A version of `old`; None deletes it. Returns the version's ETag."""
        fields = {"status": status, "start_time": datetime(2020, 1, 1, tzinfo=UTC)} if status is not None else None
        return f'"v{self.firestore.commit(self._project, {f"{COLLECTION}/old": fields})}"'

    async def until_followed(self) -> None:
        await until(lambda: self.running.service.watchers.followed("old"), "it is followed")

    def until_told(self, etag: str) -> AbstractAsyncContextManager["asyncio.Task[Reply]"]:
        """A long poll of a client that knows this version."""
        return waiting(self.running, "/status/old?wait=60", **{"If-None-Match": etag})

    async def reads(self) -> dict[str, float]:
        """What was read otherwise than by listening: as the service says, and as Firestore does."""
        counted = {
            source: await self.running.metric("firestore_reads_total", source=source)
            for source in ("get", "list", "audit")
        }
        return counted | {rpc: calls for rpc, calls in self.firestore.calls.items() if rpc not in NO_READS}


@asynccontextmanager
async def outside(project: str, **settings: Any) -> AsyncIterator[Outside]:
    with BackgroundFirestore() as firestore, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
        new = {"status": "running", "start_time": datetime(2026, 1, 1, tzinfo=UTC)}
        firestore.commit(project, {f"{COLLECTION}/new": new})
        async with running_service(firestore.host, project, window_size=1, **settings) as running:
            yield Outside(firestore, project, await running.synced())


@pytest.mark.parametrize(("listener_kind", "streams"), [("stream", 1), ("on_snapshot", 2)])
async def test_waits_and_streams_share_one_followed_document_and_no_read(
    project: str, listener_kind: str, streams: int
) -> None:
    async with outside(project, listener=listener_kind) as old:
        etag = old.put("running")
        async with event_source(old.running, "/status/old/events") as source:
            assert (await source.take(1))[0].data["status"] == "running"
            await old.until_followed()
            reads = await old.reads()
            for status in ("slow", "slower", "completed"):
                async with old.until_told(etag) as first, old.until_told(etag) as second:
                    etag = old.put(status)
                    replies = [await first, await second]
                assert {(reply.status, reply.headers["ETag"], reply.headers["X-Cache"]) for reply in replies} == {
                    (200, etag, "HIT")
                }
                (event,) = await source.take(1)
                assert (event.data["status"], f'"v{event.last_event_id}"') == (status, etag)
                assert old.firestore.streams == streams
            assert await source.rest() == []
        assert await old.reads() == reads
        assert old.running.service.model.get("old") is None


async def test_a_deletion_reaches_long_polls_and_event_streams(project: str, listener_kind: str) -> None:
    async with outside(project, listener=listener_kind) as old:
        etag = old.put("running")
        async with event_source(old.running, "/status/old/events") as source, old.until_told(etag) as request:
            await source.take(1)
            await old.until_followed()
            reads = await old.reads()
            old.put(None)
            assert (await request).status == 404
            assert [event.name for event in await source.rest()] == ["removed"]
            assert await old.reads() == reads


async def test_changes_during_a_cut_connection_are_sent_after_it(project: str, listener_kind: str) -> None:
    async with outside(project, listener=listener_kind) as old:
        etag = old.put("running")
        async with event_source(old.running, "/status/old/events") as source, old.until_told(etag) as request:
            await source.take(1)
            await old.until_followed()
            old.firestore.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
            newer = old.put("failed")
            reply = await request
            assert (reply.status, reply.headers["ETag"]) == (200, newer)
            assert [event.data["status"] for event in await source.rest()] == ["failed"]


async def test_a_state_that_a_silent_stream_cannot_confirm_is_read(project: str) -> None:
    settings = {"listener_lease_s": 1, "probe_interval_s": 0.2, "cache_ttl_s": 1}
    async with outside(project, listener="stream", **settings) as old:
        etag = old.put("running")
        async with old.until_told(etag):
            await old.until_followed()
            with old.firestore.faults.stall_streams():
                newer = old.put("completed")
                reply = await old.running.get("/status/old?wait=2", headers={"If-None-Match": etag})
                assert (reply.status, reply.headers["ETag"], reply.headers["X-Cache"]) == (200, newer, "MISS")


@pytest.mark.parametrize("status", ["failed", None], ids=["updated", "deleted"])
@pytest.mark.parametrize("way", ["stream", "wait"])
async def test_no_plain_request_contradicts_what_a_stream_has_sent(
    project: str, listener_kind: str, status: str | None, way: str
) -> None:
    async with outside(project, listener=listener_kind, cache_ttl_s=60, negative_ttl_s=60) as old:
        etag = old.put("running")
        paths = ["/status/old", "/status/old?include_products=true", "/status?process_id=old", "/status?status=running"]
        for path in paths:
            assert b'"running"' in (await old.running.get(path)).body
        async with event_source(old.running, "/status/old/events") as source, old.until_told(etag) as request:
            await source.take(1)
            await old.until_followed()
            old.put(status)
            await (source.take(1) if way == "stream" else request)
            bodies = [(await old.running.get(path)).body.replace(b'"new","status":"running"', b"") for path in paths]
    assert [body for body in bodies if b'"running"' in body] == []
