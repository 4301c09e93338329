"""Anything may happen to a stream, in any order. At every consistent point the consumer, and whoever follows a
document, holds exactly what Firestore held at its read time; when all has settled, what it holds now. The oracle is
the server's own history of commits.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from listeners.events import Document, Event, Replaced
from listeners.listener import CannotConfirm
from listeners.stream.document_targets import DocumentTarget
from service.local_firestore import LocalFirestore
from tests.listeners.listening import Consumer
from tests.listeners.streams import keep_listening, stream_listener, turns

pytestmark = pytest.mark.thorough

WINDOW_SIZE = 3
PROBE_INTERVAL_S = 0.04

Fields = Mapping[str, object]

document_ids = st.sampled_from("abcdefg")
start_times = st.one_of(
    st.integers(0, 5).map(lambda second: datetime(2024, 5, 1, 12, 0, second, tzinfo=UTC)),
    st.sampled_from(["2024-05-01T12:00:00Z", None]),
)
documents = st.none() | st.fixed_dictionaries({"start_time": start_times, "status": st.sampled_from("xyz")})
commits = st.dictionaries(document_ids, documents, min_size=1, max_size=4)
codes = st.sampled_from(list(grpc.StatusCode))
pauses = st.integers(0, 40)


class Oracle(Consumer):
    """A consumer that compares what it holds with what Firestore held."""

    def __init__(self, server: LocalFirestore) -> None:
        super().__init__(clock=time.monotonic)
        self.database = server.database("p")
        self.is_in_doubt = False
        self.has_lost = False

    def collection_at(self, read_time: int) -> dict[str, tuple[Fields, int]]:
        """ID → fields and update time of all documents at this time."""
        newest: dict[str, tuple[Fields, int]] = {}
        for commit_time, changes in self.database.history("jobs"):
            if commit_time > read_time:
                break
            for document_id, fields in changes.items():
                newest.pop(document_id, None)
                if fields is not None:
                    newest[document_id] = (fields, commit_time)
        return newest

    def version_at(self, document_id: str, read_time: int) -> int | None:
        """The update time of a document at this time; None where there was none."""
        _, update_time = self.collection_at(read_time).get(document_id, (None, None))
        return update_time

    def window_at(self, read_time: int) -> dict[str, int]:
        """ID → update time of the documents that the query has at this time."""
        newest = self.collection_at(read_time)
        listed = [
            (start_time, document_id)
            for document_id, (fields, _) in newest.items()
            if isinstance(start_time := fields["start_time"], datetime)
        ]
        return {document_id: newest[document_id][1] for _, document_id in sorted(listed, reverse=True)[:WINDOW_SIZE]}

    def versions(self) -> dict[str, int]:
        return {document_id: document.update_time for document_id, document in self.held.items()}

    async def apply(self, event: Event) -> None:
        await super().apply(event)
        self.is_in_doubt = self.has_lost or (self.is_in_doubt and not isinstance(event, Replaced))
        if not self.is_in_doubt:
            assert self.versions() == self.window_at(event.read_time), event

    def assert_up_to_date(self) -> None:
        assert self.versions() == self.window_at(self.database.clock.now())


class Follower:
    """Compares what it is told of one document with what Firestore held; what it objects to is kept for the machine."""

    def __init__(self, oracle: Oracle, document_id: str) -> None:
        self._oracle = oracle
        self._document_id = document_id
        self._version: int | None = None
        self.objections: list[object] = []
        self.has_heard = False

    def hear(self, document: Document | None, read_time: int, as_of: float) -> None:
        self.has_heard = True
        self._version = None if document is None else document.update_time
        if self._oracle.has_lost:
            return
        if self._version != self._oracle.version_at(self._document_id, read_time) or as_of > time.monotonic():
            self.objections.append((self._document_id, document, read_time, as_of))

    def assert_is_right(self) -> None:
        assert self.objections == []

    def assert_up_to_date(self) -> None:
        assert self.has_heard
        assert self._version == self._oracle.version_at(self._document_id, self._oracle.database.clock.now())


class ListenMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.followers: dict[str, Follower] = {}
        self.following: dict[str, DocumentTarget] = {}
        self.runner = asyncio.Runner()
        self.failures: list[str] = []
        self.run(self.start())

    def run(self, coroutine: Awaitable[None]) -> None:
        async def run() -> None:
            await coroutine
            if self.listening.done():
                self.listening.result()  # what the oracle found
            for follower in self.followers.values():
                follower.assert_is_right()

        self.runner.run(run())

    async def start(self) -> None:
        self.server = await LocalFirestore(max_history=10_000).start()
        self.oracle = Oracle(self.server)
        self.listener = stream_listener(
            self.server.host, "p", size=WINDOW_SIZE, clock=time.monotonic, probe_interval_s=PROBE_INTERVAL_S
        )
        self.listening = asyncio.create_task(keep_listening(self.listener, self.oracle, self.failures))

    # -- what Firestore's users do

    @rule(changes=commits, pause=pauses)
    def commit(self, changes: dict[str, Fields | None], pause: int) -> None:
        self.run(self.committed(changes, pause))

    @rule(many=st.lists(commits, min_size=2, max_size=6))
    def commit_in_a_row(self, many: list[dict[str, Fields | None]]) -> None:
        for changes in many:
            self.run(self.committed(changes, 0))

    async def committed(self, changes: dict[str, Fields | None], pause: int) -> None:
        self.oracle.database.commit_plain({f"jobs/{name}": fields for name, fields in changes.items()})
        await turns(pause)

    @rule(askers=st.integers(1, 3))
    def confirm(self, askers: int) -> None:
        self.run(self.confirmed(askers))

    async def confirmed(self, askers: int) -> None:
        answers = await asyncio.gather(*(self.listener.confirm() for _ in range(askers)), return_exceptions=True)
        for answer in answers:
            assert isinstance(answer, float | CannotConfirm)
        if isinstance(answers[0], float) and not self.oracle.is_in_doubt:
            self.oracle.assert_up_to_date()

    # -- who follows

    @rule(document_id=document_ids, pause=pauses)
    def follow_or_let_go(self, document_id: str, pause: int) -> None:
        self.run(self.do(lambda: self.followed_or_let_go(document_id), pause))

    def followed_or_let_go(self, document_id: str) -> None:
        if document_id in self.following:
            self.following.pop(document_id).release()
            del self.followers[document_id]
            return
        follower = self.followers[document_id] = Follower(self.oracle, document_id)
        following = self.listener.documents.follow(document_id, follower.hear)
        assert following is not None
        self.following[document_id] = following

    @rule(document_id=document_ids, code=codes, pause=pauses)
    def remove_a_documents_target(self, document_id: str, code: grpc.StatusCode, pause: int) -> None:
        faults = self.server.faults
        self.run(self.do(lambda: faults.remove_targets(code, document=f"jobs/{document_id}"), pause))

    @rule(document_id=document_ids, pause=pauses)
    def reset_a_documents_target(self, document_id: str, pause: int) -> None:
        self.run(self.do(lambda: self.server.faults.send_reset(document=f"jobs/{document_id}"), pause))

    # -- what happens to streams

    @rule(code=codes, after=st.integers(0, 5), pause=pauses)
    def end_the_stream(self, code: grpc.StatusCode, after: int, pause: int) -> None:
        self.run(self.do(lambda: self.server.faults.end_streams(code, after_messages=after), pause))

    @rule(code=codes, pause=pauses)
    def remove_the_target(self, code: grpc.StatusCode, pause: int) -> None:
        self.run(self.do(lambda: self.server.faults.remove_targets(code), pause))

    @rule(pause=pauses)
    def reset(self, pause: int) -> None:
        self.run(self.do(self.server.faults.send_reset, pause))

    @rule(pause=pauses)
    def expire_tokens(self, pause: int) -> None:
        self.run(self.do(self.server.faults.expire_tokens, pause))

    @rule(off_by=st.integers(-1, 1), pause=pauses)
    def filter(self, off_by: int, pause: int) -> None:
        self.run(self.do(lambda: self.server.faults.send_existence_filter(off_by=off_by), pause))

    @rule(pause=pauses)
    def stall(self, pause: int) -> None:
        self.run(self.do(lambda: self.server.faults.stall_streams(new=False), pause))

    @rule(pause=pauses)
    def release(self, pause: int) -> None:
        self.run(self.do(self.server.faults.release_all, pause))

    async def do(self, fault: Callable[[], object], pause: int) -> None:
        fault()
        await turns(pause)

    @rule(changes=commits)
    def lose_a_change_and_be_told_so(self, changes: dict[str, Fields | None]) -> None:
        """What an audit would find out."""
        self.run(self.lost(changes))

    async def lost(self, changes: dict[str, Fields | None]) -> None:
        self.oracle.is_in_doubt = self.oracle.has_lost = True
        with self.server.faults.drop_deltas(1):
            await self.committed(changes, 5)
        self.listener.forget()
        self.oracle.has_lost = False  # what is told from now on is told from the start

    # -- when all has settled

    def teardown(self) -> None:
        try:
            self.run(self.settled())
        finally:
            self.runner.run(self.stop())
            self.runner.close()

    async def settled(self) -> None:
        self.server.faults.release_all()
        if await self.until_confirmed() and not self.oracle.is_in_doubt:
            self.oracle.assert_up_to_date()
        self.server.faults.end_streams()  # a target that was refused is added to the next one, or long after this test
        if await self.until_confirmed():
            for follower in self.followers.values():
                follower.assert_up_to_date()

    async def until_confirmed(self) -> bool:
        """False where the oracle has ended it all."""
        async with asyncio.timeout(20):
            while not self.listening.done():
                try:
                    await self.listener.confirm()
                except CannotConfirm:
                    await asyncio.sleep(0)
                else:
                    return True
        return False

    async def stop(self) -> None:
        self.listening.cancel()
        await asyncio.wait({self.listening})
        await self.server.stop()


TestListenMachine = ListenMachine.TestCase
TestListenMachine.settings = settings(
    max_examples=int(os.environ.get("LISTEN_EXAMPLES", "20")),
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
