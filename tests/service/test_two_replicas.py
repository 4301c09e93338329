"""Two replicas on one Firestore, one of them held back: who sends the ETag it saw last never goes back in time.

Nobody waits for the lease of the one that is behind: it believes its model all the while, and is right to.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, Reply, RunningService, running_service

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
PATH = "/status/import-1"
ROUNDS = 10
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

Replicas = tuple[RunningService, RunningService]


@pytest.fixture
def firestore() -> BackgroundFirestore:
    """One that a test may stall."""
    return BackgroundFirestore()


@pytest.fixture
def timeout_s() -> float:
    """Of direct reads. No read is repeated because the machine is slow."""
    return 10


@pytest.fixture
async def replicas(
    firestore: BackgroundFirestore, project: str, listener_kind: str, timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Replicas]:
    """The first hears everything; the second has heard of the first version and will hear nothing more."""
    with firestore:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
        version = commit(firestore, project, count=0)
        patient: dict[str, Any] = {
            "listener": listener_kind,
            "listener_lease_s": 600,
            "probe_interval_s": 600,
            "firestore_timeout_s": timeout_s,
        }
        async with running_service(firestore.host, project, **patient) as behind:
            await (await behind.synced()).holds("import-1", version)
            with firestore.faults.stall_streams(existing=True, new=False):
                async with running_service(firestore.host, project, **patient) as ahead:
                    await (await ahead.synced()).holds("import-1", version)
                    yield ahead, behind


def commit(firestore: BackgroundFirestore, project: str, count: int) -> int:
    fields = {"status": "running", "start_time": T0, "products_processed": count}
    return firestore.commit(project, {f"{COLLECTION}/import-1": fields})


def version_in(reply: Reply) -> int:
    return int(reply.headers["ETag"].removeprefix('"v').removesuffix('"'))


async def test_versions_never_go_back_for_who_sends_the_last_etag(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    ahead, behind = replicas
    seen = 0
    for count in range(1, ROUNDS + 1):
        version = commit(firestore, project, count)
        await ahead.holds("import-1", version)
        for replica, source in ((ahead, "HIT"), (behind, "MISS")):
            reply = await replica.get(PATH, headers={"If-None-Match": f'"v{seen}"'} if seen else {})
            if replica is ahead:
                assert (reply.status, reply.headers["X-Cache"]) == (200, source)
                seen = version_in(reply)
            else:
                assert (reply.status, reply.headers["X-Cache"]) == (304, source)
                assert version_in(reply) == version
    assert behind.service.model.is_trusted()
    assert await behind.metric("firestore_reads_total", source="get") == ROUNDS


async def test_without_an_etag_the_replica_that_is_behind_answers_from_its_model(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    ahead, behind = replicas
    await ahead.holds("import-1", commit(firestore, project, count=1))
    reply = await behind.get(PATH)
    assert (reply.headers["X-Cache"], reply.json()["products_processed"]) == ("HIT", 0)


async def test_a_deletion_seen_on_one_replica_is_read_directly_by_the_other(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    ahead, behind = replicas
    seen = commit(firestore, project, count=1)
    await ahead.holds("import-1", seen)
    assert (await ahead.get(PATH)).headers["ETag"] == f'"v{seen}"'
    firestore.commit(project, {f"{COLLECTION}/import-1": None})

    reply = await behind.get(PATH, headers={"If-None-Match": f'"v{seen}"'})

    assert (reply.status, reply.headers["X-Cache"]) == (404, "MISS")


@pytest.mark.parametrize("timeout_s", [0.5])
async def test_in_an_outage_a_replica_that_is_behind_answers_no_older_version(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    ahead, behind = replicas
    seen = commit(firestore, project, count=1)
    await ahead.holds("import-1", seen)
    with firestore.faults.fail_calls("BatchGetDocuments", UNAVAILABLE, calls=None):
        reply = await behind.get(PATH, headers={"If-None-Match": f'"v{seen}"'})
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) >= 1
        reply = await ahead.get(PATH, headers={"If-None-Match": f'"v{seen}"'})
        assert (reply.status, reply.headers["X-Cache"]) == (304, "HIT")
