"""Whatever Firestore does, an answer is there within FIRESTORE_TIMEOUT_S, waits for proofs and other reads included."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from benchmarks.chaos.history import Query
from benchmarks.chaos.questions import Answered, Batch, Question
from tests.service.checked_service import FIRESTORE_TIMEOUT_S, CheckedService, checked_service
from tests.service.virtual_time_loop import VirtualTimeLoop

ONE = Question("status", "a")
LIST = Question("list", Query(10))
BATCH = Question("batch", Batch(("a", "b")))
READ_BY = {ONE: "BatchGetDocuments", LIST: "RunQuery", BATCH: "BatchGetDocuments"}


def in_virtual_time(scenario: Callable[[CheckedService], Awaitable[None]]) -> None:
    """Run it on a service that holds one process and trusts its model."""

    async def run() -> None:
        async with checked_service(window_size=0) as service:
            await service.until_hit("a", service.commit({"a": ("running", 1)}), patience_s=60)
            await scenario(service)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


def took_s(answer: Answered) -> float:
    return (answer.received_us - answer.sent_us) / 1_000_000


@pytest.mark.parametrize("question", [ONE, LIST, BATCH])
def test_a_strong_read_that_nobody_answers_ends_in_time(question: Question) -> None:
    async def scenario(service: CheckedService) -> None:
        service.faults.stall_streams()
        service.faults.hold_calls(READ_BY[question])
        answer = await service.strong(question)
        assert answer.status == 503
        assert took_s(answer) == pytest.approx(FIRESTORE_TIMEOUT_S, abs=0.1)

    in_virtual_time(scenario)


@pytest.mark.parametrize("question", [ONE, LIST, BATCH])
def test_a_stalled_stream_leaves_a_strong_read_the_time_to_be_read(question: Question) -> None:
    async def scenario(service: CheckedService) -> None:
        service.faults.stall_streams()
        answer = await service.strong(question)
        assert (answer.status, answer.source) == (200, "MISS")
        assert took_s(answer) == pytest.approx(FIRESTORE_TIMEOUT_S / 2, abs=0.1)

    in_virtual_time(scenario)


@pytest.mark.parametrize("question", [ONE, LIST, BATCH])
def test_waiting_for_an_older_read_counts(question: Question) -> None:
    async def scenario(service: CheckedService) -> None:
        service.faults.end_streams(grpc.StatusCode.UNAVAILABLE, new_streams=1000)
        service.faults.hold_calls(READ_BY[question])
        await asyncio.sleep(1)  # the listener is not live: nothing to wait for before the read
        service.ask(question._replace(max_age_s=0))
        await asyncio.sleep(FIRESTORE_TIMEOUT_S - 1)
        later = await service.strong(question)
        assert later.status == 503
        assert took_s(later) == pytest.approx(FIRESTORE_TIMEOUT_S, abs=0.1)

    in_virtual_time(scenario)


def test_a_read_that_fails_once_is_tried_again() -> None:
    async def scenario(service: CheckedService) -> None:
        service.faults.fail_calls(READ_BY[ONE], grpc.StatusCode.INTERNAL)
        await asyncio.sleep(FIRESTORE_TIMEOUT_S + 1)
        service.ask(Question("products", "a"))
        (answer,) = await service.answers()
        assert (answer.status, answer.source) == (200, "MISS")
        assert 0 < took_s(answer) < FIRESTORE_TIMEOUT_S

    in_virtual_time(scenario)


@pytest.mark.parametrize("question", [ONE, LIST, BATCH])
def test_strong_reads_behind_unanswered_probes_each_end_in_time(question: Question) -> None:
    async def scenario(service: CheckedService) -> None:
        service.faults.stall_streams()
        for _ in range(4):  # two probes stay out; before, the later reads waited for the stream's end
            for _ in range(3):
                service.ask(question._replace(max_age_s=0))
            await asyncio.sleep(1)
        for answer in await service.answers():
            assert (answer.status, answer.source) == (200, "MISS")
            assert took_s(answer) <= FIRESTORE_TIMEOUT_S / 2 + 0.1

    in_virtual_time(scenario)
