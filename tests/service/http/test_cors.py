"""Pages of the origins that CORS_ORIGINS names can send every header that is read, and read every one that is sent."""

from collections.abc import AsyncIterator

import pytest

from service.telemetry.logs import RequestLog
from tests.firestore_servers import BackgroundFirestore
from tests.service.read_headers import read_by_handlers, read_from_heads
from tests.service.running import COLLECTION, Reply, RunningService, running_service

PAGE = "https://app.example"
KEY = "a-key"

SENT_BY_BROWSERS_ALONE = {
    *("connection", "content-length", "cookie", "expect", "host", "origin", "transfer-encoding"),
    "access-control-request-method",
}
"""Request headers that no script can set (Fetch, forbidden request-header), as far as they are read."""

READ_BY_EVERY_PAGE = {"cache-control", "content-length", "content-type"}
"""Response headers that need no permission (Fetch, CORS-safelisted response-header name), as far as they are sent."""

OF_THE_CONNECTION = {"connection", "date", "transfer-encoding", "vary"}
OF_CORS = {"access-control-allow-origin", "access-control-expose-headers"}

ASKED = [
    ("/", {}),
    ("/nowhere", {}),
    ("/status", {}),
    ("/status?limit=0", {}),
    ("/status", {"Cache-Control": "no-cache", "If-Match": '"x"'}),
    ("/status/import-1", {}),
    ("/status/import-1", {"If-None-Match": "*"}),
    ("/status/import-1?wait=1", {}),
    ("/status/import-1", {"Prefer": "wait=1", "If-Match": '"x"', "Cache-Control": "no-cache"}),
    ("/status/unknown", {}),
    ("/status/import-1/events", {}),
    ("/events?x=1", {}),
    ("/readyz", {}),
    ("/metrics", {}),
    ("/openapi.json", {}),
]


@pytest.fixture
async def running(
    request_log: RequestLog, local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningService]:
    """A service that logs requests, with one process that has ended, and room for one stream."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "completed"}})
    async with running_service(
        local_firestore.host,
        project,
        request_log=request_log,
        listener="stream",
        window_size=0,
        api_keys=KEY,
        cors_origins=PAGE,
        max_watchers=1,
    ) as running:
        yield await running.synced()


async def answers(running: RunningService) -> AsyncIterator[Reply]:
    """One of every kind, as a page gets it."""
    page = {"Origin": PAGE, "X-API-Key": KEY}
    yield await running.get("/status", headers={"Origin": PAGE})  # without a key
    yield await running.request("POST", "/status", headers=page)
    async with running.http.get(f"{running.url}/status/import-1/events?follow=1", headers=page):
        yield await running.get("/events", headers=page)  # there is no room
    for path, headers in ASKED:
        yield await running.get(path, headers={**page, **headers})
    async with running.http.get(f"{running.url}/events", headers={**page, "Last-Event-ID": "x"}) as stream:
        yield Reply(stream.status, stream.headers, b"")


def names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


async def preflight(running: RunningService) -> Reply:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "prefer"}
    return await running.request("OPTIONS", "/status/import-1", headers=asked)


async def test_a_preflight_allows_every_header_that_is_read_and_no_other(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_heads, by_handlers = read_from_heads(monkeypatch), read_by_handlers(monkeypatch)
    statuses = [reply.status async for reply in answers(running)]
    allowed = await preflight(running)
    assert {*statuses, allowed.status} == {200, 204, 304, 400, 401, 404, 405, 412, 503}
    read = from_heads | {name.lower() for name in by_handlers}
    assert read - SENT_BY_BROWSERS_ALONE == names(allowed.headers["Access-Control-Allow-Headers"])


async def test_every_header_that_is_sent_can_be_read(running: RunningService) -> None:
    async for reply in answers(running):
        sent = {name.lower() for name in reply.headers}
        assert sent >= OF_CORS
        readable = names(reply.headers["Access-Control-Expose-Headers"]) | READ_BY_EVERY_PAGE
        assert sent - OF_CORS - OF_THE_CONNECTION <= readable, reply
