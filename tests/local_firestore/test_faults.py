"""Each fault of the local server does what it says, and ends when it is released."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api_core.exceptions import Aborted, InternalServerError
from google.cloud.firestore_v1 import Client

from tests.firestore_servers import BackgroundFirestore
from tests.local_firestore.raw_listen import RawListen


@pytest.fixture
def jobs(local_client: Client) -> Any:
    return local_client.collection("jobs")


@pytest.fixture
async def synced(local: BackgroundFirestore, local_listen: RawListen, jobs: Any, project: str) -> RawListen:
    """A stream whose target 2 holds jobs a and b."""
    local.commit(project, {"jobs/a": {"n": 1}, "jobs/b": {"n": 2}})
    await local_listen.add_query(2, jobs)
    await local_listen.until_consistent()
    return local_listen


@pytest.mark.parametrize("code", [grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.PERMISSION_DENIED])
async def test_streams_end_with_the_status_asked_for(
    local: BackgroundFirestore, synced: RawListen, code: grpc.StatusCode
) -> None:
    local.faults.end_streams(code)
    assert await synced.next() is grpc.aio.EOF if code is grpc.StatusCode.OK else True
    assert await synced.end() is code
    assert local.streams == 0


async def test_a_stream_ends_after_exactly_so_many_more_messages(
    local: BackgroundFirestore, synced: RawListen, project: str
) -> None:
    local.faults.end_streams(grpc.StatusCode.UNAVAILABLE, after_messages=3)
    local.commit(project, {"jobs/a": {"n": 3}})
    local.commit(project, {"jobs/b": {"n": 4}})
    assert await synced.lines(3) == ["change a [2]", "NO_CHANGE[]", "change b [2]"]
    assert await synced.end() is grpc.StatusCode.UNAVAILABLE


async def test_the_next_streams_end_too_where_asked_and_those_after_live(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, project: str
) -> None:
    local.faults.end_streams(grpc.StatusCode.INTERNAL, new_streams=2)
    for _ in range(2):
        assert await RawListen(local_channel, project).end() is grpc.StatusCode.INTERNAL
    third = RawListen(local_channel, project)
    await third.add_documents(2, ["jobs/a"])
    assert await third.lines_until_consistent() == ["ADD[2]", "delete a [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_stalled_streams_send_everything_in_order_once_released(
    local: BackgroundFirestore, synced: RawListen, local_channel: grpc.aio.Channel, jobs: Any, project: str
) -> None:
    stall = local.faults.stall_streams()
    new = RawListen(local_channel, project)
    await new.add_query(2, jobs)
    stall.struck(2)
    local.commit(project, {"jobs/a": {"n": 3}})
    local.commit(project, {"jobs/c": {"n": 4}})
    assert sorted(local.sent) == [0, 5]
    stall.release()
    assert await synced.lines(4) == ["change a [2]", "NO_CHANGE[]", "change c [2]", "NO_CHANGE[]"]
    assert (await new.lines(1)) == ["ADD[2]"]


async def test_new_streams_alone_can_be_stalled(
    local: BackgroundFirestore, synced: RawListen, local_channel: grpc.aio.Channel, jobs: Any, project: str
) -> None:
    with local.faults.stall_streams(existing=False) as stall:
        new = RawListen(local_channel, project)
        await new.add_query(2, jobs)
        stall.struck(1)
        local.commit(project, {"jobs/a": {"n": 3}})
        assert await synced.lines_until_consistent() == ["change a [2]", "NO_CHANGE[]"]
        assert min(local.sent) == 0
    assert await new.lines(1) == ["ADD[2]"]


def new_channel(host: str) -> grpc.aio.Channel:
    """A channel that shares no connection, and no wait before the next try, with the others of the process."""
    return grpc.aio.insecure_channel(host, options=[("grpc.use_local_subchannel_pool", 1)])


async def test_refused_connections_break_streams_and_come_back_on_the_same_port(
    local: BackgroundFirestore, synced: RawListen, jobs: Any, project: str
) -> None:
    host = local.host
    local.faults.refuse_connections()
    assert await synced.end() is grpc.StatusCode.UNAVAILABLE
    async with new_channel(host) as channel:
        refused = RawListen(channel, project)
        assert await refused.end() is grpc.StatusCode.UNAVAILABLE
    local.faults.accept_connections()
    assert local.host == host
    async with new_channel(host) as channel:
        again = RawListen(channel, project)
        await again.add_query(2, jobs)
        lines = await again.lines_until_consistent()
    assert lines == ["ADD[2]", "change a [2]", "change b [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_a_false_existence_filter_reaches_every_query_target(
    local: BackgroundFirestore, synced: RawListen
) -> None:
    assert local.faults.send_existence_filter() == 1
    assert await synced.lines(2) == ["filter 3 [2]", "NO_CHANGE[]"]
    local.faults.send_existence_filter(off_by=0)
    assert await synced.lines(2) == ["filter 2 [2]", "NO_CHANGE[]"]


async def test_a_reset_is_followed_by_the_whole_result(local: BackgroundFirestore, synced: RawListen) -> None:
    assert local.faults.send_reset() == 1
    lines = await synced.lines_until_consistent()
    assert lines == ["RESET[2]", "change a [2]", "change b [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_a_target_is_removed_with_its_cause_and_can_be_added_again(
    local: BackgroundFirestore, synced: RawListen, jobs: Any
) -> None:
    assert local.faults.remove_targets(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota") == 1
    change = (await synced.next()).target_change
    assert (list(change.target_ids), change.cause.code, change.cause.message) == ([2], 8, "quota")
    await synced.add_query(2, jobs)
    assert (await synced.lines_until_consistent())[-2:] == ["CURRENT[2]", "NO_CHANGE[]"]


async def test_a_documents_own_targets_are_reached_by_its_path_and_no_other(
    local: BackgroundFirestore, synced: RawListen
) -> None:
    await synced.add_documents(4, ["jobs/a"])
    await synced.until_consistent()
    assert local.faults.send_reset(document="jobs/b") == 0
    assert local.faults.send_reset(document="jobs/a") == 1
    assert await synced.lines_until_consistent() == ["RESET[4]", "change a [4]", "CURRENT[4]", "NO_CHANGE[]"]
    assert local.faults.send_existence_filter(off_by=-1, document="jobs/a") == 1
    assert await synced.lines(2) == ["filter 0 [4]", "NO_CHANGE[]"]
    assert local.faults.remove_targets(grpc.StatusCode.RESOURCE_EXHAUSTED, document="jobs/a") == 1
    assert await synced.lines(1) == ["REMOVE[4] cause 8"]


async def test_a_dropped_delta_leaves_only_its_consistent_point(
    local: BackgroundFirestore, synced: RawListen, jobs: Any, project: str
) -> None:
    local.faults.drop_deltas(2)
    local.commit(project, {"jobs/a": {"n": 3}})
    local.commit(project, {"jobs/b": None})
    local.commit(project, {"jobs/c": {"n": 5}})
    assert await synced.lines(4) == ["NO_CHANGE[]", "NO_CHANGE[]", "change c [2]", "NO_CHANGE[]"]
    assert {one.id: one.to_dict() for one in jobs.stream()} == {"a": {"n": 3}, "c": {"n": 5}}


def test_the_next_calls_of_one_rpc_fail_and_do_nothing(local: BackgroundFirestore, jobs: Any) -> None:
    fault = local.faults.fail_calls("Commit", grpc.StatusCode.ABORTED, calls=2)
    for _ in range(2):
        with pytest.raises(Aborted):
            jobs.document("a").set({"n": 1}, retry=None)
    assert not jobs.document("a").get().exists
    jobs.document("a").set({"n": 2}, retry=None)
    assert fault.hits == 2


def test_calls_fail_until_released_where_no_count_is_given(local: BackgroundFirestore, jobs: Any) -> None:
    with local.faults.fail_calls("RunQuery", grpc.StatusCode.INTERNAL, calls=None):
        for _ in range(3):
            with pytest.raises(InternalServerError):
                list(jobs.stream(retry=None))
    assert list(jobs.stream(retry=None)) == []


def test_a_delayed_call_is_answered_after_the_delay(local: BackgroundFirestore, jobs: Any) -> None:
    local.faults.delay_calls("BatchGetDocuments", 0.1)
    started = time.monotonic()
    jobs.document("a").get()
    assert time.monotonic() - started >= 0.1


def test_held_calls_wait_for_their_release(local: BackgroundFirestore, jobs: Any) -> None:
    jobs.document("a").set({"n": 0})
    with ThreadPoolExecutor(2) as pool:
        with local.faults.hold_calls("Commit") as hold:
            held = [pool.submit(jobs.document(name).set, {"n": 1}) for name in "ab"]
            hold.struck(2)
            assert [one.to_dict() for one in jobs.stream()] == [{"n": 0}]
        for each in held:
            each.result()
    assert [one.to_dict() for one in jobs.stream()] == [{"n": 1}, {"n": 1}]


def test_a_held_answer_tells_what_was_true_when_it_was_asked_for(local: BackgroundFirestore, jobs: Any) -> None:
    jobs.document("a").set({"n": 0})
    with ThreadPoolExecutor(1) as pool:
        with local.faults.hold_answers("BatchGetDocuments", calls=1) as hold:
            late = pool.submit(jobs.document("a").get)
            hold.struck(1)
            jobs.document("a").set({"n": 1})
            assert jobs.document("a").get().to_dict() == {"n": 1}
        assert late.result().to_dict() == {"n": 0}


def test_a_held_commit_has_been_made(local: BackgroundFirestore, jobs: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        with local.faults.hold_answers("Commit") as hold:
            held = pool.submit(jobs.document("a").set, {"n": 1})
            hold.struck(1)
            assert [one.to_dict() for one in jobs.stream()] == [{"n": 1}]
            assert not held.done()
        held.result()


def test_a_stream_has_no_answer_to_hold(local: BackgroundFirestore) -> None:
    with pytest.raises(ValueError, match="no answer to hold"):
        local.faults.hold_answers("Listen")


def test_releasing_all_faults_ends_every_one(local: BackgroundFirestore, jobs: Any) -> None:
    local.faults.stall_streams()
    local.faults.drop_deltas(10)
    local.faults.fail_calls("Commit", grpc.StatusCode.INTERNAL, calls=None)
    local.faults.refuse_connections()
    local.faults.release_all()
    jobs.document("a").set({"n": 1}, retry=None)
    assert local.faults.active == []


def test_a_fault_of_an_unknown_rpc_is_a_mistake(local: BackgroundFirestore) -> None:
    with pytest.raises(ValueError, match="RunQueries is none of BatchGetDocuments"):
        local.faults.fail_calls("RunQueries", grpc.StatusCode.INTERNAL)
