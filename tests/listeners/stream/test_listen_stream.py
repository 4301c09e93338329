"""The stream listener over real gRPC: resuming, healing, leaving nothing behind. Time stands still."""

import asyncio
import gc
import threading
from contextlib import suppress
from random import Random

import grpc
import pytest
from google.cloud.firestore_v1.types import ListenRequest

from listeners.events import Changed, Confirmed, Event, Replaced
from listeners.stream.consistent_point import ConsistentPoint
from listeners.stream.document_targets import DocumentTargets
from listeners.stream.listen_protocol import ListenProtocol
from listeners.stream.listen_stream import LISTEN
from listeners.stream.open_stream import OpenStream
from listeners.stream.stream_times import StreamTimes
from listeners.window import Window
from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
from tests.listeners.listening import FIELDS, Consumer, CountingObserver, failure_of
from tests.listeners.responses import WINDOW, changed, current, point, reset
from tests.listeners.stream_setting import Setting, job
from tests.listeners.streams import VirtualTime
from tests.listeners.wanted import by, wanted
from tests.waiting import until

# -- resuming


async def test_a_second_run_resumes_and_is_billed_for_the_changes_alone(setting: Setting, database: Database) -> None:
    async with setting.listening():
        await setting.until_live()
    database.commit_plain({"jobs/a": None, "jobs/b": job(2, "done"), "jobs/d": job(4)})
    billed = setting.observer.documents
    async with setting.listening():
        await setting.consumer.until_holds("b", "c", "d")
    assert [type(event) for event in setting.consumer.news] == [Replaced, Changed]
    assert setting.observer.documents - billed == 2


async def test_a_second_run_without_changes_confirms(setting: Setting) -> None:
    async with setting.listening():
        await setting.until_live()
    seen = len(setting.consumer.events)
    async with setting.listening():
        await setting.until_live()
    assert {type(event) for event in setting.consumer.events[seen:]} == {Confirmed}


async def test_an_expired_token_ends_as_a_difference(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    async with setting.listening():
        await setting.until_live()
    server.faults.expire_tokens()
    database.commit_plain({"jobs/a": None, "jobs/d": job(4)})
    async with setting.listening():
        await setting.consumer.until_holds("b", "c", "d")
    _, event = setting.consumer.news
    assert isinstance(event, Changed)
    assert [document.id for document in event.upserts] == ["d"]


async def test_a_reset_of_the_stream_does_not_reach_the_consumer(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    async with setting.listening():
        await setting.until_live()
        server.faults.send_reset()
        database.commit_plain({"jobs/a": job(1, "done")})
        _, event = await setting.consumer.until_news(2)
    assert isinstance(event, Changed)
    assert [document.id for document in event.upserts] == ["a"]


async def test_a_false_filter_ends_the_run_and_the_next_one_heals(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    async with setting.listening() as run:
        await setting.until_live()
        server.faults.drop_deltas(1)
        database.commit_plain({"jobs/a": None})
        server.faults.send_existence_filter(off_by=0)
        failure = await failure_of(run)
        assert (failure.reason, failure.prompt, failure.permanent) == ("filter_mismatch", False, False)
    async with setting.listening():
        await setting.consumer.until_holds("b", "c")
    assert [type(event) for event in setting.consumer.news] == [Replaced, Changed]


async def test_a_consumer_that_fails_is_told_everything_again(setting: Setting, database: Database) -> None:
    async with setting.listening():
        await setting.until_live()
    database.commit_plain({"jobs/a": job(1, "done")})

    async def fails(event: Event) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        await setting.listener.run(fails, lambda: None)
    async with setting.listening():
        _, again = await setting.consumer.until_news(2)
    assert isinstance(again, Replaced)


async def test_a_consumer_that_was_interrupted_is_told_everything_again(setting: Setting, database: Database) -> None:
    async with setting.listening():
        await setting.until_live()
    database.commit_plain({"jobs/a": job(1, "done")})
    applying = asyncio.Event()

    async def never_done(event: Event) -> None:
        applying.set()
        await asyncio.Event().wait()

    run = asyncio.create_task(setting.listener.run(never_done, lambda: None))
    await applying.wait()
    run.cancel()
    await asyncio.wait({run})
    async with setting.listening():
        _, again = await setting.consumer.until_news(2)
    assert isinstance(again, Replaced)


# -- the loop and the process


async def test_a_large_load_leaves_the_event_loop_its_turns(server: LocalFirestore, database: Database) -> None:
    """Not by the clock: from one turn of the loop to the next, at most a few documents are decoded."""
    database.commit_plain({f"jobs/job-{number}": job(number % 60) for number in range(3000)})
    time = VirtualTime()
    consumer = Consumer(clock=time)
    protocol = ListenProtocol(
        Window(database.path.split("/")[1], "(default)", "jobs", by("timestamp"), 0), wanted(*FIELDS)
    )
    times = StreamTimes(probe_interval_s=8, idle_timeout_s=100, lifetime_s=1000, confirm_timeout_s=5)
    documents = DocumentTargets(protocol, Random(1))
    stream = OpenStream(protocol, documents, times, time, time.sleep, CountingObserver())
    seen, most = 0, 0
    async with grpc.aio.insecure_channel(server.host) as channel:
        listen = channel.stream_stream(LISTEN, request_serializer=ListenRequest.pb().SerializeToString)
        run = asyncio.create_task(stream.run(listen(), consumer.apply, consumer.on_open))
        while not consumer.events and not run.done():
            seen, most = protocol.changes_received, max(most, protocol.changes_received - seen)
            await asyncio.sleep(0)
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run  # raises what ended it before that
    assert len(consumer.held) == 3003
    assert most <= 4


async def test_what_a_reset_has_left_out_is_found_with_turns_of_the_event_loop_between() -> None:
    protocol, time = ListenProtocol(WINDOW, wanted(*FIELDS)), VirtualTime()
    protocol.open()
    for number in range(1_000):
        protocol.receive(changed(f"p{number}", 1))
    protocol.receive(current())
    first = protocol.receive(point(10, b"t10"))
    assert isinstance(first, ConsistentPoint)
    protocol.take(first)
    protocol.receive(reset())
    protocol.receive(current())
    second = protocol.receive(point(11, b"t11"))
    assert isinstance(second, ConsistentPoint)
    times = StreamTimes(probe_interval_s=8, idle_timeout_s=100, lifetime_s=1000, confirm_timeout_s=5)
    stream = OpenStream(protocol, DocumentTargets(protocol, Random(1)), times, time, time.sleep, CountingObserver())
    applied: list[Event] = []

    async def apply(event: Event) -> None:
        applied.append(event)

    handing_over, turns = asyncio.create_task(stream._hand_over(second, 0.0, apply)), 0
    while not handing_over.done():
        await asyncio.sleep(0)
        turns += 1
    assert isinstance(applied[0], Changed)
    assert len(applied[0].removals) == 1_000
    assert turns >= 64


async def test_fifty_reopened_streams_leave_no_task_thread_or_channel(setting: Setting, server: LocalFirestore) -> None:
    async def reopen() -> None:
        seen = len(setting.consumer.events)
        async with setting.listening() as run:
            await until(lambda: len(setting.consumer.events) > seen, "a point")
            server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
            await failure_of(run)

    def channels() -> int:
        gc.collect()
        return sum(isinstance(thing, grpc.aio.Channel) for thing in gc.get_objects())

    await reopen()
    await until(lambda: not server.listening.streams, "the stream's end on the server")
    before = len(asyncio.all_tasks()), threading.active_count(), channels()
    for _ in range(50):
        await reopen()
    await until(lambda: (len(asyncio.all_tasks()), threading.active_count()) == before[:2], "all tasks' end")
    assert channels() == before[2]
