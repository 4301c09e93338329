"""Each thing that google-cloud-firestore's Watch is known to do wrong, and that the service survives it.

Under a supervisor, as in production, whose back-off is written down instead of waited for.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import firestore
from google.cloud.firestore_v1.watch import Watch

from listeners.endpoints import CHANNEL_OPTIONS
from listeners.events import Changed, Confirmed, Event, Replaced
from listeners.listener import CannotConfirm, ListenerFailure, ListenerState
from listeners.on_snapshot import listener as on_snapshot
from listeners.on_snapshot import watch, watch_inspection
from listeners.on_snapshot.listener import OnSnapshotListener
from listeners.on_snapshot.probes import Probes
from listeners.supervisor import Supervisor
from listeners.window import Window
from tests.firestore_servers import BackgroundFirestore
from tests.listeners.listening import FIELDS, Consumer, CountingObserver, failure_of, listening, writing_client
from tests.listeners.wanted import by, wanted
from tests.waiting import until

Documents = dict[str, dict[str, object] | None]

WINDOW = Window("a-project", "(default)", "jobs", by("string"), 3)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore(heartbeat_s=600) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        yield server


@dataclass
class SupervisedObserver(CountingObserver):
    restarts: list[str] = field(default_factory=list)

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """Read from the supervisor where a test needs it."""

    def restarted(self, reason: str) -> None:
        self.restarts.append(reason)


@dataclass
class Supervised:
    """A supervised listener, what it said, and how long it wanted to wait between its connections."""

    server: BackgroundFirestore
    project: str
    consumer: Consumer = field(default_factory=Consumer)
    observer: SupervisedObserver = field(default_factory=SupervisedObserver)
    delays: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.consumer.on_open()  # the supervisor's to hear, here
        self.listener = listener(self.project, self.observer)
        self.supervisor = Supervisor(
            self.listener,
            self.consumer.apply,
            self.observer,
            clock=time.monotonic,
            sleep=self._sleep,
            randomness=random.Random(1),
        )

    async def _sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        await asyncio.sleep(0)

    def commit(self, **statuses: str | None) -> None:
        """One commit; None deletes."""
        fields = {name: job(status) if status is not None else None for name, status in statuses.items()}
        self.server.commit(self.project, {f"jobs/{name}": each for name, each in fields.items()})

    async def until_statuses(self, **statuses: str) -> None:
        await until(
            lambda: self.consumer.statuses() == statuses and self.supervisor.state is ListenerState.LIVE,
            f"holding {statuses} (restarts: {self.observer.restarts})",
        )


@contextlib.asynccontextmanager
async def supervised(server: BackgroundFirestore, project: str) -> AsyncIterator[Supervised]:
    running = Supervised(server, project)
    running.commit(a="new", b="new")
    task = asyncio.create_task(running.supervisor.run(), name="supervisor")
    try:
        await running.until_statuses(a="new", b="new")
        yield running
    finally:
        task.cancel()
        await asyncio.wait({task})
    await until(lambda: server.streams == 0, "the end of all streams")


def listener(project: str, observer: CountingObserver | None = None, **options: Any) -> OnSnapshotListener:
    options = {"clock": time.monotonic, "client_factory": lambda: firestore.Client(project=project), **options}
    return OnSnapshotListener(
        replace(WINDOW, project=project), wanted(*FIELDS), observer=observer or CountingObserver(), **options
    )


def job(status: object = "new") -> dict[str, object]:
    return {"start_time": "2024-05-01T12:00:00Z", "status": status}


# 1. A filter mismatch kills it


async def test_a_filter_mismatch_is_recovered_from(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        assert server.faults.send_existence_filter(off_by=-1) == 1
        await until(lambda: running.observer.restarts == ["filter_mismatch"], "the restart")
        running.commit(a="newer")
        await running.until_statuses(a="newer", b="new")


async def test_a_lost_deletion_is_found_by_the_next_filter(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        with server.faults.drop_deltas():
            running.commit(a=None)
        server.faults.send_existence_filter(off_by=0)
        await running.until_statuses(b="new")
    assert running.observer.restarts == ["filter_mismatch"]


async def test_a_filter_that_agrees_is_no_reason_to_restart(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        server.faults.send_existence_filter(off_by=0)
        running.commit(c="new")
        await running.until_statuses(a="new", b="new", c="new")
        server.faults.send_existence_filter(off_by=0)
        running.commit(c=None)
        await running.until_statuses(a="new", b="new")
    assert running.observer.restarts == []


# 2. A graceful end, and CANCELLED, are fatal to it

ENDS = [
    (grpc.StatusCode.OK, "end_of_stream"),
    (grpc.StatusCode.CANCELLED, "cancelled"),
    (grpc.StatusCode.UNAVAILABLE, "unavailable"),
    (grpc.StatusCode.ABORTED, "aborted"),
    (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, "resource_exhausted"),
]


@pytest.mark.parametrize(("code", "reason"), ENDS)
async def test_every_end_of_the_stream_is_recovered_from(
    server: BackgroundFirestore, project: str, code: grpc.StatusCode, reason: str
) -> None:
    async with supervised(server, project) as running:
        server.faults.end_streams(code)
        await until(lambda: running.observer.restarts == [reason], "the restart")
        running.commit(a="newer")
        await running.until_statuses(a="newer", b="new")


# 3. It reopens without back-off


async def test_offline_firestore_is_asked_once_for_each_attempt_of_the_supervisor(
    server: BackgroundFirestore, project: str
) -> None:
    async with supervised(server, project) as running:
        before = server.calls["Listen"]
        with server.faults.fail_calls("Listen", grpc.StatusCode.UNAVAILABLE, calls=7):
            server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
            await until(lambda: len(running.observer.restarts) == 8, "seven failures more")
        await running.until_statuses(a="new", b="new")
        assert server.calls["Listen"] - before == 8


async def test_a_refused_connection_is_one_attempt(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        server.faults.refuse_connections()
        await until(lambda: len(running.observer.restarts) >= 3, "failures")
        server.faults.accept_connections()
        await running.until_statuses(a="new", b="new")
    assert set(running.observer.restarts) == {"unavailable"}


# 4. It has no idle timeout


class VirtualTime:
    """A clock that its own sleeps advance, once `flowing` is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.flowing = asyncio.Event()
        self.sleeps = 0

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        await self.flowing.wait()
        self.now_s += delay_s
        self.sleeps += 1
        await asyncio.sleep(0)


async def test_a_stream_that_never_says_a_word_is_given_up_within_seconds(
    server: BackgroundFirestore, project: str
) -> None:
    virtual = VirtualTime()
    virtual.flowing.set()
    silent = listener(project, clock=virtual.clock, sleep=virtual.sleep)
    with server.faults.stall_streams():
        async with listening(silent, Consumer(virtual.clock)) as run:
            failure = await failure_of(run)
    assert (failure.reason, failure.permanent, failure.prompt) == ("idle", False, False)
    assert str(failure) == "idle: no message for 5 s"


async def test_a_stream_that_falls_silent_is_given_up(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[watch.Connection] = []

    class KeptConnection(watch.Connection):
        def open(self, emit: watch_inspection.Emit) -> None:
            super().open(emit)
            opened.append(self)

    monkeypatch.setattr(on_snapshot, "Connection", KeptConnection)
    virtual = VirtualTime()
    consumer = Consumer(virtual.clock)
    async with listening(listener(project, clock=virtual.clock, sleep=virtual.sleep), consumer) as run:
        await consumer.until_news(1)
        with server.faults.stall_streams():
            # Virtual time runs faster than the watch's thread comes back from what it told last.
            await until(lambda: opened[0].watch and not opened[0].watch.working, "the watch at rest")
            started_s = virtual.now_s
            virtual.flowing.set()
            failure = await failure_of(run)
    assert failure.reason == "idle"
    assert virtual.now_s - started_s == pytest.approx(120, abs=3)


async def test_changes_that_never_arrived_are_there_after_a_resync(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        with server.faults.drop_deltas():
            running.commit(a="lost")
        running.supervisor.resync("the audit disagrees")
        await running.until_statuses(a="lost", b="new")
    assert running.observer.restarts == ["resync"]
    assert running.delays == []


# 5. Changes from before a break survive as phantoms


async def test_a_change_cut_off_from_its_consistent_point_leaves_no_phantom(
    server: BackgroundFirestore, project: str
) -> None:
    async with supervised(server, project) as running:
        with server.faults.hold_calls("Listen") as held:
            server.faults.end_streams(grpc.StatusCode.UNAVAILABLE, after_messages=1)
            running.commit(phantom="new")
            await asyncio.to_thread(held.struck)
            running.commit(phantom=None)
        await running.until_statuses(a="new", b="new")
        assert not any("phantom" in str(event) for event in running.consumer.events)


async def test_a_reset_is_applied_as_a_difference(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        with server.faults.drop_deltas():
            running.commit(a="lost", b=None)
        server.faults.send_reset()
        await running.until_statuses(a="lost")
        last = running.consumer.news[-1]
    assert isinstance(last, Changed)
    assert [document.id for document in last.upserts] == ["a"]
    assert [(removal.id, removal.deleted) for removal in last.removals] == [("b", None)]
    assert running.observer.restarts == []


async def test_a_stream_reopened_by_the_library_is_thrown_away(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "end_with_first_stream", lambda *_: False)
    async with supervised(server, project) as running:
        server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
        await until(lambda: running.observer.restarts == ["reopened"], "the restart")
        running.commit(a="newer")
        await running.until_statuses(a="newer", b="new")


@pytest.mark.parametrize("code", [grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.PERMISSION_DENIED])
async def test_with_an_unknown_library_the_ends_of_the_watch_are_still_events(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    monkeypatch.setattr(watch, "end_with_first_stream", lambda *_: False)
    async with supervised(server, project) as running:
        server.faults.end_streams(code)
        await until(lambda: len(running.observer.restarts) == 1, "the restart")
        running.commit(a="newer")
        await running.until_statuses(a="newer", b="new")
    assert raised == []


async def test_a_watch_whose_thread_died_without_a_word_is_noticed(server: BackgroundFirestore, project: str) -> None:
    def client_with_a_closed_channel() -> firestore.Client:
        client = firestore.Client(project=project)
        client._firestore_api.transport.close()
        return client

    dying = listener(project, client_factory=client_with_a_closed_channel, probe_interval_s=0.04)
    async with listening(dying, Consumer()) as run:
        failure = await failure_of(run)
    assert str(failure) == "end_of_stream: the watch's thread has ended"


def test_an_unknown_library_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    unknown: Any = object()
    assert not watch.end_with_first_stream(unknown, CHANNEL_OPTIONS, Probes(WINDOW), lambda event: None)
    assert "it reopens streams by itself" in caplog.text


# 6. An exception in its thread corrupts it


async def test_a_library_that_fails_in_its_thread_is_replaced(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervised(server, project) as running:
        with monkeypatch.context() as broken:
            broken.setattr(Watch, "push", lambda self, read_time, token: 1 / 0)
            running.commit(a="newer")
            await until(lambda: "protocol_error" in running.observer.restarts, "the failure")
        await running.until_statuses(a="newer", b="new")
    assert "ZeroDivisionError" in running.supervisor.last_failure


async def test_a_document_that_the_library_cannot_decode_does_not_break_it(
    server: BackgroundFirestore, project: str
) -> None:
    consumer = Consumer()
    with writing_client("another-project") as foreign, writing_client(project) as client:
        elsewhere = foreign.document("jobs/x")
        client.document("jobs/a").set({**job(elsewhere), "products": [elsewhere]})
        async with listening(listener(project), consumer):
            await consumer.until_holds("a")
    assert consumer.held["a"].fields.keys() == {"start_time", "status"}


async def test_an_apply_that_raises_gets_everything_again(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        apply, failures = running.consumer.apply, [LookupError("a bug")]

        async def apply_once_failing(event: Event) -> None:
            if failures:
                raise failures.pop()
            await apply(event)

        running.supervisor._apply = apply_once_failing
        running.commit(a="newer")
        await running.until_statuses(a="newer", b="new")
    assert running.observer.restarts == ["callback_error"]


def test_telling_an_event_loop_that_is_gone_raises_nothing() -> None:
    async def inbox() -> on_snapshot._Inbox:
        return on_snapshot._Inbox(CountingObserver())

    orphan = asyncio.run(inbox())
    orphan.put_from_thread(watch_inspection.Opened())


# 7. Permanent errors surface only in a thread's excepthook


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION])
@pytest.mark.parametrize("way", ["call", "open_stream", "target"])
async def test_a_permanent_error_ends_the_run_with_its_detail_and_in_silence(
    server: BackgroundFirestore, project: str, code: grpc.StatusCode, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    consumer = Consumer()
    if way == "call":
        server.faults.fail_calls("Listen", code, detail="see https://example.com")
    async with listening(listener(project), consumer) as run:
        if way != "call":
            await consumer.until_news(1)
        if way == "open_stream":
            server.faults.end_streams(code, "see https://example.com")
        if way == "target":
            server.faults.remove_targets(code, "see https://example.com")
        failure = await failure_of(run)
    assert (failure.reason, failure.permanent) == (code.name.lower(), True)
    assert str(failure) == f"{code.name.lower()}: see https://example.com"
    assert capfd.readouterr() == ("", "")


async def test_missing_credentials_are_a_permanent_failure(project: str) -> None:
    def no_client() -> firestore.Client:
        raise DefaultCredentialsError("no credentials")  # type: ignore[no-untyped-call]

    with pytest.raises(ListenerFailure) as raised:
        await listener(project, client_factory=no_client).run(Consumer().apply, Consumer().on_open)
    assert (raised.value.reason, raised.value.permanent) == ("unauthenticated", True)


# 8. It calls back only when something changed


async def test_a_heartbeat_is_a_confirmation(monkeypatch: pytest.MonkeyPatch, project: str) -> None:
    with BackgroundFirestore(heartbeat_s=0.01) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        server.commit(project, {"jobs/a": job()})
        consumer = Consumer()
        async with listening(listener(project), consumer):
            await until(lambda: len(consumer.events) > 3, "heartbeats")
    first, *rest = consumer.events
    assert isinstance(first, Replaced)
    assert all(isinstance(event, Confirmed) for event in rest)
    read_times = [event.read_time for event in consumer.events]
    assert read_times == sorted(read_times)


async def test_it_never_claims_to_confirm(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        with pytest.raises(CannotConfirm):
            await running.listener.confirm()
        with pytest.raises(CannotConfirm):
            await running.supervisor.confirm()


# 9. Its cost: what can be kept from it is kept from it


async def test_documents_read_are_counted_as_firestore_bills_them(server: BackgroundFirestore, project: str) -> None:
    async with supervised(server, project) as running:
        assert running.observer.documents == 2
        running.commit(a="newer", c="new")
        await running.until_statuses(a="newer", b="new", c="new")
        assert running.observer.documents == 4
        server.faults.end_streams()
        await until(lambda: running.observer.documents == 7, "the three read again")


# Freshness, back-pressure, threads


class Gate:
    """An apply that lets events through when it is open."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.open = asyncio.Event()
        self.waiting = 0

    async def apply(self, event: Event) -> None:
        self.waiting += 1
        await self.open.wait()
        await self.consumer.apply(event)


async def test_an_event_that_waited_out_a_freeze_is_as_old_as_its_read_time(
    server: BackgroundFirestore, project: str
) -> None:
    frozen_s = 0.0
    consumer = Consumer(lambda: 1000 + frozen_s)
    gate = Gate(consumer)
    slow = listener(project, clock=consumer.clock, wall_clock=lambda: time.time() + frozen_s)
    run = asyncio.create_task(slow.run(gate.apply, consumer.on_open))
    await until(lambda: gate.waiting == 1, "the first event")
    server.commit(project, {"jobs/a": job()})
    inbox = slow._inbox
    assert inbox is not None
    await until(lambda: len(inbox._waiting) == 1, "the second event")
    frozen_s = 600.0
    gate.open.set()
    await consumer.until_holds("a")
    assert consumer.events[1].as_of <= 1000.0
    run.cancel()
    await asyncio.wait({run})


async def test_a_wall_clock_that_is_set_back_makes_no_waiting_event_younger(
    server: BackgroundFirestore, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    waited_s = jump_s = 0.0
    consumer = Consumer(lambda: time.monotonic() + waited_s)
    gate = Gate(consumer)
    slow = listener(project, clock=consumer.clock, wall_clock=lambda: time.time() + waited_s + jump_s)
    run = asyncio.create_task(slow.run(gate.apply, consumer.on_open))
    await until(lambda: gate.waiting == 1, "the first event")
    server.commit(project, {"jobs/a": job()})
    committed_at = consumer.clock()
    inbox = slow._inbox
    assert inbox is not None
    await until(lambda: len(inbox._waiting) == 1, "the second event")
    waited_s, jump_s = 600.0, -3600.0
    gate.open.set()
    await consumer.until_holds("a")
    assert consumer.events[1].as_of <= committed_at + 1.0  # what two clocks can drift apart in the time, and the way
    assert "the wall clock has jumped by -3600" in caplog.text
    run.cancel()
    await asyncio.wait({run})


async def test_a_freeze_between_two_clocks_makes_an_event_older_never_fresher(
    server: BackgroundFirestore, project: str
) -> None:
    frozen_s = 0.0

    def then_frozen(now: float) -> float:
        nonlocal frozen_s
        reading = now + frozen_s
        frozen_s += 600
        return reading

    consumer = Consumer(lambda: then_frozen(1000))
    freezing = listener(project, clock=consumer.clock, wall_clock=lambda: then_frozen(time.time()))
    async with listening(freezing, consumer):
        await consumer.until_news(1)
    assert consumer.events[0].as_of <= 1000.0


async def test_a_wall_clock_that_is_slow_never_makes_an_event_come_from_the_future(
    server: BackgroundFirestore, project: str
) -> None:
    consumer = Consumer(lambda: 1000.0)
    async with listening(listener(project, clock=consumer.clock, wall_clock=lambda: 0.0), consumer):
        await consumer.until_news(1)
    assert consumer.events[0].as_of == 1000.0


async def test_a_consumer_that_cannot_keep_up_gets_no_more_of_what_waits(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_snapshot, "INBOX_LIMIT", 2)
    consumer = Consumer()
    gate = Gate(consumer)
    slow = listener(project)
    run = asyncio.create_task(slow.run(gate.apply, consumer.on_open))
    await until(lambda: gate.waiting == 1, "the first event")
    inbox = slow._inbox
    assert inbox is not None
    for number in range(4):
        server.commit(project, {f"jobs/{number}": job()})
    await until(lambda: isinstance(inbox._waiting[-1], ListenerFailure) if inbox._waiting else False, "the overrun")
    gate.open.set()
    failure = await failure_of(run)
    assert failure.reason == "overrun"
    assert len(consumer.events) == 1


async def test_a_close_that_hangs_does_not_hold_up_the_end_of_the_run(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_snapshot, "CLOSE_TIMEOUT_S", 0.01)
    hanging, consumer = threading.Event(), Consumer()
    close = watch.Connection.close

    def slow_close(connection: watch.Connection) -> None:
        hanging.wait(20)
        close(connection)

    monkeypatch.setattr(watch.Connection, "close", slow_close)
    async with listening(listener(project), consumer):
        await consumer.until_news(1)
    assert server.streams == 1
    hanging.set()
    await until(lambda: server.streams == 0, "the late end of the stream")


async def test_calls_that_fill_the_event_loops_threads_delay_no_connection(
    server: BackgroundFirestore, project: str
) -> None:
    held = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        blocked = asyncio.get_running_loop().run_in_executor(None, held.wait)
        try:
            async with supervised(server, project) as each:
                each.commit(a="running")
                await each.until_statuses(a="running", b="new")
                with server.faults.end_streams(grpc.StatusCode.UNAVAILABLE):
                    await until(lambda: each.observer.restarts == ["unavailable"], "its stream has ended")
                each.commit(a="completed")
                await each.until_statuses(a="completed", b="new")
        finally:
            held.set()
            await blocked


async def test_each_run_has_a_client_of_its_own_and_closes_it(server: BackgroundFirestore, project: str) -> None:
    clients: list[firestore.Client] = []

    def client_factory() -> firestore.Client:
        clients.append(firestore.Client(project=project))
        return clients[-1]

    made = listener(project, client_factory=client_factory)
    assert clients == []  # a process that is yet to fork may construct it
    consumer = Consumer()
    for count in (1, 2):
        async with listening(made, consumer):
            await consumer.until_news(count)
        assert len(clients) == count
        with pytest.raises(ValueError, match=r"Channel closed|closed channel"):
            clients[-1].document("jobs/a").get()


def test_a_closed_connection_listens_no_more(server: BackgroundFirestore, project: str) -> None:
    opened = threading.Event()
    window = replace(WINDOW, project=project)
    client = firestore.Client(project=project)
    connection = watch.Connection(window, wanted(*FIELDS), lambda: client, CHANNEL_OPTIONS)
    connection.open(lambda event: opened.set())
    assert opened.wait(20)
    connection.close()
    assert connection.watch is not None
    assert not connection.watch.is_active
    connection.open(lambda event: opened.set())
    assert not connection.watch.is_active


async def test_the_event_loops_thread_never_touches_the_watch(
    server: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers: set[str] = set()

    def noting(name: str) -> Callable[..., Any]:
        original = getattr(watch.Connection, name)

        def noted(*arguments: Any) -> Any:
            callers.add(threading.current_thread().name)
            return original(*arguments)

        return noted

    for name in ("open", "close"):
        monkeypatch.setattr(watch.Connection, name, noting(name))
    consumer = Consumer()
    async with listening(listener(project), consumer):
        await consumer.until_news(1)
    assert callers
    assert threading.current_thread().name not in callers


def status_error(code: grpc.StatusCode) -> Exception:
    return exceptions.from_grpc_status(code, "detail")  # type: ignore[no-any-return,no-untyped-call]


@pytest.mark.parametrize(
    ("error", "reason", "permanent"),
    [
        (None, "end_of_stream", False),
        (StopIteration(), "end_of_stream", False),
        (status_error(grpc.StatusCode.OK), "end_of_stream", False),
        (status_error(grpc.StatusCode.UNAVAILABLE), "unavailable", False),
        (status_error(grpc.StatusCode.NOT_FOUND), "not_found", True),
        (DefaultCredentialsError("none"), "unauthenticated", True),  # type: ignore[no-untyped-call]
        (DefaultCredentialsError("later", retryable=True), "unauthenticated", False),  # type: ignore[no-untyped-call]
        (ValueError("unknown response"), "protocol_error", False),
        ("no exception at all", "protocol_error", False),
    ],
)
def test_what_the_library_gives_as_its_reason_is_classified(error: object, reason: str, permanent: bool) -> None:
    failure = watch_inspection.failure_of_error(error)
    assert (failure.reason, failure.permanent, failure.prompt) == (reason, permanent, False)
