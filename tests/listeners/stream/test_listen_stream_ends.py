"""How a stream ends, and when the stream listener gives one up, over real gRPC. Time stands still."""

import asyncio
import contextlib
import socket
from typing import Any

import grpc
import pytest

from listeners import endpoints
from listeners.events import Event, Replaced
from listeners.listener import CannotConfirm
from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
from tests.listeners.listening import failure_of
from tests.listeners.responses import added
from tests.listeners.stream_setting import Setting, job
from tests.listeners.streams import PROBE_INTERVAL_S, scripted_firestore
from tests.waiting import until

# -- ends


async def test_a_graceful_end_is_an_end_of_stream(setting: Setting, server: LocalFirestore) -> None:
    async with setting.listening() as run:
        await setting.until_live()
        server.faults.end_streams()
        failure = await failure_of(run)
    assert (failure.reason, failure.permanent, failure.prompt) == ("end_of_stream", False, False)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_a_status_is_the_reason_whether_of_the_stream_or_of_the_target(
    setting: Setting, server: LocalFirestore, code: grpc.StatusCode
) -> None:
    transient = {"aborted", "cancelled", "unknown", "deadline_exceeded", "resource_exhausted", "internal"}
    transient |= {"unavailable", "unauthenticated"}
    async with setting.listening() as run:
        await setting.until_live()
        server.faults.end_streams(code)
        ended = await failure_of(run)
    async with setting.listening() as run:
        await setting.until_live()
        server.faults.remove_targets(code)
        removed = await failure_of(run)
    assert ended.reason == removed.reason == code.name.lower()
    assert ended.permanent == removed.permanent == (ended.reason not in transient)


async def test_a_message_that_cannot_be_parsed_is_a_protocol_error(project: str) -> None:
    async def garbled(requests: Any, write: Any) -> None:
        await write(added())
        await write(b"\x00\x00\x07\x12")
        async for _ in requests:  # its end would be a race between the message and the end of the stream
            pass

    async with scripted_firestore(garbled) as host:
        setting = Setting(host, project)
        async with setting.listening() as run:
            failure = await failure_of(run)
    assert (failure.reason, failure.permanent) == ("protocol_error", False)
    assert len(setting.consumer.opened) == 1


async def test_a_stream_of_age_is_reopened_promptly(setting: Setting, server: LocalFirestore, project: str) -> None:
    short = Setting(server.host, project, lifetime_s=(40.0, 40.0))
    async with short.listening() as run:
        await short.until_live()
        while not run.done():  # it stays for its time, probes answered
            await short.time.advance(1.0)
            with contextlib.suppress(CannotConfirm):
                await short.confirm()
        failure = await failure_of(run)
    assert (failure.reason, failure.prompt) == ("lifetime", True)
    assert 1039.0 < short.time.now < 1043.0


async def test_a_stream_that_never_begins_is_given_up_within_seconds(setting: Setting, server: LocalFirestore) -> None:
    with server.faults.stall_streams():
        async with setting.listening() as run:
            await until(lambda: server.listening.streams, "the stream's arrival")
            failure = await setting.until_over(run, within_s=7)
    assert str(failure) == "idle: no message for 5 s"
    assert setting.consumer.opened == []


async def test_a_stream_that_has_begun_may_be_silent_for_three_intervals_until_it_syncs(project: str) -> None:
    async def slow(requests: Any, write: Any) -> None:
        await write(added())
        await asyncio.Event().wait()

    async with scripted_firestore(slow) as host:
        setting = Setting(host, project)
        async with setting.listening() as run:
            await until(lambda: setting.consumer.opened, "the first message")
            await setting.time.advance(2.9 * PROBE_INTERVAL_S)
            assert not run.done()
            failure = await setting.until_over(run, within_s=PROBE_INTERVAL_S)
    assert str(failure) == "idle: no message for 24 s"


async def test_a_firestore_that_accepts_connections_and_is_silent_is_one_short_attempt(
    project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy that has lost its way to Firestore: gRPC would wait for 20 s."""
    connect_s = {"grpc.min_reconnect_backoff_ms": 200}
    monkeypatch.setattr(endpoints, "CHANNEL_OPTIONS", tuple((dict(endpoints.CHANNEL_OPTIONS) | connect_s).items()))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        setting = Setting(f"127.0.0.1:{silent.getsockname()[1]}", project)
        async with setting.listening() as run:
            failure = await failure_of(run)  # time stands still: not for the stream's silence
    assert failure.reason == "unavailable"
    assert endpoints.CONNECT_S < endpoints.OPENING_S
    assert ("grpc.min_reconnect_backoff_ms", 1000 * endpoints.CONNECT_S) in endpoints.RECONNECT_OPTIONS


async def test_a_stalled_stream_is_given_up_within_three_intervals(setting: Setting, server: LocalFirestore) -> None:
    async with setting.listening() as run:
        await setting.until_live()
        with server.faults.stall_streams():
            failure = await setting.until_over(run, within_s=3 * PROBE_INTERVAL_S)
    assert failure.reason == "probe_unanswered"


async def test_an_idle_stream_is_given_up_after_the_idle_timeout(server: LocalFirestore, project: str) -> None:
    setting = Setting(server.host, project, idle_timeout_s=16.0, probe_interval_s=1000.0)
    async with setting.listening() as run:
        await setting.until_live()
        failure = await setting.until_over(run, within_s=100)
    assert failure.reason == "idle"


async def test_a_slow_consumer_is_not_the_streams_silence(setting: Setting, database: Database) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(event: Event) -> None:
        await setting.consumer.apply(event)
        if len(setting.consumer.news) == 2:
            entered.set()
            await leave.wait()

    run = asyncio.create_task(setting.listener.run(slow, setting.consumer.on_open))
    await setting.until_live()
    database.commit_plain({"jobs/a": job(1, "done")})
    await entered.wait()
    await setting.time.advance(200 * PROBE_INTERVAL_S)
    assert not run.done()
    leave.set()
    await setting.confirm()
    run.cancel()
    await asyncio.wait({run})


async def test_an_end_of_choice_lets_the_consumer_finish(server: LocalFirestore, project: str) -> None:
    setting = Setting(server.host, project, lifetime_s=(40.0, 40.0))
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(event: Event) -> None:
        entered.set()
        await leave.wait()
        await setting.consumer.apply(event)

    run = asyncio.create_task(setting.listener.run(slow, setting.consumer.on_open))
    await entered.wait()
    await setting.time.advance(50)
    assert not run.done()
    leave.set()
    assert (await failure_of(run)).reason == "lifetime"
    async with setting.listening():
        await until(lambda: len(setting.consumer.events) >= 2, "the next run's first point")
    assert [type(event) for event in setting.consumer.news] == [Replaced]
