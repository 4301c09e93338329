"""What a wait may ask for: how long, which statuses, after which version, and processes that do not exist yet."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import COLLECTION, RunningService, running_service, waiting
from tests.service.watch.test_long_poll import held, put, seen

pytestmark = pytest.mark.parametrize("firestore_host", ["local"], indirect=True)


@pytest.fixture
def listener_kind() -> str:
    return "stream"


@pytest.fixture
async def brief(firestore_host: str, project: str) -> AsyncIterator[RunningService]:
    """A service that grants one second."""
    async with running_service(firestore_host, project, listener="stream", max_wait_s=1) as running:
        yield await running.synced()


async def test_a_longer_wait_is_shortened_and_says_so(brief: RunningService, client: AsyncClient) -> None:
    version = await held(brief, client.collection(COLLECTION))

    async def waits(seconds: str) -> None:
        asked, preferred = await asyncio.gather(
            brief.get(f"/status/import-1?wait={seconds}", headers=seen(version)),
            brief.get("/status/import-1", headers={**seen(version), "Prefer": f"wait={seconds[:9]}"}),
        )
        assert (asked.status, preferred.status) == (304, 304), seconds
        assert preferred.headers["Preference-Applied"] == "wait=1", seconds
        assert "Preference-Applied" not in asked.headers, seconds

    await asyncio.gather(*(waits(seconds) for seconds in ("2", "60", "999999999", "9" * 40)))


FORMS = ["v{}", "{}", '"v{}"', 'W/"v{}"', "v{}-gzip", "v{}--gzip", "v{};br", "v{}-p"]


async def test_after_names_the_version_known(brief: RunningService, client: AsyncClient) -> None:
    version = await held(brief, client.collection(COLLECTION))

    async def waits(form: str, headers: dict[str, str]) -> None:
        path = f"/status/import-1?wait=1&after={form.format(version)}"
        same = [brief.get(path, headers=headers), brief.get(f"{path}&include_products=true")]
        assert [each.status for each in await asyncio.gather(*same)] == [304, 304], form
        older = await brief.get(f"/status/import-1?wait=1&after={form.format(version - 1)}")
        assert (older.status, older.headers["ETag"]) == (200, f'"v{version}"'), form

    await asyncio.gather(*(waits(form, headers) for form in FORMS for headers in ({}, seen(version - 1))))


async def test_after_waits_for_the_next_version(running: RunningService, collection: AsyncCollectionReference) -> None:
    version = await held(running, collection)
    async with waiting(running, f"/status/import-1?wait=60&after=v{version}") as request:
        newer = await put(collection, "import-1", "running", products_processed=1)
        reply = await request
    assert (reply.status, reply.headers["ETag"]) == (200, f'"v{newer}"')


async def test_until_takes_several_statuses(running: RunningService, collection: AsyncCollectionReference) -> None:
    await held(running, collection)
    async with (
        waiting(running, "/status/import-1?wait=60&until=paused,terminal") as either,
        waiting(running, "/status/import-1?wait=60&until=archived") as own,
    ):
        await running.holds("import-1", await put(collection, "import-1", "slow"))
        assert not either.done()
        await running.holds("import-1", await put(collection, "import-1", "paused"))
        assert (await either).json()["status"] == "paused"
        await running.holds("import-1", await put(collection, "import-1", "completed"))
        assert not own.done()
        await put(collection, "import-1", "archived")
        assert (await own).json()["status"] == "archived"
    at_once = await running.get("/status/import-1?wait=60&until=archived,x")
    assert at_once.json()["status"] == "archived"


async def test_a_process_that_does_not_exist_yet_is_waited_for(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    async with (
        waiting(running, "/status/import-1?wait=60") as any_state,
        waiting(running, "/status/import-1?wait=60&until=terminal") as end,
    ):
        await put(collection, "import-1", "running")
        assert (await any_state).json()["status"] == "running"
        assert not end.done()
        await put(collection, "import-1", "completed")
        assert (await end).json()["status"] == "completed"


async def test_a_process_that_never_exists_is_404_at_the_end(brief: RunningService) -> None:
    reply = await brief.get("/status/unknown", headers={"Prefer": "wait=1"})
    assert (reply.status, reply.headers["Preference-Applied"]) == (404, "wait=1")
    assert await brief.metric("firestore_reads_total", source="get") <= 2


async def test_a_process_known_and_gone_is_404_at_once(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    version = await held(running, collection)
    async with waiting(running, f"/status/import-1?wait=60&after=v{version}") as request:
        await collection.document("import-1").delete()
        assert (await request).status == 404
    assert (await running.get(f"/status/import-1?wait=60&after=v{version}")).status == 404


async def test_waiting_for_what_is_not_there_listens_to_nothing_and_reads_twice_at_most(
    firestore_host: str, project: str, client: AsyncClient, local_firestore: BackgroundFirestore
) -> None:
    options: dict[str, Any] = {"listener": "stream", "window_size": 1, "max_wait_s": 1, "negative_ttl_s": 0}
    await put(client.collection(COLLECTION), "import-1", "running")
    async with running_service(firestore_host, project, **options) as running:
        await running.synced()
        async with waiting(running, "/status/unknown?wait=1") as request:
            assert running.service.watchers._deliveries.processes["unknown"].following is None
            assert (await request).status == 404
        assert await running.metric("firestore_reads_total", source="get") == 2
        async with waiting(running, "/status/import-2?wait=1") as request:
            await put(client.collection(COLLECTION), "import-2", "running")
            assert (await request).json()["status"] == "running"
        assert await running.metric("firestore_reads_total", source="get") == 3


async def test_a_stream_that_follows_goes_on_after_the_end(
    running: RunningService, collection: AsyncCollectionReference
) -> None:
    last = await held(running, collection, "failed")
    async with (
        event_source(running, "/status/import-1/events?follow=true") as new,
        event_source(running, "/status/import-1/events?follow=true", str(last)) as resumed,
    ):
        assert (await new.take(1))[0].data["status"] == "failed"
        assert resumed.status == 200
        await put(collection, "import-1", "running")
        for source in (new, resumed):
            assert (await source.take(1))[0].data["status"] == "running"
        await put(collection, "import-1", "completed")
        await new.take(1)
        await collection.document("import-1").delete()
        assert [event.name for event in await new.rest()] == ["removed"]
