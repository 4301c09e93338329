"""A storm of reconnections leaves nothing behind, without any help from the garbage collector."""

import asyncio
import contextlib
import gc
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest

from listeners.following import OnDocument
from listeners.listener import ListenerState
from listeners.on_snapshot.document_watch import DocumentWatches
from listeners.supervisor import Supervisor
from listeners.window import Window
from tests.firestore_servers import BackgroundFirestore
from tests.listeners.both_listeners import LISTENERS, on_snapshot
from tests.listeners.listening import Consumer
from tests.listeners.wanted import by
from tests.waiting import until

RECONNECTIONS = int(os.environ.get("RECONNECTIONS", "12"))
REFUSALS = 20
BACK_WITHIN_S = 10.0
DOCUMENTS = 20


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, project: str) -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore(heartbeat_s=600) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        commit(server, project, "first")
        yield server


@pytest.fixture
def no_collections() -> Iterator[None]:
    """A service with many clients makes a full collection once in an hour."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def commit(server: BackgroundFirestore, project: str, status: str) -> int:
    job = {"start_time": "2024-05-01T12:00:00Z", "status": status}
    return int(server.commit(project, {f"jobs/p{number}": job for number in range(DOCUMENTS)}))


def window(project: str) -> Window:
    return Window(project, "(default)", "jobs", by("string"), 100)


def sockets() -> int:
    """How many this process has open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            links.append(str(descriptor.readlink()))
    return sum(link.startswith("socket:") for link in links)


def threads() -> int:
    """How many this process has, those aside that the event loop keeps for `to_thread`."""
    return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())


class Restarts:
    """Counts what the supervisor announces."""

    def __init__(self) -> None:
        self.count = 0

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """Read from the supervisor."""

    def restarted(self, reason: str) -> None:
        self.count += 1


async def at_once(_: float) -> None:
    """No back-off."""
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def live(kind: str, project: str) -> AsyncIterator[tuple[Supervisor, Restarts]]:
    """A supervised listener that is live."""
    restarts, consumer = Restarts(), Consumer()
    consumer.on_open()
    listener = LISTENERS[kind](window(project))
    supervisor = Supervisor(listener, consumer.apply, restarts, clock=time.monotonic, sleep=at_once)
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: supervisor.state is ListenerState.LIVE, "live")
        yield supervisor, restarts
    finally:
        running.cancel()
        await asyncio.wait({running})


Trouble = Callable[[BackgroundFirestore, Supervisor], Awaitable[object]]


async def ends(server: BackgroundFirestore, _: Supervisor) -> None:
    server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)


async def ends_in_a_reset(server: BackgroundFirestore, _: Supervisor) -> None:
    """While messages are unread, a call that fails in writing is over for its caller, and not on the wire."""
    for _each in range(3):
        server.faults.send_reset()
    server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)


async def removes_the_target(server: BackgroundFirestore, _: Supervisor) -> None:
    server.faults.remove_targets(grpc.StatusCode.ABORTED)


async def refuses_connections(server: BackgroundFirestore, supervisor: Supervisor) -> None:
    server.faults.refuse_connections()
    await until(lambda: supervisor.state is not ListenerState.LIVE, "the outage is noticed")
    server.faults.accept_connections()


async def is_resynced(_: BackgroundFirestore, supervisor: Supervisor) -> None:
    supervisor.resync("the test asks for it")


@pytest.mark.thorough
@pytest.mark.parametrize("trouble", [ends, ends_in_a_reset, removes_the_target, refuses_connections, is_resynced])
@pytest.mark.parametrize("kind", LISTENERS)
@pytest.mark.usefixtures("no_collections")
async def test_a_storm_of_reconnections_leaves_no_socket_and_no_thread(
    kind: str, trouble: Trouble, server: BackgroundFirestore, project: str
) -> None:
    async with live(kind, project) as (supervisor, restarts):

        async def reconnect() -> None:
            before = restarts.count
            await trouble(server, supervisor)
            await until(lambda: restarts.count > before and supervisor.state is ListenerState.LIVE, "live again")

        await reconnect()
        before = sockets(), threads()
        for _ in range(RECONNECTIONS):
            await reconnect()
        await until(
            lambda: sockets() <= before[0] + 1 and threads() <= before[1] + 1,
            f"sockets and threads as before, {before}",
        )


@pytest.mark.parametrize("kind", LISTENERS)
async def test_however_often_it_was_refused_the_listener_is_soon_back(
    kind: str, server: BackgroundFirestore, project: str
) -> None:
    """Neither gRPC nor the client library has a back-off of its own that grows with each attempt."""
    async with live(kind, project) as (supervisor, restarts):
        server.faults.refuse_connections()
        before = restarts.count
        await until(lambda: restarts.count >= before + REFUSALS, "many attempts were refused", patience_s=60)
        server.faults.accept_connections()
        await until(lambda: supervisor.state is ListenerState.LIVE, "live again", patience_s=BACK_WITHIN_S)


@pytest.mark.usefixtures("no_collections")
async def test_followed_documents_leave_no_socket_and_no_thread_after_a_storm(
    server: BackgroundFirestore, project: str
) -> None:
    heard: dict[str, int] = {}

    def hears(document_id: str) -> OnDocument:
        def hear(document: object, read_time: int, as_of: float) -> None:
            heard[document_id] = read_time

        return hear

    watches = DocumentWatches(window(project), on_snapshot, randomness=random.Random(1), sleep=at_once)
    before = sockets(), threads()
    for number in range(DOCUMENTS):
        watches.follow(f"p{number}", hears(f"p{number}"))
    for number in range(3):
        version = commit(server, project, str(number))
        await until(lambda v=version: len(heard) == DOCUMENTS and min(heard.values()) >= v, "all")  # type: ignore[misc]
        server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
    await watches.close()
    await until(lambda: sockets() <= before[0] and threads() <= before[1], f"sockets and threads as before, {before}")
