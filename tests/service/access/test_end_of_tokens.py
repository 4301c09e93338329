"""Waits and streams end when their token does, and each caller sees its own processes alone."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.access.issuer import key_server
from tests.service.access.signed_in import KEY, SignedIn, signed_in
from tests.service.running import COLLECTION
from tests.waiting import PATIENCE_S, until_async

SCHEMA = """
[order]
field = "start_time"
[status]
terminal = ["completed"]
[answer]
status = "status"
[filters]
owner = "uid"
[access]
owner = "owner"
"""
SKEW_S = 60


@pytest.fixture
async def site(
    local_firestore: BackgroundFirestore, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SignedIn]:
    """Processes belong to those whose ID they have in `uid`."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    schema = tmp_path / "schema.toml"
    schema.write_text(SCHEMA)
    async with (
        key_server() as issuer,
        signed_in(
            local_firestore,
            project,
            issuer,
            schema_file=schema,
            firestore_collection=COLLECTION,
            auth_admin_claim="admin",
        ) as site,
    ):
        fields = {"status": "running", "uid": "ann", "start_time": datetime.now(UTC)}
        local_firestore.commit(project, {f"{COLLECTION}/import-1": fields})

        async def is_there() -> bool:
            return (await site.get(issuer.token("ann"))).status == 200

        await until_async(is_there, "the process is there")
        yield site


async def wait_s(site: SignedIn, token: str) -> float:
    """For how many seconds a wait for news lasts that never come."""
    etag = (await site.get(KEY)).headers["ETag"]
    begun = time.monotonic()
    reply = await site.get(token, "/status/import-1?wait=50", **{"If-None-Match": etag})
    assert reply.status == 304
    return time.monotonic() - begun


async def stream_s(site: SignedIn, token: str, path: str) -> float:
    """For how many seconds a stream lasts that has told of the process."""
    begun = time.monotonic()
    headers = {"Authorization": f"Bearer {token}"}
    async with site.running.http.get(f"{site.running.url}{path}", headers=headers) as stream:
        assert stream.status == 200
        told = await stream.content.read()
    assert b"import-1" in told
    assert b"token of this stream has expired" in told
    return time.monotonic() - begun


async def test_waits_and_streams_end_with_their_token(site: SignedIn) -> None:
    token = site.issuer.token(exp=time.time() - SKEW_S + 3)
    async with asyncio.timeout(PATIENCE_S):
        lasted = await asyncio.gather(
            wait_s(site, token),
            stream_s(site, token, "/status/import-1/events?follow=true"),
            stream_s(site, token, "/events"),
        )
    assert min(lasted) > 0.5, lasted

    async def is_refused() -> bool:
        return (await site.get(token)).status == 401

    await until_async(is_refused, "the token has expired")  # waits last whole seconds, so they can end before it


async def test_each_caller_sees_its_own_processes_alone(site: SignedIn) -> None:
    issuer = site.issuer
    for token, status in (
        (issuer.token("ann"), 200),
        (issuer.token("eve"), 404),
        (issuer.token("eve", admin=True), 200),
        (issuer.token("eve", admin="true"), 404),
        (KEY, 200),
    ):
        for _ in range(2):  # the second time the token is remembered
            assert (await site.get(token)).status == status
        listed = (await site.get(token, "/status")).json()["count"]
        batch = (await site.get(token, "/status?process_id=import-1")).json()["missing"]
        assert (listed, batch) == ((1, []) if status == 200 else (0, ["import-1"])), token
