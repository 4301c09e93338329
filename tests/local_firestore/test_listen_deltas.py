"""How the local server tells changes, as production does: one atomic delta for each commit, nothing resent."""

from typing import Any

import grpc.aio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import AsyncClient, FieldFilter

from tests.firestore_servers import BackgroundFirestore
from tests.local_firestore.raw_listen import RawListen, line_of


@pytest.fixture
async def client(local: BackgroundFirestore, project: str) -> AsyncClient:
    """Never connected: queries are written with it."""
    return AsyncClient(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]


@pytest.fixture
def newest(client: AsyncClient) -> Any:
    """The three newest jobs."""
    return client.collection("jobs").order_by("n", direction="DESCENDING").limit(3)


async def test_a_commit_is_one_delta_with_its_own_time(
    local: BackgroundFirestore, local_listen: RawListen, client: AsyncClient, project: str
) -> None:
    local.commit(project, {"jobs/a": {"n": 1}, "jobs/b": {"n": 2}})
    await local_listen.add_query(2, client.collection("jobs"))
    await local_listen.until_consistent()
    committed_us = local.commit(project, {"jobs/a": None, "jobs/b": {"n": 3}, "jobs/c": {"n": 4}})
    delta = await local_listen.until_consistent()
    assert [line_of(each) for each in delta] == ["delete a [2]", "change b [2]", "change c [2]", "NO_CHANGE[]"]
    assert delta[-1].target_change.read_time.ToMicroseconds() == committed_us
    assert delta[1].document_change.document.update_time.ToMicroseconds() == committed_us


async def test_a_window_tells_who_is_pushed_out_and_who_moves_up(
    local: BackgroundFirestore, local_listen: RawListen, newest: Any, project: str
) -> None:
    local.commit(project, {f"jobs/job{number}": {"n": number} for number in range(6)})
    await local_listen.add_query(2, newest)
    assert await local_listen.lines_until_consistent() == [
        "ADD[2]",
        "change job5 [2]",
        "change job4 [2]",
        "change job3 [2]",
        "CURRENT[2]",
        "NO_CHANGE[]",
    ]
    local.commit(project, {"jobs/job6": {"n": 6}})
    assert await local_listen.lines_until_consistent() == ["change job6 [2]", "remove job3 [2]", "NO_CHANGE[]"]
    local.commit(project, {"jobs/job5": None})
    assert await local_listen.lines_until_consistent() == ["delete job5 [2]", "change job3 [2]", "NO_CHANGE[]"]
    local.commit(project, {"jobs/job6": {"n": 0.5}})
    assert await local_listen.lines_until_consistent() == ["remove job6 [2]", "change job2 [2]", "NO_CHANGE[]"]
    local.commit(project, {"jobs/job4": {"n": 2.5}, "jobs/job0": {"n": 9}})
    assert await local_listen.lines_until_consistent() == [
        "change job4 [2]",
        "change job0 [2]",
        "remove job2 [2]",
        "NO_CHANGE[]",
    ]


async def test_what_does_not_concern_a_stream_is_not_sent_to_it(
    local: BackgroundFirestore, local_listen: RawListen, newest: Any, project: str
) -> None:
    local.commit(project, {f"jobs/job{number}": {"n": number} for number in range(4)})
    await local_listen.add_query(2, newest)
    await local_listen.until_consistent()
    local.commit(project, {"jobs/job0": {"n": 0.5}})  # below the window
    local.commit(project, {"other/a": {"n": 9}})
    local.commit(project, {"jobs/job3/products/a": {"n": 9}})
    local.commit(project, {"jobs/job3": {"n": 3}})  # no change at all
    local.commit(project, {"jobs/job3": {"n": 4}})
    assert await local_listen.lines_until_consistent() == ["change job3 [2]", "NO_CHANGE[]"]


async def test_a_document_that_leaves_the_filter_is_removed_not_deleted(
    local: BackgroundFirestore, local_listen: RawListen, client: AsyncClient, project: str
) -> None:
    local.commit(project, {"jobs/a": {"status": "running"}})
    await local_listen.add_query(2, client.collection("jobs").where(filter=FieldFilter("status", "==", "running")))
    await local_listen.until_consistent()
    local.commit(project, {"jobs/a": {"status": "failed"}})
    assert await local_listen.lines_until_consistent() == ["remove a [2]", "NO_CHANGE[]"]


async def test_targets_of_one_stream_share_a_document_s_message(
    local: BackgroundFirestore, local_listen: RawListen, client: AsyncClient, project: str
) -> None:
    local.commit(project, {"jobs/a": {"status": "running"}})
    await local_listen.add_query(2, client.collection("jobs").where(filter=FieldFilter("status", "==", "running")))
    await local_listen.until_consistent()
    await local_listen.add_documents(4, ["jobs/a"])
    await local_listen.until_consistent()
    local.commit(project, {"jobs/a": {"status": "running", "n": 1}})
    assert await local_listen.lines_until_consistent() == ["change a [2, 4]", "NO_CHANGE[]"]
    local.commit(project, {"jobs/a": {"status": "failed"}})
    assert await local_listen.lines_until_consistent() == ["change a [4] left [2]", "NO_CHANGE[]"]
    local.commit(project, {"jobs/a": {"status": "running"}})
    assert await local_listen.lines_until_consistent() == ["change a [2, 4]", "NO_CHANGE[]"]
    local.commit(project, {"jobs/a": None})
    assert await local_listen.lines_until_consistent() == ["delete a [2, 4]", "NO_CHANGE[]"]


async def test_a_probe_during_a_burst_follows_everything_committed_before_it(
    local: BackgroundFirestore, local_listen: RawListen, client: AsyncClient, project: str
) -> None:
    await local_listen.add_query(2, client.collection("jobs"))
    await local_listen.until_consistent()
    for number in range(50):
        local.commit(project, {f"jobs/job{number:02}": {"n": number}})
    await local_listen.add_documents(6, ["jobs/none"])
    lines: list[str] = []
    while "CURRENT[6]" not in lines:
        lines += await local_listen.lines_until_consistent()
    burst = [line for number in range(50) for line in (f"change job{number:02} [2]", "NO_CHANGE[]")]
    assert lines == [*burst, "ADD[6]", "delete none [6]", "CURRENT[6]", "NO_CHANGE[]"]


async def test_a_once_target_ends_when_it_is_consistent(local_listen: RawListen, client: AsyncClient) -> None:
    await local_listen.add_query(2, client.collection("jobs"), once=True)
    assert await local_listen.lines(4) == ["ADD[2]", "CURRENT[2]", "NO_CHANGE[]", "REMOVE[2]"]


async def test_an_offset_is_refused_by_name(local_listen: RawListen, client: AsyncClient) -> None:
    await local_listen.add_query(2, client.collection("jobs").offset(1))
    assert await local_listen.lines(1) == ["ADD[2]"]
    refused = (await local_listen.next()).target_change
    assert (refused.cause.code, "offset" in refused.cause.message) == (12, True)


async def test_an_idle_stream_is_confirmed_at_the_heartbeat_interval(project: str) -> None:
    with BackgroundFirestore(heartbeat_s=0.02) as server:
        async with grpc.aio.insecure_channel(server.host) as channel:
            listen = RawListen(channel, project)
            await listen.add_documents(2, ["jobs/a"])
            times = [(await listen.until_consistent())[-1].target_change.read_time.ToMicroseconds() for _ in range(4)]
    assert times == sorted(set(times))


async def test_a_reader_too_slow_is_cut_off_not_buffered_without_bound(project: str) -> None:
    with BackgroundFirestore(max_queued=50) as server:
        async with grpc.aio.insecure_channel(server.host) as channel:
            listen = RawListen(channel, project)
            await listen.add_documents(2, ["jobs/a"])
            await listen.until_consistent()
            with server.faults.stall_streams():
                for number in range(60):
                    server.commit(project, {"jobs/a": {"n": number}})
            assert await listen.end() is grpc.StatusCode.ABORTED
