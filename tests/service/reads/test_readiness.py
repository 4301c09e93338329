"""Whether a replica can answer, and what it says about it."""

import asyncio

import pytest

from listeners.listener import ListenerState
from service.errors import ReadRefused, Unreachable
from service.reads.readiness import DirectReads, Readiness, ReadinessCheck
from tests.service.scripted_firestore import Parts, document
from tests.service.virtual_time import settle


def check_of(parts: Parts) -> ReadinessCheck:
    return ReadinessCheck(parts.model, parts.listener, "stream", parts.reads)


async def checking(parts: Parts) -> "asyncio.Task[Readiness]":
    task = asyncio.create_task(check_of(parts).check())
    await settle()
    return task


async def test_a_confirmed_model_is_ready_without_a_read() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    parts.clock.advance(1.23456)
    assert await check_of(parts).check() == Readiness(
        ready=True,
        reason="the model is confirmed",
        listener_kind="stream",
        listener_state="live",
        listener_reason="synchronised",
        documents=1,
        confirmed_s_ago=1.235,
        model_trusted=True,
        direct_reads=DirectReads.UNPROVEN,
    )


async def test_direct_reads_that_work_are_enough_and_proven_once_for_all() -> None:
    parts = Parts()
    tasks = [await checking(parts) for _ in range(10)]
    assert len(parts.reader.gets) == 1
    parts.reader.gets[0].finds(None, read_time=1)
    states = [await task for task in tasks]
    assert {(state.ready, state.reason) for state in states} == {
        (True, "the model is not synced yet; direct reads work")
    }
    assert (await check_of(parts).check()).ready
    assert len(parts.reader.gets) == 1


@pytest.mark.parametrize(
    ("is_refused", "reason"),
    [
        (False, "the model is not synced yet, and Firestore can't be reached"),
        (True, "the model is not synced yet, and Firestore refuses direct reads; the log has its reason"),
    ],
)
async def test_a_known_outage_is_not_ready_at_once_whatever_was_proven_before(is_refused: bool, reason: str) -> None:
    parts = Parts()
    task = await checking(parts)
    parts.reader.gets[0].finds(None, read_time=1)
    assert (await task).direct_reads is DirectReads.PROVEN
    parts.circuit.read_failed(parts.circuit.successes, "down", is_refused=is_refused)
    state = await check_of(parts).check()
    assert (state.ready, state.reason, state.direct_reads) == (False, reason, DirectReads.FAILING)


async def test_a_ready_model_does_not_hide_that_direct_reads_fail() -> None:
    parts = Parts()
    await parts.hears_all(1)
    parts.circuit.read_failed(parts.circuit.successes, "down")
    state = await check_of(parts).check()
    assert (state.ready, state.direct_reads) == (True, DirectReads.FAILING)


async def test_a_proof_is_one_for_ten_seconds() -> None:
    parts = Parts()
    await parts.hears_all(1)
    reading = await parts.gets("x")
    parts.reader.gets[0].finds(None, read_time=1)
    await reading
    parts.clock.advance(10)
    assert (await check_of(parts).check()).direct_reads is DirectReads.PROVEN
    parts.clock.advance(0.1)
    assert (await check_of(parts).check()).direct_reads is DirectReads.UNPROVEN


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreachable("503 ipv4:10.0.0.1:8080 refused"), "the model's lease has lapsed, and Firestore can't be reached"),
        (
            ReadRefused("no role"),
            "the model's lease has lapsed, and Firestore refuses direct reads; the log has its reason",
        ),
    ],
)
async def test_where_nothing_can_answer_the_reason_is_given_without_the_inside(error: Exception, reason: str) -> None:
    parts = Parts()
    await parts.hears_all(1)
    parts.clock.advance(16)
    parts.listener.state = ListenerState.BACKING_OFF
    parts.listener.reason = "unavailable: ipv4:10.0.0.1:8080 refused"
    task = await checking(parts)
    parts.reader.gets[0].fails(error)
    state = await task
    assert (state.ready, state.reason, state.model_trusted) == (False, reason, False)
    assert (state.listener_state, state.listener_reason) == ("backing_off", "unavailable")
    assert str(error) not in repr(state)


@pytest.mark.parametrize(("since_s", "ready"), [(None, False), (9.0, True), (11.0, False)])
async def test_an_exhausted_budget_is_a_proof_only_where_reads_succeeded_lately(
    since_s: float | None, ready: bool
) -> None:
    parts = Parts(concurrency=1)
    if since_s is not None:
        reading = await parts.gets("x")
        parts.reader.gets[0].finds(None, read_time=1)
        await reading
        parts.clock.advance(since_s)
    hanging = await parts.gets("y")
    state = await check_of(parts).check()
    assert state.ready is ready
    assert state.reason == "the model is not synced yet; direct reads are at the limit of their budget"
    hanging.cancel()
    await settle()
