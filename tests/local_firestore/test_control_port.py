"""The control port drives the same faults from outside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import grpc.aio
import pytest

from service.local_firestore import LocalFirestore, serve
from service.local_firestore.control import ControlPort
from tests.local_firestore.raw_listen import RawListen


@pytest.fixture
async def server() -> AsyncIterator[LocalFirestore]:
    async with LocalFirestore() as server:
        yield server


@pytest.fixture
async def control(server: LocalFirestore) -> AsyncIterator[aiohttp.ClientSession]:
    async with ControlPort(server) as port, aiohttp.ClientSession(port.url) as session:
        yield session


async def test_a_fault_is_started_listed_and_released_by_its_id(
    server: LocalFirestore, control: aiohttp.ClientSession, project: str
) -> None:
    async with grpc.aio.insecure_channel(server.host) as channel:
        listen = RawListen(channel, project)
        await listen.add_documents(2, ["jobs/a"])
        await listen.until_consistent()
        async with control.post("/faults/stall_streams", json={"new": False}) as answer:
            fault = await answer.json()
        assert fault == {"id": 1, "name": "stall_streams", "hits": 1, "released": False}
        server.database(project).set("jobs/a", {"n": 1})
        async with control.get("/faults") as answer:
            assert [each["id"] for each in await answer.json()] == [1]
        async with control.delete("/faults/1") as answer:
            assert await answer.json() == {"name": "stall_streams", "hits": 1}
        assert await listen.lines_until_consistent() == ["change a [2]", "NO_CHANGE[]"]
        async with control.post("/faults/end_streams", json={"code": "UNAVAILABLE"}) as answer:
            assert answer.status == 200
        assert await listen.end() is grpc.StatusCode.UNAVAILABLE


async def test_connections_are_refused_until_everything_is_released(
    server: LocalFirestore, control: aiohttp.ClientSession, project: str
) -> None:
    host = server.host
    async with control.post("/faults/refuse_connections") as answer:
        assert answer.status == 200
    options = [("grpc.use_local_subchannel_pool", 1)]  # no wait inherited from the refused channel
    async with grpc.aio.insecure_channel(host, options=options) as channel:
        assert await RawListen(channel, project).end() is grpc.StatusCode.UNAVAILABLE
    async with control.delete("/faults") as answer:
        assert answer.status == 200
    async with grpc.aio.insecure_channel(host, options=options) as channel:
        listen = RawListen(channel, project)
        await listen.add_documents(2, ["jobs/a"])
        assert (await listen.lines(1)) == ["ADD[2]"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/faults/unheard_of", {}, 404),
        ("/faults/release_all", {}, 404),
        ("/faults/stall_streams", {"nonsense": 1}, 400),
        ("/faults/end_streams", {"code": "NO_SUCH_CODE"}, 400),
        ("/faults/fail_calls", {"rpc": "Commits", "code": "INTERNAL"}, 400),
    ],
)
async def test_a_wrong_request_is_answered_with_what_is_wrong(
    control: aiohttp.ClientSession, path: str, body: dict[str, object], status: int
) -> None:
    async with control.post(path, json=body) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "application/json", "Host": "localhost:8090"}, 200),
        ({"Content-Type": "application/json", "Host": "[::1]"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json", "Origin": "https://page.example"}, 403),
        ({"Content-Type": "application/json", "Origin": "null"}, 403),
        ({"Content-Type": "application/json", "Host": "page.example"}, 403),
        ({"Content-Type": "application/json", "Host": "page.example:8090"}, 403),
        ({"Content-Type": "application/json", "Host": "127.0.0.1.page.example"}, 403),
    ],
)
async def test_no_web_page_can_start_a_fault(
    control: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    async with control.post("/faults/end_streams", data=b"{}", headers=headers) as answer:
        assert answer.status == status


async def test_a_page_of_another_host_reads_nothing(control: aiohttp.ClientSession) -> None:
    async with control.get("/stats", headers={"Host": "page.example"}) as answer:
        assert answer.status == 403
    async with control.delete("/faults", headers={"Origin": "https://page.example"}) as answer:
        assert answer.status == 403


async def test_stats_count_calls_commits_and_streams(
    server: LocalFirestore, control: aiohttp.ClientSession, project: str
) -> None:
    server.database(project).set("jobs/a", {"n": 1})
    async with grpc.aio.insecure_channel(server.host) as channel:
        listen = RawListen(channel, project)
        await listen.add_documents(2, ["jobs/a"])
        await listen.until_consistent()
        async with control.get("/stats") as answer:
            stats = await answer.json()
    assert (stats["streams"], stats["commits"], stats["calls"]) == (1, 1, {"Listen": 1})


async def test_serve_announces_both_ports_and_runs_until_cancelled() -> None:
    announced: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(control_port=0, announce=announced.put_nowait))
    firestore, control = await announced.get(), await announced.get()
    assert firestore.startswith("export FIRESTORE_EMULATOR_HOST=127.0.0.1:")
    async with aiohttp.ClientSession() as session, session.get(control.partition("=")[2] + "/stats") as answer:
        assert (await answer.json())["host"] == firestore.partition("=")[2]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
