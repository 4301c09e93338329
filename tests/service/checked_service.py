"""A whole service on a local Firestore, both in one loop of virtual time, and every answer judged by the history.

The client library, gRPC and HTTP are real; only time is not. Firestore's clock shows another time than the service's.
Answers are judged by the chaos run's checker; what is added here can be said only where it is known what goes wrong and
when: `STALE` and 503 are excused by nothing but direct reads in trouble, and nothing answered is older than what
the listener has told.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
import grpc.aio
import pytest

from benchmarks.chaos.checker import Bounds, Checker
from benchmarks.chaos.history import History, Written
from benchmarks.chaos.questions import Answered, Question
from service.local_firestore import LocalFirestore
from service.local_firestore.clock import Clock
from service.reads.audit import SETTLE_S
from tests.service.heard import Heard
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.virtual_time_loop import VirtualTimeLoop

PROJECT = "contract"
EPOCH_US = 1_700_000_000_000_000
"""What Firestore's clock shows when the service's shows 0."""

LEASE_S, CACHE_TTL_S, NEGATIVE_TTL_S, STALE_IF_ERROR_S, FIRESTORE_TIMEOUT_S, AUDIT_S = 15.0, 5.0, 1.0, 40.0, 5.0, 30.0
LIE_NOTICED_S = 2 * (1.1 * AUDIT_S + SETTLE_S + FIRESTORE_TIMEOUT_S) + 1.0
"""One audit may just have read, or be trying to; it waits for what it found to settle; the next one finds the lie."""

TICK_S = 0.002
"""Between any two things that are done: more than the checker takes two clocks to differ by."""

PATIENT = aiohttp.ClientTimeout()
"""A client that never gives up: it is not frozen with the service."""

READS = ("BatchGetDocuments", "RunQuery")


@dataclass(eq=False)
class Asked:
    """A question under way."""

    question: Question
    task: "asyncio.Task[Answered]"
    commits: int
    is_excused: bool
    is_wait: bool


class CheckedService:
    """What the machine does to both of them, and asks."""

    running: RunningService

    def __init__(self, firestore: LocalFirestore, loop: VirtualTimeLoop, window_size: int) -> None:
        self.faults = firestore.faults
        self.history = History(int(LIE_NOTICED_S * 1_000_000), window_size)
        self.checker = Checker(self.history, Bounds(LEASE_S, CACHE_TTL_S, STALE_IF_ERROR_S, math.inf))
        self.loop = loop
        self.heard = Heard(self.history, self.now_us)
        self._database = firestore.database(PROJECT)
        self.lists: dict[str, bytes] = {}
        """The bodies of the lists that were answered, by their ETags."""
        self._sequence = 0
        self._under_way: list[Asked] = []
        self._trouble_until = float("-inf")
        self._commits = 0

    # -- Firestore's writers

    def commit(self, changes: Mapping[str, tuple[str, int] | None], *, is_hidden: bool = False) -> int:
        """One commit: process ID → status and start, None deletes. Returns its time."""
        self.tick()
        written = {}
        for process_id, change in changes.items():
            if change is None:
                written[process_id] = Written(0, process_id, 0, is_hidden=is_hidden)
            else:
                self._sequence += 1
                status, second = change
                start_us = EPOCH_US + second * 1_000_000
                written[process_id] = Written(0, process_id, self._sequence, status, start_us, is_hidden)
        time_us = self._database.commit_plain(
            {f"{COLLECTION}/{id_}": each.fields() if each.sequence else None for id_, each in written.items()}
        )
        self.history.add(each._replace(time_us=time_us) for each in written.values())
        self._commits += 1
        return time_us

    def beat(self, process_id: str) -> None:
        """A commit that changes nothing that is answered, where the process exists."""
        written = self.present().get(process_id)
        if written is None:
            return
        self.tick()
        beat = written._replace(time_us=self.now_us())
        time_us = self._database.commit_plain({f"{COLLECTION}/{process_id}": beat.fields()})
        self.history.add([beat._replace(time_us=time_us)])

    def versions(self, process_id: str) -> list[int]:
        """The update times of all its documents."""
        return [version for id_, version in self.history.by_version if id_ == process_id]

    def present(self) -> dict[str, Written]:
        """What is there now."""
        newest = {process_id: versions[-1] for process_id, versions in self.history.versions.items()}
        return {process_id: version.written for process_id, version in newest.items() if version.exists}

    # -- time

    def now_us(self) -> int:
        """Firestore's clock."""
        return EPOCH_US + int(self.loop.now * 1_000_000)

    def may_time_pass(self) -> bool:
        """Not while there are direct reads that nothing is wrong with: they take no time."""
        return self.may_reads_fail() or not any(task.get_name().startswith("read ") for task in asyncio.all_tasks())

    def tick(self) -> None:
        self.loop.now += TICK_S

    def freeze(self, seconds: float) -> None:
        """Nobody gets to run meanwhile; what it makes of reads under way is nobody's fault."""
        self.loop.now += seconds
        self.reads_in_trouble()

    def may_reads_fail(self) -> bool:
        """Those that begin now, and those that share one that began before."""
        return self._are_reads_failing() or self.loop.now <= self._trouble_until + FIRESTORE_TIMEOUT_S

    def reads_in_trouble(self) -> None:
        """Direct reads that are under way may fail, and those that share them."""
        self._trouble_until = self.loop.now
        for asked in self._under_way:
            asked.is_excused = True

    def heal(self) -> None:
        """End every fault."""
        if self._are_reads_failing():
            self.reads_in_trouble()
        self.faults.release_all()

    def _are_reads_failing(self) -> bool:
        """Noted with its time, for what a fault strikes last is tried again when the fault is over."""
        is_failing = any(getattr(fault, "rpc", None) in READS for fault in self.faults.active)
        if is_failing:
            self._trouble_until = self.loop.now
        return is_failing

    # -- questions

    def ask(self, question: Question, *, wait_s: int | None = None) -> None:
        """Begin to ask; what comes of it is judged in `answers`."""
        self.tick()
        task = asyncio.create_task(self._answered(question, wait_s))
        self._under_way.append(Asked(question, task, self._commits, self.may_reads_fail(), wait_s is not None))

    async def _answered(self, question: Question, wait_s: int | None) -> Answered:
        """The age of what ends a wait counts from then, unless it was read, for the wait and since it began."""
        sent_us = self.now_us()
        wait = "" if wait_s is None else f"?wait={wait_s}"
        reply = await self.running.get(question.path + wait, headers=question.headers, timeout=PATIENT)
        headers, received_us = reply.headers, self.now_us()
        return Answered(
            question,
            sent_us if wait_s is None or headers.get("X-Cache") == "MISS" else received_us,
            received_us,
            reply.status,
            headers.get("X-Cache", ""),
            int(headers.get("Age", "-1")),
            headers.get("ETag", ""),
            "Retry-After" in headers,
            self.lists[question.etag] if reply.status == 304 and question.kind == "list" else reply.body,
        )

    async def answers(self) -> list[Answered]:
        """Wait for all that was asked, and judge it."""
        await asyncio.gather(*(asked.task for asked in self._under_way))
        return self.judge()

    def judge(self) -> list[Answered]:
        """Judge the answers that have come."""
        done = [asked for asked in self._under_way if asked.task.done()]
        self._under_way = [asked for asked in self._under_way if not asked.task.done()]
        return [self._judged(asked) for asked in done]

    def _judged(self, asked: Asked) -> Answered:
        answer = asked.task.result()
        self.checker.check(answer)
        assert not self.checker.verdicts.forbidden, self.checker.verdicts.examples
        assert not self.heard.answered_older, self.heard.answered_older
        if answer.status == 503 or answer.source == "STALE":
            is_overtaken = self._commits - asked.commits >= 3 and answer.status == 503
            assert asked.is_excused or is_overtaken, f"Firestore could be read: {answer}"
        if (answer.status, answer.source) == (404, "CACHED"):
            assert answer.age_s <= NEGATIVE_TTL_S, answer
        if (answer.status, answer.source) == (404, "HIT") and not asked.is_wait:  # who waits is told of deletions
            assert self.running.service.model.holds_everything, f"a window proves no absence: {answer}"
        if answer.question.kind == "list" and answer.status == 200:
            self.lists[answer.etag] = answer.body
        return answer

    async def strong(self, question: Question) -> Answered:
        """The answer, of now."""
        self.ask(question._replace(max_age_s=0))
        return (await self.answers())[-1]

    async def until_hit(self, process_id: str, version: int, patience_s: float) -> None:
        """Raises: AssertionError where the model does not answer with this version in time."""
        deadline = self.loop.now + patience_s
        while True:
            self.ask(Question("status", process_id))
            answer = (await self.answers())[-1]
            if (answer.source, answer.etag) == ("HIT", f'"v{version}"'):
                return
            assert self.loop.now < deadline, f"not recovered: {answer}, {self.running.service.supervisor!r}"
            await asyncio.sleep(1)


@asynccontextmanager
async def checked_service(window_size: int) -> AsyncIterator[CheckedService]:
    """Both of them, started; the loop must be a VirtualTimeLoop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    clock = Clock(lambda: EPOCH_US + int(loop.now * 1_000_000))
    async with (
        LocalFirestore(clock=clock) as firestore,
        grpc.aio.insecure_channel(firestore.host) as channel,
        AsyncExitStack() as stack,
    ):
        service = CheckedService(firestore, loop, window_size)
        passing = asyncio.create_task(loop.pass_time(lambda: _fence(channel), service.may_time_pass))
        stack.callback(passing.cancel)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
        service.heard.watch_answers(patch)
        service.running = await stack.enter_async_context(
            running_service(
                firestore.host,
                PROJECT,
                clock=loop.time,
                window_size=window_size,
                listener_lease_s=LEASE_S,
                cache_ttl_s=CACHE_TTL_S,
                negative_ttl_s=NEGATIVE_TTL_S,
                stale_if_error_s=STALE_IF_ERROR_S,
                firestore_timeout_s=FIRESTORE_TIMEOUT_S,
                audit_interval_s=AUDIT_S,
                audit_sample=100,
                stalled_after_s=0,  # its checks, four a second, are most of what virtual time costs
            )
        )
        service.heard.listen(service.running.service.model)
        yield service


async def _fence(channel: grpc.aio.Channel) -> None:
    """A call that no fault is for."""
    with suppress(grpc.aio.AioRpcError):
        await channel.unary_unary("/google.firestore.v1.Firestore/Fence")(b"")
