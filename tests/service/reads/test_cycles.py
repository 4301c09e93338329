"""A direct read leaves nothing that only a collection of garbage could free, however it ends."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc
import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.errors import BudgetExhausted, ReadRefused, Unreachable
from service.reads.answers import Answers
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, running_service, waiting
from tests.waiting import until

READS_AT_LEAST = 40
FEW = READS_AT_LEAST // 2
"""Objects found by one collection after so many reads: less than one per read."""

OF_A_TRANSPORT = {
    "asyncio.selector_events._SelectorSocketTransport",
    "asyncio.trsock.TransportSocket",
    "builtins.dict",
    "builtins.method",
    "builtins.tuple",
    "socket.socket",
}
"""A closed transport of asyncio's own loop refers to itself; uvloop's does not."""

Read = Callable[[Answers], Awaitable[object]]


@pytest.fixture
def own_firestore(project: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundFirestore]:
    """In a process of its own, so that its garbage is not found here."""
    with BackgroundFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        seed(server, project)
        yield server


def seed(server: BackgroundFirestore, project: str) -> None:
    for number in range(30):
        fields = {"status": "running", "products": [{"sku": "a"}] * 3}
        server.commit(project, {f"{COLLECTION}/p{number}": fields})


async def found_after(
    read: Callable[[], Awaitable[object]], running: RunningService, *, reads_per_call: int = 1
) -> list[str]:
    """The types of the objects that only a collection could free after the reads. The first reads make what stays."""
    calls = -(-READS_AT_LEAST // reads_per_call)
    for _ in range(min(calls, 5)):
        await read()
    await until_idle(running)
    gc.collect()
    gc.disable()
    try:
        for _ in range(calls):
            await read()
        await until_idle(running)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return [f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def until_idle(running: RunningService) -> None:
    """No read is under way, and gRPC has ended its calls."""

    def is_idle() -> bool:
        names = [str(task.get_coro()) for task in asyncio.all_tasks()]
        return not any("Call." in name or "_fly" in name for name in names)

    await until(is_idle, "every call has ended")


class Ids:
    """IDs that nobody has asked for."""

    def __init__(self) -> None:
        self._made = 0

    def next(self) -> str:
        self._made += 1
        return f"invented-{self._made}"


ids = Ids()


async def unknown(answers: Answers) -> None:
    assert (await answers.status(ids.next(), SEES_EVERYTHING)).summary is None


async def held(answers: Answers) -> None:
    assert (await answers.status("p1", SEES_EVERYTHING, max_age_s=0)).summary is not None


async def with_products(answers: Answers) -> None:
    assert b"sku" in (await answers.status("p2", SEES_EVERYTHING, children=("products",), max_age_s=0)).body


async def products_of_a_subcollection(answers: Answers) -> None:
    await answers.status(ids.next(), SEES_EVERYTHING, children=("products",))


async def page(answers: Answers) -> None:
    await answers.page(ListQuery(10), SEES_EVERYTHING, max_age_s=0)


async def deep_page(answers: Answers) -> None:
    await answers.page(
        ListQuery(10, filters={"status": "running"}, after=(0, ids.next())), SEES_EVERYTHING, max_age_s=0
    )


async def shared(answers: Answers) -> None:
    name = ids.next()
    await asyncio.gather(*(answers.status(name, SEES_EVERYTHING) for _ in range(5)))


async def fresh_behind_another(answers: Answers) -> None:
    name = ids.next()
    first = asyncio.create_task(answers.status(name, SEES_EVERYTHING))
    await asyncio.sleep(0)
    await asyncio.gather(first, *(answers.status(name, SEES_EVERYTHING, max_age_s=0) for _ in range(3)))


async def concurrent(answers: Answers) -> None:
    await asyncio.gather(*(answers.status(ids.next(), SEES_EVERYTHING) for _ in range(8)))


async def cancelled(answers: Answers) -> None:
    reading = asyncio.create_task(answers.status(ids.next(), SEES_EVERYTHING))
    for _ in range(4):
        await asyncio.sleep(0)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


async def over_budget(answers: Answers) -> None:
    outcomes = await asyncio.gather(
        *(answers.status(ids.next(), SEES_EVERYTHING) for _ in range(70)), return_exceptions=True
    )
    assert any(isinstance(outcome, BudgetExhausted) for outcome in outcomes)


READS: list[Read] = [
    unknown,
    held,
    with_products,
    products_of_a_subcollection,
    page,
    deep_page,
    shared,
    fresh_behind_another,
    concurrent,
    cancelled,
    over_budget,
]
READS_PER_CALL: dict[Read, int] = {concurrent: 8, over_budget: 64}


async def fails(answers: Answers) -> None:
    with pytest.raises((Unreachable, ReadRefused)):
        await answers.page(ListQuery(10, after=(0, ids.next())), SEES_EVERYTHING, max_age_s=0)


@pytest.mark.parametrize("read", READS)
async def test_a_read_leaves_no_reference_cycle(read: Read, own_firestore: BackgroundFirestore, project: str) -> None:
    async with running_service(own_firestore.host, project, window_size=5, fallback_rate=1e6) as running:
        await running.synced()
        answers = running.service._answers
        reads_per_call = READS_PER_CALL.get(read, 1)
        assert len(await found_after(lambda: read(answers), running, reads_per_call=reads_per_call)) < FEW


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED, None])
async def test_a_read_that_fails_leaves_no_reference_cycle(
    code: grpc.StatusCode | None, own_firestore: BackgroundFirestore, project: str
) -> None:
    settings: dict[str, Any] = {
        "window_size": 5,
        "fallback_rate": 1e6,
        "listener": "on_snapshot",
        "firestore_timeout_s": 0.02,
    }
    async with running_service(own_firestore.host, project, **settings) as running:
        await running.synced()
        answers = running.service._answers
        faults = own_firestore.faults
        with faults.hold_calls("RunQuery") if code is None else faults.fail_calls("RunQuery", code, calls=None):
            assert len(await found_after(lambda: fails(answers), running)) < FEW


@pytest.mark.parametrize("waiters", [0, 60])
async def test_polls_on_new_connections_leave_no_reference_cycle(
    waiters: int, own_firestore: BackgroundFirestore, project: str
) -> None:
    """One connection for each, as eight clients at a time open them; the waiters keep theirs."""
    async with (
        running_service(own_firestore.host, project, window_size=5, fallback_rate=1e6) as running,
        AsyncExitStack() as stack,
    ):
        await running.synced()
        for _ in range(waiters):
            await stack.enter_async_context(waiting(running, "/status/p1?wait=50"))

        async def poll() -> None:
            replies = await asyncio.gather(*(raw_get(running, f"/status/{ids.next()}") for _ in range(8)))
            assert all(reply.startswith(b"HTTP/1.1 404") for reply in replies)

        found = await found_after(poll, running, reads_per_call=8)
        assert len([kind for kind in found if kind not in OF_A_TRANSPORT]) < FEW


async def raw_get(running: RunningService, path: str) -> bytes:
    host, _, port = running.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply
