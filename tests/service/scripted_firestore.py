"""A reader whose answers come when the test says so, and the listener's words in short: for races driven by hand."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from listeners.events import Changed, Document, Removal, Replaced
from listeners.listener import CannotConfirm, ListenerState
from listeners.times import moment
from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery, StartKey
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.answers import Answer, Answers
from service.reads.budget import Budget
from service.reads.circuit import Circuit
from service.reads.firestore_reader import PROOF_ID, FirestoreReader, Read, ReadRows
from service.reads.read_cache import CacheLimits
from service.reads.read_through import ReadThrough
from service.schema.compiled import ProcessSummary
from tests.service.schemas import schema
from tests.service.virtual_time import Clock, settle


def document(process_id: str, version: int, start: int | None = 0, **fields: object) -> Document:
    """One version, of other content than all others; `start` is its start_time in µs, None: it has none."""
    fields.setdefault("products_failed", version)
    if start is not None:
        fields["start_time"] = moment(start)
    return Document(process_id, version, fields)


def summary(process_id: str, version: int, start: int | None = 0, **fields: object) -> ProcessSummary:
    made = document(process_id, version, start, **fields)
    return schema().summarize(made.id, made.update_time, made.fields)[0]


class Seen:
    """Remembers what the model announced."""

    def __init__(self) -> None:
        self.batches: list[Applied] = []
        self.malformed_fields: list[tuple[str, int, tuple[str, ...]]] = []
        self.confirmations: list[float] = []
        self.visible: list[int] = []

    def applied(self, applied: Applied, documents: int) -> None:
        self.batches.append(applied)

    def became_visible(self, version: int) -> None:
        self.visible.append(version)

    def confirmed(self, as_of: float) -> None:
        self.confirmations.append(as_of)

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        self.malformed_fields.append((process_id, version, fields))


def read_model(clock: Clock, *, window_size: int = 0, lease_s: float = 15.0, seen: Seen | None = None) -> ReadModel:
    return ReadModel(window_size=window_size, schema=schema(), lease_s=lease_s, clock=clock, observer=seen or Seen())


def replaced(clock: Clock, read_time: int, *documents: Document) -> Replaced:
    return Replaced(list(documents), read_time, clock())


def changed(clock: Clock, read_time: int, *upserts: Document) -> Changed:
    return Changed(list(upserts), (), read_time, clock())


def removed(clock: Clock, read_time: int, process_id: str, *, deleted: bool | None = True) -> Changed:
    return Changed([], (Removal(process_id, deleted),), read_time, clock())


@dataclass
class PendingGet:
    """One read under way: answer it, or make it fail."""

    process_id: str
    children: Sequence[str]
    as_of: float
    outcome: "asyncio.Future[Read]"

    def finds(self, found: ProcessSummary | None, *, read_time: int) -> None:
        body = b"" if found is None else found.body
        self.outcome.set_result(Read(found, body, read_time, self.as_of))

    def fails(self, error: Exception) -> None:
        self.outcome.set_exception(error)


@dataclass
class PendingMany:
    """One read of several processes under way."""

    process_ids: Sequence[str]
    as_of: float
    outcome: "asyncio.Future[dict[str, Read]]"

    def finds(self, *found: ProcessSummary, read_time: int) -> None:
        """These; the others do not exist."""
        by_id = {each.process_id: each for each in found}
        reads = {
            id_: Read(by_id.get(id_), by_id[id_].body if id_ in by_id else b"", read_time, self.as_of)
            for id_ in self.process_ids
        }
        self.outcome.set_result(reads)


@dataclass
class PendingRows:
    """One list under way."""

    query: ListQuery
    outcome: "asyncio.Future[list[ProcessSummary]]"


class ScriptedReader(FirestoreReader):
    """Holds every get and list until the test resolves it; what an audit asks for is set beforehand."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock
        self.proof_key = PROOF_ID
        self.gets: list[PendingGet] = []
        self.batches: list[PendingMany] = []
        self.lists: list[PendingRows] = []
        self.newest: list[ProcessSummary] = []
        self.newest_asked = 0
        self.stored_versions: dict[str, int | None] = {}
        self.versions_asked: list[list[str]] = []
        self.found_start_time: object | None = None
        self.error: Exception | None = None

    async def get(
        self,
        process_id: str,
        *,
        children: Sequence[str] = (),
        shows: Callable[[ProcessSummary], bool] = lambda _: True,
    ) -> Read:
        pending = PendingGet(process_id, children, self._now(), asyncio.get_running_loop().create_future())
        self.gets.append(pending)
        return await pending.outcome

    async def get_many(self, process_ids: Sequence[str]) -> dict[str, Read]:
        pending = PendingMany(process_ids, self._now(), asyncio.get_running_loop().create_future())
        self.batches.append(pending)
        return await pending.outcome

    async def rows(self, query: ListQuery, *, billed_as: str = "list") -> ReadRows:
        if self.error is not None:
            raise self.error
        if billed_as == "audit":
            self.newest_asked += 1
            return ReadRows(self.newest, max(1, len(self.newest)))
        pending = PendingRows(query, asyncio.get_running_loop().create_future())
        self.lists.append(pending)
        found = await pending.outcome
        return ReadRows(found, max(1, len(found)))

    async def versions(self, process_ids: list[str]) -> dict[str, int | None]:
        self.versions_asked.append(process_ids)
        return {process_id: self.stored_versions.get(process_id) for process_id in process_ids}

    async def order_value_found(self) -> object | None:
        return self.found_start_time


@dataclass
class ScriptedListener:
    """A supervised listener: confirms where `proof` says so, remembers what was asked of it."""

    state: ListenerState = ListenerState.LIVE
    reason: str = "synchronised"
    resyncs: list[str] = field(default_factory=list)
    proofs: int = 0
    clock: Clock | None = None
    model: ReadModel | None = None

    async def confirm(self) -> float:
        """Proves the model where it was given one to prove. Raises: CannotConfirm otherwise."""
        if self.clock is None or self.model is None:
            raise CannotConfirm("this listener can't be probed", is_final=True)
        self.proofs += 1
        as_of = self.clock()
        await asyncio.sleep(0)
        self.model.confirm(as_of)
        return as_of

    def resync(self, reason: str) -> None:
        self.resyncs.append(reason)


def ids(rows: Sequence[ProcessSummary] | None) -> list[str] | None:
    return None if rows is None else [row.process_id for row in rows]


def start(row: ProcessSummary) -> StartKey | None:
    return None if row.position is None else row.position[0]


class Parts:
    """The in-memory parts of a service, joined over a scripted reader and listener."""

    def __init__(
        self,
        *,
        window_size: int = 100,
        concurrency: int = 64,
        rate: float = 500,
        cache_max_bytes: int = 1_000_000,
        stale_if_error_s: float = 300,
        can_probe: bool = False,
    ) -> None:
        self.clock = Clock()
        self.model = read_model(self.clock, window_size=window_size)
        self.reader = ScriptedReader(self.clock)
        self.budget = Budget(concurrency, rate, clock=self.clock)
        self.circuit = Circuit(clock=self.clock, rng=Random(1))
        self.reads = ReadThrough(
            self.reader,
            self.model,
            self.budget,
            self.circuit,
            CacheLimits(5, 1, stale_if_error_s, cache_max_bytes),
            clock=self.clock,
        )
        self.listener = ScriptedListener()
        if can_probe:
            self.listener.clock, self.listener.model = self.clock, self.model
        self.answers = Answers(
            self.model, self.reads, self.listener, clock=self.clock, stale_if_error_s=stale_if_error_s, timeout_s=5
        )

    async def hears_all(self, read_time: int, *documents: Document) -> None:
        await self.model.apply(replaced(self.clock, read_time, *documents))

    async def hears(self, read_time: int, *upserts: Document) -> None:
        await self.model.apply(changed(self.clock, read_time, *upserts))

    async def hears_removal(self, read_time: int, process_id: str, *, deleted: bool | None = True) -> None:
        await self.model.apply(removed(self.clock, read_time, process_id, deleted=deleted))

    async def asks(self, process_id: str = "p", **how: Any) -> "asyncio.Task[Answer]":
        """A request, gone as far as it gets without Firestore."""
        asking = asyncio.create_task(self.answers.status(process_id, SEES_EVERYTHING, **how))
        await settle()
        return asking

    async def gets(self, process_id: str = "p", **how: Any) -> "asyncio.Task[Read | None]":
        """A direct read, begun."""
        reading = asyncio.create_task(self.reads.get(process_id, SEES_EVERYTHING, **how))
        await settle()
        return reading
