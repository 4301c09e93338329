"""Connections that carry nothing any more, although nothing says so: a listener goes on over another one."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest

from benchmarks.chaos.proxy import Proxy
from listeners.endpoints import EmulatorEndpoint, SharedConnection
from listeners.events import Document
from listeners.listener import Listener, ListenerState
from listeners.on_snapshot.document_watch import DocumentWatches
from listeners.stream.listen_stream import StreamListener
from listeners.supervisor import Supervisor
from listeners.window import Window
from tests.firestore_servers import BackgroundFirestore
from tests.listeners.both_listeners import on_snapshot
from tests.listeners.listening import FIELDS, Consumer, CountingObserver
from tests.listeners.wanted import by, wanted
from tests.waiting import until

BOTH = ("requests", "answers")
BACK_WITHIN_S = 10.0
PROBE_INTERVAL_S = 0.2


@pytest.fixture(scope="module")
def server() -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore(heartbeat_s=600) as server:
        yield server


@pytest.fixture
async def network(server: BackgroundFirestore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """Between the listeners and Firestore."""
    proxy = Proxy(server.host)
    await proxy.start()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.host)
    yield proxy
    await proxy.stop()


@dataclass
class Jobs:
    """The collection `jobs`, whose only document has a status that the tests set."""

    server: BackgroundFirestore
    project: str

    @property
    def window(self) -> Window:
        return Window(self.project, "(default)", "jobs", by("string"), 10)

    def set(self, status: str) -> None:
        fields = {"start_time": "2024-05-01T12:00:00Z", "status": status}
        self.server.commit(self.project, {"jobs/a": fields})


@pytest.fixture
def jobs(server: BackgroundFirestore, project: str) -> Jobs:
    jobs = Jobs(server, project)
    jobs.set("first")
    return jobs


def listener_of(kind: str, window: Window, host: str) -> Listener:
    if kind == "on_snapshot":
        return on_snapshot(window, probe_interval_s=PROBE_INTERVAL_S)
    return StreamListener(
        window,
        EmulatorEndpoint(host),
        projection=wanted(*FIELDS),
        clock=time.monotonic,
        observer=CountingObserver(),
        rng=Random(1),
        probe_interval_s=PROBE_INTERVAL_S,
    )


class Silent:
    """What a supervisor announces is not listened to."""

    def state_changed(self, state: ListenerState, reason: str) -> None: ...

    def restarted(self, reason: str) -> None: ...


@dataclass
class Live:
    """A supervised listener, and what it holds."""

    listener: Listener
    consumer: Consumer = field(default_factory=Consumer)

    def __post_init__(self) -> None:
        self.consumer.on_open()
        self.supervisor = Supervisor(self.listener, self.consumer.apply, Silent(), clock=time.monotonic)

    async def until(self, status: str) -> None:
        await until(
            lambda: self.consumer.statuses() == {"a": status} and self.supervisor.state is ListenerState.LIVE,
            f"{status} is held",
            patience_s=BACK_WITHIN_S,
        )


@asynccontextmanager
async def live(listener: Listener) -> AsyncIterator[Live]:
    each = Live(listener)
    running = asyncio.create_task(each.supervisor.run())
    try:
        await each.until("first")
        yield each
    finally:
        running.cancel()
        await asyncio.wait({running})


@pytest.mark.parametrize("lost", [BOTH, ("requests",), ("answers",)], ids="+".join)
@pytest.mark.parametrize("kind", ["on_snapshot", "stream"])
async def test_a_half_open_connection_is_noticed_within_three_probe_intervals(
    kind: str, lost: tuple[str, ...], network: Proxy, jobs: Jobs
) -> None:
    async with live(listener_of(kind, jobs.window, network.host)) as listener:
        await network.lose(*lost)
        jobs.set("second")
        await listener.until("second")
        assert listener.supervisor.restarts or "answers" not in lost


async def test_a_watch_begun_anew_never_shares_a_half_open_connection(network: Proxy, jobs: Jobs) -> None:
    """Another one still holds it: gRPC would give it to every channel with equal options."""
    async with live(on_snapshot(jobs.window)), live(on_snapshot(jobs.window)) as listener:
        assert network.connections == 2
        await network.lose(*BOTH)
        listener.supervisor.resync("the test asks for it")
        jobs.set("second")
        await listener.until("second")
        assert listener.supervisor.restarts == 1


async def test_followed_documents_give_up_the_connection_that_they_share(network: Proxy, jobs: Jobs) -> None:
    heard: dict[str, list[object]] = {"a": [], "b": [], "c": []}

    def follow(name: str) -> None:
        def hear(document: Document | None, read_time: int, as_of: float) -> None:
            heard[name].append(document and document.fields["status"])

        assert watches.follow("a", hear) is not None

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 20)

    shared = SharedConnection()
    watches = DocumentWatches(
        jobs.window, lambda document: on_snapshot(document, sleep=sleep, shared=shared), randomness=Random(1)
    )
    try:
        for name in "ab":
            follow(name)
        await until(lambda: heard == {"a": ["first"], "b": ["first"], "c": []}, "both are followed")
        assert network.connections == 1
        await network.lose(*BOTH)
        follow("c")
        await until(lambda: heard["c"] == ["first"], "the third is followed", patience_s=BACK_WITHIN_S)
    finally:
        await watches.close()
