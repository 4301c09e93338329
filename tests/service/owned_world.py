"""All that is below HTTP, over a Firestore that is a dictionary: time, documents and the listener are moved by hand.

Everything that a caller gets is noted as it was got, so that two worlds, or a world and an oracle, can be compared.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from listeners.events import Changed, Document, Removal, Replaced
from listeners.times import moment
from service.api.caller import Caller
from service.api.list_query import Filters, ListQuery
from service.api.waits import Wanted
from service.errors import BudgetExhausted, ReadRefused, Unreachable
from service.model.indexes import fits
from service.model.read_model import ReadModel
from service.reads.answers import Answer, Answers
from service.reads.budget import Budget
from service.reads.circuit import Circuit
from service.reads.firestore_reader import PROOF_ID, FirestoreReader, Read, ReadRows
from service.reads.read_cache import CacheLimits
from service.reads.read_through import ReadThrough
from service.reads.statistics import StatisticsReads
from service.runtime.slicer import Slicer
from service.schema.children import with_children
from service.schema.compiled import ProcessSummary, Schema
from service.watch.long_poll_waiter import WaitCondition
from service.watch.long_polls import LongPolls
from service.watch.model_stream import ModelStream
from service.watch.process_stream import ProcessStream
from service.watch.resuming import Resuming
from service.watch.watchers import Watchers, WatchOptions
from tests.service.schemas import with_owner
from tests.service.scripted_firestore import ScriptedListener
from tests.service.virtual_time import Clock, settle
from tests.service.watch.watched import Documents, Observer, Reader, Timers

OWNED = Schema(with_owner())
TICK_US = 1_000


class StoredReader(FirestoreReader):
    """Reads the dictionary. `calls` are the direct reads made, in order."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.proof_key = PROOF_ID
        self.calls: list[tuple[object, ...]] = []
        self.is_open = asyncio.Event()
        """Reads under way end while this is set."""
        self.is_open.set()

    async def get(
        self,
        process_id: str,
        *,
        children: Sequence[str] = (),
        shows: Callable[[ProcessSummary], bool] = lambda _: True,
    ) -> Read:
        await self._begin("get", process_id)
        read = self._stored(process_id)
        if children and read.summary is not None and shows(read.summary):
            self.calls.append(("children", process_id))
            return Read(
                read.summary, with_children(read.body, dict.fromkeys(children, b"[]")), read.read_time, read.as_of, 2
            )
        return read

    async def get_many(self, process_ids: Sequence[str]) -> dict[str, Read]:
        await self._begin("get_many", *process_ids)
        return {process_id: self._stored(process_id) for process_id in process_ids}

    async def rows(self, query: ListQuery, *, billed_as: str = "list") -> ReadRows:
        await self._begin("rows", query)
        indexes = self._world.model.indexes
        found = [each for each in map(self._world.summary, self._world.stored) if each is not None]
        rows = [row for row in found if row.position is not None and fits(indexes, row, query.filters)]
        rows.sort(key=lambda row: row.position or (0, ""), reverse=True)
        following = [row for row in rows if query.after is None or (row.position or (0, "")) < query.after]
        return ReadRows(following[: query.limit], max(1, len(following[: query.limit])))

    async def _begin(self, *call: object) -> None:
        self.calls.append(call)
        await self.is_open.wait()
        if self._world.is_down:
            raise Unreachable("the test says so")

    def _stored(self, process_id: str) -> Read:
        found = self._world.summary(process_id)
        return Read(found, b"" if found is None else found.body, self._world.now_us, self._world.clock())


@dataclass(eq=False)
class Watching:
    """A stream, and what came of it. `ask` begins it."""

    stream: ProcessStream | ModelStream
    reader: Reader
    caller: Caller
    leave: Callable[[], None]
    mirror: dict[str, int] = field(default_factory=dict)
    """The version by process ID, as a client believes that they are."""


class World:
    """See above. `window_size` 0: the model holds everything."""

    def __init__(self, window_size: int) -> None:
        self.clock = Clock()
        self.now_us = 1_000_000_000
        self.is_down = False
        self.stored: dict[str, dict[str, object]] = {}
        self.versions: dict[str, int] = {}
        self.owners: dict[tuple[str, int], object] = {}
        """Whose each version of each process was."""
        self.window_size = window_size
        self.model = ReadModel(window_size=window_size, schema=OWNED, lease_s=15, clock=self.clock, observer=Observer())
        self.reader = StoredReader(self)
        self.budget = Budget(64, 1e9, clock=self.clock)
        self.reads = ReadThrough(
            self.reader,
            self.model,
            self.budget,
            Circuit(clock=self.clock, rng=Random(1)),
            CacheLimits(5, 1, 300, 1_000_000),
            clock=self.clock,
        )
        listener = ScriptedListener()
        self.answers = Answers(self.model, self.reads, listener, clock=self.clock, stale_if_error_s=300, timeout_s=60)
        self.timers, self.documents = Timers(self.clock), Documents()
        self.turns: list[Callable[[], None]] = []
        self.watchers = Watchers(
            self.model,
            self.documents,
            self.reads,
            Slicer(self.turns.append),
            WatchOptions(10_000, OWNED),
            call_later=self.timers.call_later,
            observer=Observer(),
            rng=Random(1),
            epoch_clock=self.clock,
        )
        self.polls = LongPolls(self.answers, self.watchers, self.model, clock=self.clock, lease_s=15)
        self.statistics = StatisticsReads(self.model, self.answers, OWNED.order, clock=self.clock, stale_if_error_s=300)
        self.resuming = Resuming(self.model, self.polls, listener)

    async def load(self) -> "World":
        """The first whole result."""
        await self.model.apply(Replaced(self._window(), self.now_us, self.clock()))
        await self.run()
        return self

    # -- Firestore

    def write(self, process_id: str, owner: object, status: str = "running") -> None:
        """A new version, whose content no other has."""
        self.now_us += TICK_US
        version = self.versions[process_id] = self.now_us
        start = moment(1_000_000 + sum(map(ord, process_id)))
        self.stored[process_id] = {"owner": owner, "status": status, "start_time": start, "products_failed": version}
        self.owners[process_id, version] = owner

    def delete(self, process_id: str) -> None:
        """Without effect where it is not there."""
        self.now_us += TICK_US
        self.stored.pop(process_id, None)

    def owner(self, process_id: str) -> object:
        """Whose it is now."""
        return self.stored.get(process_id, {}).get("owner")

    def sees(self, caller: Caller, process_id: str) -> bool:
        """Whether it is there, and the caller's."""
        return process_id in self.stored and caller.owner in (None, self.owner(process_id))

    def summary(self, process_id: str) -> ProcessSummary | None:
        """As it is now."""
        document = self._document(process_id)
        return None if document is None else OWNED.summarize(document.id, document.update_time, document.fields)[0]

    def _document(self, process_id: str) -> Document | None:
        fields = self.stored.get(process_id)
        return None if fields is None else Document(process_id, self.versions[process_id], fields)

    def _window(self) -> list[Document]:
        found = [each for each in map(self._document, self.stored) if each is not None]
        found.sort(key=lambda each: (each.fields["start_time"], each.id), reverse=True)
        return found[: self.window_size] if self.window_size else found

    # -- the listener

    async def hear(self) -> None:
        """The listener brings everything up to date: the model and the documents that are followed."""
        self.now_us += TICK_US
        window = {each.id: each for each in self._window()}
        held = {each.process_id: each.version for each in self.model.held()}
        upserts = [each for each in window.values() if held.get(each.id) != each.update_time]
        removals = tuple(Removal(id_, id_ not in self.stored) for id_ in held if id_ not in window)
        await self.model.apply(Changed(upserts, removals, self.now_us, self.clock()))
        await self.run()
        for process_id, on_document in tuple(self.documents.followed.items()):
            on_document(self._document(process_id), self.now_us, self.clock())
        await self.run()

    async def run(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(4):
            await settle(8)
            while self.turns:
                turns, self.turns[:] = self.turns[:], []
                for turn in turns:
                    turn()

    # -- callers. Each returns what they get

    async def poll(
        self, process_id: str, caller: Caller, *, known: int = 0, max_age_s: float | None = None, products: bool = False
    ) -> tuple[object, ...]:
        """GET /status/{id}, as its handler asks."""
        answer = None
        if max_age_s is None and not products:
            answer = self.answers.status_from_model(process_id, caller, known)
        try:
            if answer is None:
                answer = await self.answers.status(
                    process_id,
                    caller,
                    known_version=known,
                    max_age_s=max_age_s,
                    children=("products",) if products else (),
                )
        except (Unreachable, ReadRefused, BudgetExhausted) as error:
            return (type(error).__name__,)
        return _seen(answer)

    async def batch(self, process_ids: Sequence[str], caller: Caller) -> tuple[object, ...]:
        """GET /status?process_id=…"""
        try:
            answer = await self.answers.batch(process_ids, caller)
        except (Unreachable, ReadRefused, BudgetExhausted) as error:
            return (type(error).__name__,)
        return answer.source, answer.age_s, answer.body

    async def page(self, caller: Caller, filters: Filters, limit: int = 2) -> tuple[object, ...]:
        """GET /status"""
        try:
            page = await self.answers.page(ListQuery(limit, filters), caller)
        except (Unreachable, ReadRefused, BudgetExhausted) as error:
            return (type(error).__name__,)
        return page.source, page.age_s, page.body

    async def stats(self, caller: Caller, filters: Filters) -> tuple[object, ...]:
        """GET /stats"""
        try:
            answer = await self.statistics.answer(ListQuery(10, filters), caller)
        except Unreachable as error:
            return (type(error).__name__,)
        return answer.source, answer.age_s, answer.body

    def wait(self, process_id: str, caller: Caller, known: int = 0, seconds: float = 30) -> "asyncio.Task[Answer]":
        """GET /status/{id}?wait=…"""
        condition = WaitCondition(caller, seconds, Wanted(), f'"v{known}"' if known else "")
        return asyncio.create_task(self.polls.status(process_id, condition))

    async def follow(
        self, process_id: str, caller: Caller, since: int | None = None
    ) -> "Watching | tuple[object, ...]":
        """GET /status/{id}/events, as its handler begins it."""
        stream, reader = self.watchers.stream(process_id, caller, follows=True), Reader()
        try:
            beginning = await self.resuming.process(process_id, caller, since, follows=True)
        except (Unreachable, ReadRefused, BudgetExhausted) as error:
            self.watchers.leave(process_id, stream)
            return (type(error).__name__,)
        if beginning.answer.summary is None:
            self.watchers.leave(process_id, stream)
            return _seen(beginning.answer)
        self.watchers.keep_current(process_id)
        stream.begin(reader, beginning.present, since, is_reset=beginning.is_reset)
        return Watching(stream, reader, caller, lambda: self.watchers.leave(process_id, stream))

    def follow_all(self, caller: Caller, filters: Filters, since: int | None = None) -> Watching:
        """GET /events"""
        stream, reader = self.watchers.stream_model(filters, caller, since), Reader()
        stream.begin(reader)
        return Watching(stream, reader, caller, lambda: self.watchers.leave_model(filters, caller, stream))


def _seen(answer: Answer) -> tuple[object, ...]:
    version = 0 if answer.summary is None else answer.summary.content_version
    return answer.source, answer.age_s, version, answer.body


def events_of(reader: Reader) -> list[tuple[str, Any, str]]:
    """(event, data, ID) of what the client has got since the last call."""
    events = []
    for each in reader.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in each.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            events.append((lines["event"], json.loads(lines["data"]), lines.get("id", "")))
    reader.frames.clear()
    return events
