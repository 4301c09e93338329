"""The simulated workload, written through the real client."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud.firestore import AsyncClient

from service.demo.workload import EXAMPLE_ID, Workload
from tests.firestore_servers import BackgroundFirestore

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
COLLECTION = "webServiceLogs"


class Time:
    """Time that passes only while the workload sleeps. Its `now` is NOW plus what has passed."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.slept_s: list[float] = []

    def clock(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s)

    async def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self.passed_s += delay_s
        await asyncio.sleep(0)


async def run_for(workload: Workload, time: Time, seconds: float) -> None:
    """Run until that much of the injected time has passed."""
    over, end_s = asyncio.Event(), time.passed_s + seconds
    sleep = workload._sleep

    async def sleep_until_over(delay_s: float) -> None:
        if time.passed_s + delay_s >= end_s - 1e-6:
            over.set()
            await asyncio.Event().wait()
        await sleep(delay_s)

    workload._sleep = sleep_until_over
    task = asyncio.create_task(workload.run())
    waiting = asyncio.create_task(over.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    workload._sleep = sleep


async def documents(client: AsyncClient) -> dict[str, dict[str, Any]]:
    return {snapshot.id: snapshot.to_dict() or {} async for snapshot in client.collection(COLLECTION).stream()}


async def products_apart(client: AsyncClient) -> Counter[str]:
    """How many product documents each process has, also those whose process is gone."""
    found: Counter[str] = Counter()
    async for snapshot in client.collection_group("products").stream():
        found[snapshot.reference.parent.parent.id] += 1
    return found


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, project: str) -> Callable[[str], AsyncClient]:
    def to(host: str) -> AsyncClient:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
        return AsyncClient(project=project)

    return to


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """Of the local Firestore, or of the one that a test names."""
    host: str = request.getfixturevalue(getattr(request, "param", "local_firestore")).host
    return host


@pytest.fixture
async def client(host: str, connect: Callable[[str], AsyncClient]) -> AsyncIterator[AsyncClient]:
    made = connect(host)
    yield made
    await made._firestore_api.transport.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def workload(client: AsyncClient, time: Time) -> Callable[..., Workload]:
    def make(**options: Any) -> Workload:
        times = {"now": time.now, "clock": time.clock, "sleep": time.sleep}
        return Workload(client, COLLECTION, **{"seed": 7, **times, **options})

    return make


async def test_the_history_is_mostly_ended_processes_of_the_past_days(
    client: AsyncClient, workload: Callable[..., Workload]
) -> None:
    await workload(processes=200).seed()
    found = await documents(client)
    statuses = Counter(fields["status"] for fields in found.values())
    assert len(found) == 200
    assert statuses["completed"] > 100
    assert statuses["failed"] >= 5
    assert statuses["cancelled"] >= 1
    assert statuses["running"] + statuses["pending"] >= 20
    for fields in found.values():
        assert NOW - timedelta(days=3, hours=1) <= fields["start_time"] <= fields["last_updated"] <= NOW
        assert ("end_time" in fields) == (fields["status"] in {"completed", "failed", "cancelled"})
        assert fields["csv_url"].startswith("https://storage.googleapis.com/")
        assert fields["csv_url"].endswith(".csv")


async def test_ids_look_like_those_of_real_imports(client: AsyncClient, workload: Callable[..., Workload]) -> None:
    await workload(processes=20).seed()
    found = await documents(client)
    del found[EXAMPLE_ID]
    assert len(found) == 19
    for process_id, fields in found.items():
        kind, day, suffix = process_id.rsplit("-", 2)
        assert kind in {"import", "price-update", "stock-update", "catalog-sync"}
        assert day == f"{fields['start_time']:%Y%m%d}"
        assert len(suffix) == 6
        assert int(suffix, 16) >= 0


async def test_products_are_an_array_in_some_processes_and_documents_in_others(
    client: AsyncClient, workload: Callable[..., Workload]
) -> None:
    await workload(processes=60).seed()
    found, apart = await documents(client), await products_apart(client)
    embedding = {process_id for process_id, fields in found.items() if "products" in fields}
    assert embedding
    assert apart
    assert not embedding & set(apart)
    completed = [process_id for process_id, fields in found.items() if fields["status"] == "completed"]
    assert all(len(found[each].get("products", [])) == 12 or apart[each] > 0 for each in completed)


async def test_the_same_seed_gives_the_same_processes(
    client: AsyncClient, workload: Callable[..., Workload], time: Time
) -> None:
    await workload(processes=15, seed=3).seed()
    first = await documents(client)
    await workload(processes=15, seed=3).seed()
    assert await documents(client) == first
    await workload(processes=15, seed=4).seed()
    assert len(await documents(client)) == 29  # the example of the documentation is in both


async def test_changes_come_at_the_pace_asked_for(
    client: AsyncClient, workload: Callable[..., Workload], time: Time
) -> None:
    running = workload(processes=40, changes_per_second=10)
    await running.seed()
    before = await documents(client)
    await run_for(running, time, 3.0)
    after = await documents(client)
    assert len(time.slept_s) == 29
    assert all(delay_s == pytest.approx(0.1) for delay_s in time.slept_s)
    changed = [each for each in after if after[each] != before.get(each)]
    assert 5 <= len(changed) <= 30


async def test_many_changes_a_second_share_commits(
    client: AsyncClient, workload: Callable[..., Workload], time: Time
) -> None:
    running = workload(processes=200, changes_per_second=400)
    await running.seed()
    before = await documents(client)
    await run_for(running, time, 0.05)  # one tick: 20 changes
    after = await documents(client)
    assert time.slept_s == []
    assert sum(after[each] != before.get(each) for each in after) == 20


@pytest.mark.parametrize("host", ["local_firestore", "emulator"], indirect=True)
async def test_processes_go_on_end_and_make_room_for_new_ones(
    client: AsyncClient, workload: Callable[..., Workload], time: Time
) -> None:
    running = workload(processes=12, changes_per_second=20)
    await running.seed()
    before = await documents(client)
    counted: dict[str, int] = {}
    for _ in range(8):
        await run_for(running, time, 2.5)
        found = await documents(client)
        assert len(found) <= 12
        for process_id, fields in found.items():
            handled = fields["products_processed"] + fields["products_failed"]
            assert handled >= counted.get(process_id, 0)
            counted[process_id] = handled
    started = set(found) - set(before)
    assert started
    assert any("end_time" in found[each] for each in started)
    oldest = min(before, key=lambda each: before[each]["start_time"])
    assert oldest not in found
    assert set(await products_apart(client)) <= set(found)


async def test_a_workload_of_one_process_never_holds_two(
    client: AsyncClient, workload: Callable[..., Workload], time: Time
) -> None:
    running = workload(processes=1, changes_per_second=20)
    await running.seed()
    (before,) = (await documents(client)).values()
    await run_for(running, time, 10)
    (after,) = (await documents(client)).values()
    assert after["start_time"] > before["start_time"]


async def test_firestore_being_away_is_told_and_waited_for(
    connect: Callable[[str], AsyncClient], caplog: pytest.LogCaptureFixture, time: Time
) -> None:
    with BackgroundFirestore() as firestore:
        firestore.faults.refuse_connections()
        client = connect(firestore.host)

        async def start_it(delay_s: float) -> None:
            time.slept_s.append(delay_s)
            if len(time.slept_s) == 1:
                firestore.faults.accept_connections()
            await client._firestore_api.transport.grpc_channel.channel_ready()

        try:
            away = Workload(client, COLLECTION, processes=3, seed=1, now=time.now, clock=time.clock, sleep=start_it)
            await away.seed()
            assert len(await documents(client)) == 3
        finally:
            await client._firestore_api.transport.close()
    assert 0.25 <= time.slept_s[0] <= 0.75
    assert "could not write, trying again" in caplog.text


async def test_what_firestore_refuses_for_good_is_tried_ever_more_rarely(
    client: AsyncClient, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    too_long = "x" * 1501
    refused = Workload(client, too_long, processes=1, seed=1, now=time.now, clock=time.clock, sleep=time.sleep)
    task = asyncio.create_task(refused.seed())
    while len(time.slept_s) < 12:
        await asyncio.sleep(0)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.slept_s[0] <= 0.75
    assert 15 <= time.slept_s[-1] <= 45
    assert "could not write" in caplog.text


def test_a_workload_without_changes_is_refused(connect: Callable[[str], AsyncClient]) -> None:
    client = connect("127.0.0.1:1")
    for wrong in ({"processes": 0}, {"changes_per_second": 0.0}):
        with pytest.raises(ValueError, match="at least one process"):
            Workload(client, COLLECTION, seed=1, **wrong)


@pytest.mark.parametrize("processes", [1, pytest.param(5, marks=pytest.mark.thorough)])
async def test_the_example_of_the_readme_is_there_at_any_time_and_goes_on(
    local_firestore: BackgroundFirestore, connect: Callable[[str], AsyncClient], time: Time, processes: int
) -> None:
    client = connect(local_firestore.host)
    workload = Workload(
        client, COLLECTION, seed=7, processes=processes, now=time.now, clock=time.clock, sleep=time.sleep
    )
    await workload.seed()
    statuses, starts = set[str](), set[datetime]()
    for _ in range(12):
        if len(starts) > 1 and "running" in statuses:
            break
        found = await documents(client)
        assert len(found) <= processes
        statuses.add(found["import-1"]["status"])
        starts.add(found["import-1"]["start_time"])
        await run_for(workload, time, 20)
    assert len(starts) > 1, "it has begun anew"
    assert "running" in statuses
    await client._firestore_api.transport.close()
