"""A process that was frozen and thawed answers nothing from the model of before: its lease ran on meanwhile."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import SERVE, Program, program
from tests.service.running import COLLECTION
from tests.waiting import until_async

LEASE_S = 0.6
IDS = [f"import-{number}" for number in range(8)]
T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def commit(firestore: BackgroundFirestore, project: str, status: str) -> int:
    """All processes in one commit; returns their version."""
    fields = {"status": status, "start_time": T0}
    return firestore.commit(project, {f"{COLLECTION}/{process_id}": fields for process_id in IDS})


def environment(host: str, project: str, listener_kind: str) -> dict[str, str]:
    """A short lease, kept up by frequent evidence; no direct read is remembered."""
    return {
        "FIRESTORE_EMULATOR_HOST": host,
        "PROJECT_ID": project,
        "LISTENER": listener_kind,
        "LISTENER_LEASE_S": str(LEASE_S),
        "PROBE_INTERVAL_S": "0.1",
        "CACHE_TTL_S": "0",
    }


@pytest.fixture(scope="module")
def local_firestore() -> Iterator[BackgroundFirestore]:
    """With heartbeats to match the lease."""
    with BackgroundFirestore(heartbeat_s=0.1) as server:
        yield server


@pytest.fixture
async def thawing(local_firestore: BackgroundFirestore, project: str, listener_kind: str) -> AsyncIterator[Program]:
    """A service that answers all of them from its model, with the version `running`."""
    version = commit(local_firestore, project, "running")
    async with program(*SERVE, **environment(local_firestore.host, project, listener_kind)) as started:

        async def all_are_hits() -> bool:
            if not await started.answers("/healthz"):
                return False
            return all([await _asked(started, each) == ("HIT", f'"v{version}"') for each in IDS])

        await until_async(all_are_hits, "everything is answered from the model")
        yield started


async def _asked(service: Program, process_id: str) -> tuple[str, str]:
    """Its source and version."""
    async with service.http.get(f"{service.url}/status/{process_id}") as response:
        await response.read()
        return response.headers["X-Cache"], response.headers["ETag"]


async def _freeze_for(service: Program, seconds: float) -> None:
    """SIGSTOP now, SIGCONT so many seconds later, on the clock that the lease runs on."""
    until = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
    os.kill(service.process.pid, signal.SIGSTOP)

    async def is_past() -> bool:
        return time.clock_gettime(time.CLOCK_BOOTTIME) > until

    await until_async(is_past, "the freeze is over")
    os.kill(service.process.pid, signal.SIGCONT)


async def test_a_thawed_process_never_answers_from_its_frozen_model(
    thawing: Program, local_firestore: BackgroundFirestore, project: str
) -> None:
    thaw = asyncio.create_task(_freeze_for(thawing, 2 * LEASE_S))
    await asyncio.sleep(0)  # SIGSTOP is sent before the task's first wait
    version = commit(local_firestore, project, "completed")
    waiting = [asyncio.create_task(_asked(thawing, process_id)) for process_id in IDS[:4]]  # in the frozen socket
    await thaw
    first = await asyncio.gather(*waiting, *(_asked(thawing, process_id) for process_id in IDS[4:]))

    assert [etag for _, etag in first] == [f'"v{version}"'] * len(IDS)

    async def is_a_hit_again() -> bool:
        return await _asked(thawing, IDS[0]) == ("HIT", f'"v{version}"')

    await until_async(is_a_hit_again, "the model is trusted again")


async def test_a_process_thawed_without_firestore_says_how_old_its_answers_are(
    project: str, listener_kind: str
) -> None:
    with BackgroundFirestore() as firestore:
        version = commit(firestore, project, "running")
        async with program(
            *SERVE, **environment(firestore.host, project, listener_kind), FIRESTORE_TIMEOUT_S="0.2"
        ) as started:

            async def is_a_hit() -> bool:
                return bool(await started.answers("/healthz")) and (await _asked(started, IDS[0]))[0] == "HIT"

            await until_async(is_a_hit, "the model answers")
            thaw = asyncio.create_task(_freeze_for(started, 2 * LEASE_S))
            await asyncio.sleep(0)
            await asyncio.to_thread(firestore.faults.refuse_connections)
            commit(firestore, project, "completed")
            await thaw
            async with started.http.get(f"{started.url}/status/{IDS[0]}") as response:
                assert response.headers["X-Cache"] == "STALE"
                assert response.headers["ETag"] == f'"v{version}"'
                assert int(response.headers["Age"]) >= 2 * LEASE_S
            async with started.http.get(
                f"{started.url}/status/{IDS[0]}", headers={"Cache-Control": "no-cache"}
            ) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) >= 1
