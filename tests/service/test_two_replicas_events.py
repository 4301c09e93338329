"""Event streams over two replicas whose listeners are held back and cut off: in the end a client knows what is there.

A stream that begins at a replica that is behind tells nothing older than the client has seen, and nothing that a plain
request to that replica contradicts.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.watch import resuming
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import EventSource, event_source
from tests.service.running import RunningService, running_service
from tests.service.test_two_replicas import Replicas, commit, firestore, replicas, timeout_s
from tests.service.watch.test_event_streams_resumed import Writer, learn_of, matching
from tests.waiting import until

__all__ = ("firestore", "replicas", "timeout_s")

STEPS = 40
AT_ONCE_S = 0.05


@pytest.fixture(autouse=True)
def _a_short_wait_for_replicas_that_are_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "AHEAD_S", AT_ONCE_S)


class Moving:
    """A mirror of `/events` whose connections are cut off and made again, to whichever replica the test says."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        self.resets = 0
        self._last_event_id: str | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def knows_the_last(self) -> bool:
        """Told of the last commit, and not in the middle of the present state, which begins with the newest."""
        return "the-last" in self.known and self._last_event_id != "0"

    async def move_to(self, replica: RunningService) -> None:
        await self.close()
        self._task = asyncio.create_task(self._listen(replica))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, replica: RunningService) -> None:
        async with event_source(replica, self.path, self._last_event_id) as source:
            while (event := await source.next()) is not None:
                self._last_event_id = event.last_event_id or self._last_event_id
                self.resets += event.name == "reset"
                learn_of(self.known, event)


@pytest.fixture
async def pair(
    firestore: BackgroundFirestore, project: str, listener_kind: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Replicas]:
    """Two replicas that hear the same; the leases hold whatever becomes of their listeners."""
    with firestore:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
        options: dict[str, Any] = {"listener": listener_kind, "listener_lease_s": 600, "firestore_timeout_s": 0.5}
        async with (
            running_service(firestore.host, project, **options) as first,
            running_service(firestore.host, project, **options) as second,
        ):
            yield await first.synced(), await second.synced()


@pytest.mark.parametrize("path", ["/events", "/events?status=running"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
async def test_a_mirror_over_two_replicas_equals_firestore_in_the_end(
    pair: Replicas, firestore: BackgroundFirestore, project: str, path: str, seed: int
) -> None:
    rng, writer, mirror = random.Random(seed), Writer(firestore, project), Moving(path)
    await mirror.move_to(pair[0])
    for number in range(STEPS):
        name = f"import-{rng.randrange(4)}"
        if rng.random() < 0.35:
            await writer.delete(name)
        else:
            await writer.put(name, rng.choice(("running", "failed")), number)
        if rng.random() < 0.3:
            await mirror.move_to(rng.choice(pair))
        if rng.random() < 0.1:
            firestore.faults.stall_streams(existing=True, new=False)
        elif rng.random() < 0.1:
            firestore.faults.end_streams()
        elif rng.random() < 0.1:
            firestore.faults.release_all()
    firestore.faults.release_all()
    last = await writer.put("the-last", "running", 0)
    for replica in pair:
        await replica.holds("the-last", last)
    await until(lambda: mirror.knows_the_last, "the last commit is told")
    await mirror.close()
    assert matching(mirror.known, path) == matching(writer.present, path)


async def test_a_deletion_told_by_no_stream_is_not_believed_alive_after_a_move(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    """The replica that was behind catches up in one batch, which spans the beginning and the end of `import-2`."""
    ahead, behind = replicas
    writer, mirror = Writer(firestore, project), Moving("/events?status=running")
    await mirror.move_to(ahead)
    await writer.put("import-2", "running", 1)
    await until(lambda: "import-2" in mirror.known, "its beginning is told")

    await mirror.move_to(behind)
    await writer.delete("import-2")
    last = await writer.put("the-last", "running", 0)
    await until(lambda: mirror.resets or "import-2" not in mirror.known, "the client has arrived")
    firestore.faults.end_streams()
    await behind.holds("the-last", last)

    await until(lambda: mirror.knows_the_last, "the last commit is told")
    await mirror.close()
    assert mirror.known.keys() == {"import-1", "the-last"}


def version_in(source: EventSource) -> int:
    return int(source.last_event_id)


async def test_a_stream_at_a_replica_behind_goes_on_from_what_its_client_has_seen(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    ahead, behind = replicas
    version = commit(firestore, project, count=7)
    await ahead.holds("import-1", version)
    async with event_source(ahead, "/status/import-1/events") as source:
        (event,) = await source.take(1)
        assert event.data["products_processed"] == 7

    async with event_source(behind, "/status/import-1/events", str(version)) as source:
        assert source.status == 200
        polled = await behind.get("/status/import-1")
        assert (polled.headers["X-Cache"], polled.json()["products_processed"]) == ("HIT", 0)
        commit(firestore, project, count=8)
        firestore.faults.end_streams()
        (event,) = await source.take(1)
        assert event.data["products_processed"] == 8
        assert (await behind.get("/status/import-1")).json()["products_processed"] == 8


async def test_a_stream_at_a_replica_behind_contradicts_no_later_plain_request(
    replicas: Replicas, firestore: BackgroundFirestore, project: str
) -> None:
    _, behind = replicas
    seen = commit(firestore, project, count=7)
    commit(firestore, project, count=8)
    async with event_source(behind, "/status/import-1/events", str(seen)) as source:
        polled = await behind.get("/status/import-1")
        assert polled.json()["products_processed"] == 0, "the model is behind, and believed"
        firestore.faults.release_all()
        (event,) = await source.take(1)
        assert event.data["products_processed"] == 8
    assert (await behind.get("/status/import-1")).json()["products_processed"] == 8


@pytest.mark.parametrize("event_id", ["not-one-of-ours", "0", "9" * 19])
async def test_an_id_that_means_nothing_is_reset_on_both_kinds_of_stream(replicas: Replicas, event_id: str) -> None:
    ahead, _ = replicas
    for path in ("/events", "/status/import-1/events"):
        async with event_source(ahead, path, event_id) as source:
            assert source.status == 200
            events = await source.take(2)
            assert [event.name for event in events] == ["reset", "status"]
            assert version_in(source) > 0


@pytest.mark.parametrize("form", ['W/"v{}"', '"v{}-gzip"', '"v{}--gzip"', '"v{};br"', "v{}", "{}"])
async def test_a_weak_or_suffixed_id_is_read_like_an_etag(
    replicas: Replicas, firestore: BackgroundFirestore, project: str, form: str
) -> None:
    ahead, _ = replicas
    version = commit(firestore, project, count=1)
    await ahead.holds("import-1", version)
    async with event_source(ahead, "/status/import-1/events", form.format(version)) as source:
        commit(firestore, project, count=2)
        (event,) = await source.take(1)
        assert (event.name, event.data["products_processed"]) == ("status", 2), "the version seen is not told again"
