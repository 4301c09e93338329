"""That Firestore can't be read is known after one read: then every answer comes at once, and reads are soon back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import grpc
import pytest

from benchmarks.chaos.history import Query
from benchmarks.chaos.questions import Answered, Question
from service.reads.circuit import Circuit
from tests.service.checked_service import (
    FIRESTORE_TIMEOUT_S,
    LEASE_S,
    STALE_IF_ERROR_S,
    CheckedService,
    checked_service,
)
from tests.service.virtual_time_loop import VirtualTimeLoop

HELD, UNKNOWN, LIST = Question("status", "a"), Question("status", "unknown"), Question("list", Query(10))
BACK_WITHIN_S = 10.0
READS = ("BatchGetDocuments", "RunQuery")


def in_virtual_time(scenario: Callable[[CheckedService], Awaitable[None]]) -> None:
    """Run it on a service that holds one process of a window of two."""

    async def run() -> None:
        async with checked_service(window_size=2) as service:
            await service.until_hit("a", service.commit({"a": ("running", 1)}), patience_s=60)
            await scenario(service)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


def took_s(answer: Answered) -> float:
    return (answer.received_us - answer.sent_us) / 1_000_000


async def ask(service: CheckedService, question: Question) -> Answered:
    service.ask(question)
    return (await service.answers())[-1]


async def break_reads(service: CheckedService, code: grpc.StatusCode | None) -> None:
    """The model's lease lapses, and every read fails with this status (None: is never answered)."""
    for rpc in READS:
        if code is None:
            service.faults.hold_calls(rpc)
        else:
            service.faults.fail_calls(rpc, code, calls=None)
    service.faults.stall_streams()
    await asyncio.sleep(LEASE_S + 1)


@pytest.mark.parametrize("code", [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
def test_in_an_outage_every_answer_but_the_first_comes_at_once(code: grpc.StatusCode | None) -> None:
    async def scenario(service: CheckedService) -> None:
        await break_reads(service, code)
        first = await ask(service, HELD)
        assert (first.status, first.source) == (200, "STALE")
        assert took_s(first) <= FIRESTORE_TIMEOUT_S + 0.1
        for _ in range(10):
            for question, status, source in ((HELD, 200, "STALE"), (LIST, 200, "STALE"), (UNKNOWN, 503, "")):
                answer = await ask(service, question)
                assert (answer.status, answer.source) == (status, source)
                assert took_s(answer) < 0.1
                assert answer.may_retry is (status == 503)
            await asyncio.sleep(1)

    in_virtual_time(scenario)


@pytest.mark.parametrize("question", [HELD, LIST])
def test_in_an_outage_a_strong_read_is_503_at_once(question: Question) -> None:
    async def scenario(service: CheckedService) -> None:
        await break_reads(service, grpc.StatusCode.UNAVAILABLE)
        service.faults.end_streams(grpc.StatusCode.UNAVAILABLE, new_streams=1000)
        await ask(service, HELD)
        answer = await service.strong(question)
        assert (answer.status, answer.may_retry) == (503, True)
        assert took_s(answer) < 0.1

    in_virtual_time(scenario)


def test_what_is_too_old_to_be_stale_is_503_at_once() -> None:
    async def scenario(service: CheckedService) -> None:
        await break_reads(service, None)
        await ask(service, HELD)
        await asyncio.sleep(STALE_IF_ERROR_S)
        answer = await ask(service, HELD)
        assert (answer.status, answer.may_retry) == (503, True)
        assert took_s(answer) < 0.1

    in_virtual_time(scenario)


@pytest.mark.parametrize("code", [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND])
def test_reads_are_back_within_ten_seconds_of_firestore(code: grpc.StatusCode | None) -> None:
    async def scenario(service: CheckedService) -> None:
        await break_reads(service, code)
        await ask(service, UNKNOWN)
        await asyncio.sleep(180)
        service.heal()
        await asyncio.sleep(BACK_WITHIN_S)
        answer = await ask(service, UNKNOWN)
        assert (answer.status, answer.source) == (404, "MISS")

    in_virtual_time(scenario)


def test_reads_are_back_within_ten_seconds_of_a_port_that_was_closed() -> None:
    async def scenario(service: CheckedService) -> None:
        service.reads_in_trouble()
        await service.faults.refuse_connections()
        for _ in range(180):
            service.reads_in_trouble()
            await asyncio.sleep(1)
            service.ask(UNKNOWN)
        await service.answers()
        await service.faults.accept_connections()
        await asyncio.sleep(BACK_WITHIN_S)
        answer = await ask(service, UNKNOWN)
        assert (answer.status, answer.source) == (404, "MISS")

    in_virtual_time(scenario)


def test_the_model_is_back_within_ten_seconds_of_a_port_that_was_closed() -> None:
    async def scenario(service: CheckedService) -> None:
        await service.faults.refuse_connections()
        for _ in range(180):
            service.reads_in_trouble()
            await asyncio.sleep(1)
        version = service.commit({"a": ("completed", 1)})
        await service.faults.accept_connections()
        await asyncio.sleep(BACK_WITHIN_S)
        answer = await ask(service, HELD)
        assert (answer.source, answer.etag) == ("HIT", f'"v{version}"')

    in_virtual_time(scenario)


@pytest.mark.parametrize("code", [None, grpc.StatusCode.PERMISSION_DENIED])
def test_an_outage_is_logged_when_it_begins_and_ends_not_per_poll(
    code: grpc.StatusCode | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(service: CheckedService) -> None:
        await break_reads(service, code)
        for _ in range(100):
            await ask(service, HELD)
            await ask(service, UNKNOWN)
        service.heal()
        await asyncio.sleep(BACK_WITHIN_S)

    in_virtual_time(scenario)
    lines = [record for record in caplog.records if record.name.startswith(("service.reads", "service.http"))]
    lines = [record for record in lines if record.name != "service.reads.audit"]
    assert {record.name for record in lines} == {Circuit.__module__}
    assert 2 <= len(lines) <= 5  # at growing intervals
    assert "direct reads" in lines[0].getMessage()
    assert "work again" in lines[-1].getMessage()
