"""Anything may happen to Firestore and to the service, in any order: every answer is one that the contract allows then.

The oracle is the history of commits. Time is virtual, so leases, outages and audits take as long as they do in
production. `make contract` tries many random runs instead of the few that are the same each time. Only the stream
listener runs here: `on_snapshot` has threads, whose time is nobody's to move.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

import grpc
import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from benchmarks.chaos.history import STATUSES, Query
from benchmarks.chaos.questions import Answered, Batch, Question
from tests.service.checked_service import EPOCH_US, LEASE_S, LIE_NOTICED_S, READS, CheckedService, checked_service
from tests.service.virtual_time import settle
from tests.service.virtual_time_loop import VirtualTimeLoop

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]

RECOVERED_S = 600.0
"""The longest back-off of the listener is 90 s; on a busy machine it takes more than one try."""

TRANSIENT = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED]

process_ids = st.sampled_from("abcdefg")
seconds = st.integers(0, 6)
changes = st.dictionaries(
    process_ids, st.none() | st.tuples(st.sampled_from(STATUSES), seconds), min_size=1, max_size=3
)
pauses = st.integers(0, 30) | st.none()
"""Turns of the loop, None: until everything is done that needs no time."""

known_versions = st.sampled_from((None, None, -1, -1, -2, 0, 1))
"""Which of a process's versions the client has seen, on this replica or another; -1 is the newest."""

max_ages = st.sampled_from((None, None, None, 0, 0, 1, 10))
instants = st.none() | seconds.map(lambda second: EPOCH_US + second * 1_000_000)
queries = st.builds(
    Query,
    st.integers(1, 4),
    st.sampled_from((None, None, *STATUSES)),
    instants,
    instants,
    after=st.none(),
    parent=st.none(),
)
codes = st.sampled_from(list(grpc.StatusCode))
rpcs = st.sampled_from((*READS, *READS, "Listen"))
calls = st.sampled_from((1, 2, None))

Changes = Mapping[str, tuple[str, int] | None]


class ContractMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.stack = AsyncExitStack()
        self.next_page: tuple[Query, str] | None = None
        self.lied_about = ""
        self.lie_is_over_at = 0.0
        self.is_sound = False

    @initialize(window_size=st.sampled_from((0, 4, 100)), changes=changes)
    def start(self, window_size: int, changes: Changes) -> None:
        self.window_size = window_size
        self.runner.run(self.started(changes))

    async def started(self, changes: Changes) -> None:
        self.service: CheckedService = await self.stack.enter_async_context(checked_service(self.window_size))
        self.service.commit(changes)
        self.is_sound = True

    def run(self, act: Callable[[], Coroutine[Any, Any, object]], pause: int | None = 0) -> None:
        async def run() -> None:
            await act()
            if pause is None:
                await self.service.loop.quiet()
            else:
                await settle(pause)
            self.judged(self.service.judge())

        self.is_sound = False
        self.runner.run(run())
        self.is_sound = True

    # -- what Firestore's users do

    @rule(changes=changes, pause=pauses)
    def commit(self, changes: Changes, pause: int | None) -> None:
        self.run(lambda: self.committed(changes), pause)

    @rule(many=st.lists(changes, min_size=2, max_size=5))
    def commit_in_a_row(self, many: list[Changes]) -> None:
        for each in many:
            self.run(lambda each=each: self.committed(each))  # type: ignore[misc]

    async def committed(self, changes: Changes) -> None:
        left = {process_id: change for process_id, change in changes.items() if process_id != self.untouchable}
        if left:
            self.service.commit(left)

    @rule(process_id=process_ids, pause=pauses)
    def beat(self, process_id: str, pause: int | None) -> None:
        """A heartbeat: a write that changes nothing that is answered."""
        self.run(lambda: self.beaten(process_id), pause)

    async def beaten(self, process_id: str) -> None:
        if process_id != self.untouchable:
            self.service.beat(process_id)

    @rule(process_id=process_ids, beats=st.integers(1, 3))
    def beat_while_a_client_waits(self, process_id: str, beats: int) -> None:
        """What the model has answered is known to it, whatever heartbeats come: no wait ends, and 304 stays 304."""

        async def waited() -> None:
            service = self.service
            await service.loop.quiet()
            service.ask(Question("status", process_id))
            first = (await service.answers())[-1]
            if (first.status, first.source) != (200, "HIT") or self.is_lying:
                return
            known = Question("status", process_id, int(first.etag[2:-1]), etag=first.etag)
            service.ask(known, wait_s=2)
            for _ in range(beats):
                await self.beaten(process_id)
                await service.loop.quiet()
            service.ask(known)
            for answer in await service.answers():
                assert (answer.status, answer.etag) == (304, first.etag) or answer.source != "HIT", answer

        self.run(waited)

    # -- what clients ask

    @rule(process_id=process_ids, status=st.sampled_from(STATUSES), second=seconds, is_stalled=st.booleans())
    def ask_for_what_another_replica_told_first(
        self, process_id: str, status: str, second: int, is_stalled: bool
    ) -> None:
        async def ask() -> None:
            if is_stalled and not self.is_lying:
                self.service.faults.stall_streams()
            await self.committed({process_id: (status, second)})
            version = self.known_version(process_id, -1)
            self.service.ask(Question("status", process_id, version, etag=self.etag(version, "status")))

        self.run(ask, None)

    @rule(
        asked=st.lists(process_ids, min_size=1, max_size=4),
        kind=st.sampled_from(("status", "status", "status", "products")),
        known=known_versions,
        max_age_s=max_ages,
        pause=pauses,
    )
    def ask(self, asked: list[str], kind: str, known: int | None, max_age_s: int | None, pause: int | None) -> None:
        for process_id in asked:
            version = self.known_version(process_id, known)
            self.ask_for(Question(kind, process_id, version, max_age_s, self.etag(version, kind)), pause)

    @rule(process_id=process_ids, known=known_versions, wait_s=st.integers(1, 20), pause=pauses)
    def wait(self, process_id: str, known: int | None, wait_s: int, pause: int | None) -> None:
        version = self.known_version(process_id, known)
        question = Question("status", process_id, version, etag=self.etag(version, "status"))
        self.ask_for(question, pause, wait_s=wait_s)

    @rule(query=queries, max_age_s=max_ages, knows=st.booleans(), pause=pauses)
    def ask_for_a_list(self, query: Query, max_age_s: int | None, knows: bool, pause: int | None) -> None:
        etag = next(reversed(self.service.lists), "") if knows else ""
        self.ask_for(Question("list", query, max_age_s=max_age_s, etag=etag), pause)

    @rule(max_age_s=max_ages, pause=pauses)
    def ask_for_the_next_page(self, max_age_s: int | None, pause: int | None) -> None:
        if self.next_page is None:
            return
        query, token = self.next_page
        self.ask_for(Question("list", query, max_age_s=max_age_s, token=token), pause)

    @rule(asked=st.lists(process_ids, min_size=1, max_size=4, unique=True), max_age_s=max_ages, pause=pauses)
    def ask_for_several(self, asked: list[str], max_age_s: int | None, pause: int | None) -> None:
        self.ask_for(Question("batch", Batch(tuple(asked)), max_age_s=max_age_s), pause)

    @rule()
    def read_the_answers(self) -> None:
        self.run(self.answered)

    async def answered(self) -> None:
        self.judged(await self.service.answers())

    def ask_for(self, question: Question, pause: int | None, *, wait_s: int | None = None) -> None:
        async def ask() -> None:
            self.service.ask(question, wait_s=wait_s)

        self.run(ask, pause)

    def known_version(self, process_id: str, known: int | None) -> int:
        """0 where there is none."""
        versions = self.service.versions(process_id)
        return 0 if known is None or not -len(versions) <= known < len(versions) else versions[known]

    @staticmethod
    def etag(version: int, kind: str) -> str:
        return f'"v{version}{"-p" if kind == "products" else ""}"' if version else ""

    def judged(self, answers: list[Answered]) -> None:
        """Note which page could be asked for next."""
        for answer in answers:
            query = answer.question.target
            if not isinstance(query, Query) or answer.status != 200:
                continue
            page = orjson.loads(answer.body)
            if page["next_page_token"] is not None:
                last = self.service.history.by_sequence[page["processes"][-1]["products_processed"]].written
                self.next_page = query._replace(after=(last.start_us, last.process_id)), page["next_page_token"]

    # -- what goes wrong

    @property
    def is_lying(self) -> bool:
        return self.service.loop.now < self.lie_is_over_at

    @property
    def untouchable(self) -> str:
        """The next word about it would set right what the lie made wrong."""
        return self.lied_about if self.is_lying else ""

    def break_(self, fault: Callable[[], object], pause: int | None) -> None:
        async def begin() -> None:
            if not self.is_lying:
                fault()

        self.run(begin, pause)

    @rule(code=codes, after=st.integers(0, 5), new_streams=st.integers(0, 1), pause=pauses)
    def end_the_stream(self, code: grpc.StatusCode, after: int, new_streams: int, pause: int | None) -> None:
        self.break_(lambda: self.service.faults.end_streams(code, after_messages=after, new_streams=new_streams), pause)

    @rule(existing=st.booleans(), new=st.booleans(), pause=pauses)
    def stall_streams(self, existing: bool, new: bool, pause: int | None) -> None:
        self.break_(lambda: self.service.faults.stall_streams(existing=existing, new=new), pause)

    @rule(code=codes, pause=pauses)
    def remove_the_target(self, code: grpc.StatusCode, pause: int | None) -> None:
        self.break_(lambda: self.service.faults.remove_targets(code), pause)

    @rule(pause=pauses)
    def reset(self, pause: int | None) -> None:
        self.break_(self.service.faults.send_reset, pause)

    @rule(off_by=st.integers(-1, 1), pause=pauses)
    def send_a_filter(self, off_by: int, pause: int | None) -> None:
        self.break_(lambda: self.service.faults.send_existence_filter(off_by=off_by), pause)

    @rule(pause=pauses)
    def expire_tokens(self, pause: int | None) -> None:
        self.break_(self.service.faults.expire_tokens, pause)

    @rule(rpc=rpcs, code=st.sampled_from(TRANSIENT), calls=calls, pause=pauses)
    def fail_calls(self, rpc: str, code: grpc.StatusCode, calls: int | None, pause: int | None) -> None:
        self.break_calls(rpc, lambda: self.service.faults.fail_calls(rpc, code, calls=calls), pause)

    @rule(rpc=rpcs, delay_s=st.sampled_from((0.05, 0.9, 4.0, 7.0)), calls=calls, pause=pauses)
    def delay_calls(self, rpc: str, delay_s: float, calls: int | None, pause: int | None) -> None:
        self.break_calls(rpc, lambda: self.service.faults.delay_calls(rpc, delay_s, calls=calls), pause)

    @rule(rpc=rpcs, calls=calls, pause=pauses)
    def hold_calls(self, rpc: str, calls: int | None, pause: int | None) -> None:
        self.break_calls(rpc, lambda: self.service.faults.hold_calls(rpc, calls=calls), pause)

    @rule(rpc=st.sampled_from(READS), calls=calls, pause=pauses)
    def hold_answers(self, rpc: str, calls: int | None, pause: int | None) -> None:
        self.break_calls(rpc, lambda: self.service.faults.hold_answers(rpc, calls=calls), pause)

    @rule(
        process_id=process_ids,
        kind=st.sampled_from(("status", "products")),
        known=known_versions,
        meanwhile=st.lists(changes, min_size=1, max_size=2),
        becomes=st.none() | st.tuples(st.sampled_from(STATUSES), seconds),
        pause=pauses,
    )
    def let_a_read_land_late(
        self,
        process_id: str,
        kind: str,
        known: int | None,
        meanwhile: list[Changes],
        becomes: tuple[str, int] | None,
        pause: int | None,
    ) -> None:
        """It has been read; before it is told, the process changes or goes, and the listener hears of it."""

        async def land_late() -> None:
            if self.is_lying:
                return
            service, version = self.service, self.known_version(process_id, known)
            service.reads_in_trouble()
            with service.faults.hold_answers("BatchGetDocuments", calls=1):
                service.ask(Question(kind, process_id, version, etag=self.etag(version, kind)))
                await service.loop.quiet()
                for each in (*meanwhile, {process_id: becomes}):
                    await self.committed(each)
                    await service.loop.quiet()

        self.run(land_late, pause)

    def break_calls(self, rpc: str, fault: Callable[[], object], pause: int | None) -> None:
        def begin() -> None:
            if rpc in READS:
                self.service.reads_in_trouble()
            fault()

        self.break_(begin, pause)

    @rule(pause=pauses)
    def heal(self, pause: int | None) -> None:
        self.break_(self.service.heal, pause)

    @rule(passing_s=st.sampled_from((0.05, 0.6, 1.1, 5.1, 16.0)))
    def let_time_pass(self, passing_s: float) -> None:
        self.run(lambda: asyncio.sleep(passing_s))

    @rule(frozen_s=st.sampled_from((0.9, 4.0, 14.0, 16.0, 41.0, 4000.0)), changes=changes, pause=pauses)
    def freeze(self, frozen_s: float, changes: Changes, pause: int | None) -> None:
        """SIGSTOP, a commit, SIGCONT."""

        async def frozen() -> None:
            if self.is_lying:
                return
            self.service.freeze(frozen_s / 2)
            await self.committed(changes)
            self.service.freeze(frozen_s / 2)

        self.run(frozen, pause)

    @rule(process_id=process_ids, status=st.sampled_from(STATUSES), is_deletion=st.booleans(), pause=pauses)
    def lie(self, process_id: str, status: str, is_deletion: bool, pause: int | None) -> None:
        """Commit something that the listener is told nothing of, though it is told that all is well.

        Nothing else goes wrong until the audit must have noticed.
        """
        present = self.service.present()
        if self.is_lying or process_id not in present:
            return
        change = None if is_deletion else (status, (present[process_id].start_us - EPOCH_US) // 1_000_000)
        self.run(lambda: self.lied(process_id, change), pause)

    async def lied(self, process_id: str, change: tuple[str, int] | None) -> None:
        self.service.heal()
        await asyncio.sleep(LEASE_S)
        with self.service.faults.drop_deltas(1):
            self.service.commit({process_id: change}, is_hidden=True)
        self.lied_about, self.lie_is_over_at = process_id, self.service.loop.now + LIE_NOTICED_S

    # -- when all is well again

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self.run(self.recovered)
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()

    async def recovered(self) -> None:
        self.service.heal()
        await self.service.answers()
        if self.is_lying:
            await asyncio.sleep(LIE_NOTICED_S + LEASE_S)  # so that no Age reaches back to when it was excused
            self.service.ask(Question("status", self.lied_about))
        version = self.service.commit({"a": ("running", 9)})
        await self.service.until_hit("a", version, RECOVERED_S)
        await self.service.strong(Question("list", Query(100)))


TestContractMachine = ContractMachine.TestCase
TestContractMachine.settings = settings(
    max_examples=int(os.environ.get("CONTRACT_EXAMPLES", "20")),
    stateful_step_count=25,
    derandomize="CONTRACT_EXAMPLES" not in os.environ,
    phases=[Phase.generate],  # a run is not the same twice to the microsecond: nothing to make smaller
    suppress_health_check=list(HealthCheck),
)
