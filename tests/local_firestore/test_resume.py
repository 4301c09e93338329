"""Resuming a Listen target on the local server: what is sent again, what is not, and when a token is too old."""

from typing import Any

import grpc.aio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import AsyncClient

from tests.firestore_servers import BackgroundFirestore
from tests.local_firestore.raw_listen import RawListen


@pytest.fixture
def newest(local: BackgroundFirestore, project: str) -> Any:
    """The three newest jobs; the client is never connected."""
    client = AsyncClient(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    return client.collection("jobs").order_by("n", direction="DESCENDING").limit(3)


async def token_of(listen: RawListen, query: Any) -> bytes:
    """Listen until consistent, then hang up."""
    await listen.add_query(2, query)
    token: bytes = (await listen.until_consistent())[-1].target_change.resume_token
    listen.call.cancel()
    return token


def five_jobs(local: BackgroundFirestore, project: str) -> None:
    local.commit(project, {f"jobs/job{number}": {"n": number} for number in range(5)})


async def test_with_nothing_new_a_resumed_target_is_sent_no_document(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, newest: Any, project: str
) -> None:
    five_jobs(local, project)
    token = await token_of(RawListen(local_channel, project), newest)
    again = RawListen(local_channel, project)
    await again.add_query(2, newest, resume_token=token)
    assert await again.lines_until_consistent() == ["ADD[2]", "filter 3 [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_a_resumed_target_is_sent_what_has_become_of_its_window(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, newest: Any, project: str
) -> None:
    five_jobs(local, project)
    token = await token_of(RawListen(local_channel, project), newest)
    local.commit(project, {"jobs/job4": None, "jobs/job9": {"n": 9}})
    local.commit(project, {"jobs/job3": {"n": 3.5}})
    local.commit(project, {"jobs/job8": {"n": 8}})
    again = RawListen(local_channel, project)
    await again.add_query(2, newest, resume_token=token)
    lines = await again.lines_until_consistent()
    assert lines[0] == "ADD[2]"
    assert set(lines[1:-3]) == {
        "change job9 [2]",
        "change job8 [2]",
        "change job3 [2]",
        "delete job4 [2]",
        "remove job2 [2]",
    }
    assert lines[-3:] == ["filter 3 [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_a_read_time_resumes_like_a_token(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, newest: Any, project: str
) -> None:
    five_jobs(local, project)
    first = RawListen(local_channel, project)
    await first.add_query(2, newest)
    read_time = (await first.until_consistent())[-1].target_change.read_time
    local.commit(project, {"jobs/job4": {"n": 5}})
    again = RawListen(local_channel, project)
    await again.add_query(2, newest, read_time=read_time)
    lines = await again.lines_until_consistent()
    assert lines == ["ADD[2]", "change job4 [2]", "filter 3 [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_resumed_documents_are_sent_where_they_changed_or_vanished(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, project: str
) -> None:
    five_jobs(local, project)
    watched = ["jobs/job0", "jobs/job1", "jobs/job2"]
    first = RawListen(local_channel, project)
    await first.add_documents(2, watched)
    token = (await first.until_consistent())[-1].target_change.resume_token
    local.commit(project, {"jobs/job0": None, "jobs/job1": {"n": 7}})
    again = RawListen(local_channel, project)
    await again.add_documents(2, watched, resume_token=token)
    lines = await again.lines_until_consistent()
    assert lines == ["ADD[2]", "delete job0 [2]", "change job1 [2]", "CURRENT[2]", "NO_CHANGE[]"]


EVERYTHING_AGAIN = [
    "ADD[2]",
    "RESET[2]",
    "change job4 [2]",
    "change job3 [2]",
    "change job2 [2]",
    "CURRENT[2]",
    "NO_CHANGE[]",
]


async def test_an_expired_token_is_answered_with_reset_and_a_later_one_is_good(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, newest: Any, project: str
) -> None:
    five_jobs(local, project)
    token = await token_of(RawListen(local_channel, project), newest)
    local.faults.expire_tokens()
    again = RawListen(local_channel, project)
    await again.add_query(2, newest, resume_token=token)
    responses = await again.until_consistent()
    later = RawListen(local_channel, project)
    await later.add_query(2, newest, resume_token=responses[-1].target_change.resume_token)
    assert await later.lines_until_consistent() == ["ADD[2]", "filter 3 [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_a_token_older_than_the_resume_window_is_answered_with_reset(project: str, newest: Any) -> None:
    with BackgroundFirestore(resume_window_s=0) as server:
        five_jobs(server, project)
        async with grpc.aio.insecure_channel(server.host) as channel:
            token = await token_of(RawListen(channel, project), newest)
            again = RawListen(channel, project)
            await again.add_query(2, newest, resume_token=token)
            assert await again.lines_until_consistent() == EVERYTHING_AGAIN


async def test_a_token_from_before_the_versions_kept_is_answered_with_reset(project: str, newest: Any) -> None:
    with BackgroundFirestore(max_versions=1) as server:
        five_jobs(server, project)
        async with grpc.aio.insecure_channel(server.host) as channel:
            token = await token_of(RawListen(channel, project), newest)
            for number in (7, 8, 0):
                server.commit(project, {"jobs/job0": {"n": number}})
            again = RawListen(channel, project)
            await again.add_query(2, newest, resume_token=token)
            assert await again.lines_until_consistent() == EVERYTHING_AGAIN


async def test_a_token_of_another_run_of_the_server_is_answered_with_reset(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, newest: Any, project: str
) -> None:
    five_jobs(local, project)
    token = await token_of(RawListen(local_channel, project), newest)
    with BackgroundFirestore() as other:
        five_jobs(other, project)
        async with grpc.aio.insecure_channel(other.host) as channel:
            again = RawListen(channel, project)
            await again.add_query(2, newest, resume_token=token)
            assert await again.lines_until_consistent() == EVERYTHING_AGAIN
