"""Direct reads with their cache, single flight, budget and circuit, and the tombstones against late reads.

Everything runs on the event loop. If the listener has reported a newer state than a read's `read_time`, that read is
never cached and never answered (invariant 1).
"""

from collections.abc import Collection
from functools import partial

from listeners.listener import Clock
from service.api.caller import Caller
from service.api.list_query import ListQuery
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.budget import Budget
from service.reads.circuit import Circuit
from service.reads.delivered_states import DeliveredStates
from service.reads.firestore_reader import FirestoreReader, Read
from service.reads.read_cache import CacheLimits, ReadCache, Rows, version_of
from service.reads.single_flight import SingleFlight
from service.reads.tombstones import Tombstones
from service.schema.compiled import ProcessSummary


class ReadThrough:
    """The way to Firestore for requests that the model cannot answer."""

    def __init__(
        self,
        reader: FirestoreReader,
        model: ReadModel,
        budget: Budget,
        circuit: Circuit,
        limits: CacheLimits,
        *,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self.proof_key = reader.proof_key
        self._model = model
        self._budget = budget
        self.circuit = circuit
        self._clock = clock
        self._sight = model.sight
        self._cache = ReadCache(model, limits, clock=clock)
        self._gets: SingleFlight[Read | None] = SingleFlight()
        self._batches: SingleFlight[dict[str, Read | None]] = SingleFlight()
        self._lists: SingleFlight[Rows] = SingleFlight()
        self._tombstones = Tombstones()
        self._delivered = DeliveredStates(self._cache.keep_s, model.indexes)
        self._succeeded_at: float | None = None
        model.subscribe(self._on_applied)

    @property
    def since_success_s(self) -> float | None:
        """Seconds since Firestore last answered a direct read; None before the first answer."""
        return None if self._succeeded_at is None else self._clock() - self._succeeded_at

    def remembered(
        self,
        process_id: str,
        caller: Caller,
        *,
        children: tuple[str, ...] = (),
        max_age_s: float | None = None,
        now: float | None = None,
    ) -> Read | None:
        """The last read with these children, within its time to live or, for stale answers, within `max_age_s`.

        `now` is the reading of the clock that the caller also uses for the age in the answer.
        """
        read = self._recalled(process_id, caller, children)
        if read is None:
            return None
        age_limit_s = self._cache.ttl_s(read) if max_age_s is None else max_age_s
        return read if (self._clock() if now is None else now) - read.as_of <= age_limit_s else None

    def _recalled(self, process_id: str, caller: Caller, children: tuple[str, ...]) -> Read | None:
        """What the caller can know of the last read.

        If it has never seen the process, only the answers it got itself.
        """
        read = self._cache.read(process_id, children)
        if read is not None and self._is_superseded(process_id, read):
            read = None
        if caller.owner is None or (read is not None and self._sight.shows(caller, read.summary)):
            return read
        if self._sight.shows(caller, self._model.get(process_id)):
            return None if read is None else _denial(read)
        return self._cache.denied(process_id, caller.owner, children)

    def remembered_list(
        self, query: ListQuery, *, max_age_s: float | None = None, now: float | None = None
    ) -> Rows | None:
        """The rows of the same query, if they were read within the time to live (or `max_age_s`)."""
        rows = self._cache.rows(query)
        if rows is None or self._delivered.contradict(query, rows.summaries, rows.as_of):
            return None
        age_limit_s = self._cache.rows_ttl_s if max_age_s is None else max_age_s
        return rows if (self._clock() if now is None else now) - rows.as_of <= age_limit_s else None

    async def get(
        self, process_id: str, caller: Caller, *, children: tuple[str, ...] = (), fresh: bool = False
    ) -> Read | None:
        """Read one process with these children, as the caller sees it. If `fresh`, the read begins after this call.

        Returns None if a newer state has become known meanwhile: ask again.
        Raises: Unreachable, ReadRefused, BudgetExhausted.
        """
        self.circuit.check()
        key = (process_id, children, caller.owner)
        with self._tombstones.read_under_way():  # also covers events between the end of the read and this code
            read = await self._gets.share(key, lambda: self._get(process_id, caller, children), fresh=fresh)
            return self._seen_by(caller, process_id, read)

    async def get_many(
        self, process_ids: Collection[str], caller: Caller, *, fresh: bool = False
    ) -> dict[str, Read | None]:
        """Read several processes, without children, in one call that takes one place in the budget.

        The result for each of them is that of `get`. Raises like `get`.
        """
        self.circuit.check()
        ids = tuple(sorted(process_ids))
        with self._tombstones.read_under_way():
            reads = await self._batches.share((ids, caller.owner), lambda: self._get_many(ids, caller), fresh=fresh)
            return {process_id: self._seen_by(caller, process_id, read) for process_id, read in reads.items()}

    async def rows(self, query: ListQuery, caller: Caller, *, fresh: bool = False) -> Rows:
        """Read the rows of one query, which must be limited to what the caller sees. Raises like `get`."""
        self.circuit.check()
        return await self._lists.share(query, lambda: self._list(query, caller), fresh=fresh)

    def known(self, process_id: str) -> ProcessSummary | None:
        """The newest version in memory of an existing process. A read with the same content only confirms it."""
        found = [self._model.get(process_id), *(read.summary for read in self._cache.reads(process_id))]
        return max((each for each in found if each is not None), key=lambda each: each.version, default=None)

    def learn(self, process_id: str, summary: ProcessSummary | None, read_time: int, as_of: float) -> None:
        """Take the state of a followed process: waits and streams get it, and no later answer may be older.

        It replaces the state in the cache, and is a tombstone for reads that are under way.
        """
        self._delivered.add(process_id, summary, self._clock())
        self._tombstones.bury(process_id, read_time)
        read = Read(summary, b"" if summary is None else summary.body, read_time, as_of)
        self._cache.remember_read(process_id, (), read)

    def _is_superseded(self, process_id: str, read: Read) -> bool:
        """Whether the listener has reported a newer state of this process than this read has."""
        if self._tombstones.outdate(process_id, read.read_time):
            return True
        held = self._model.get(process_id)
        return held is not None and held.version > version_of(read) and self._model.read_time > read.read_time

    def _seen_by(self, caller: Caller, process_id: str, read: Read | None) -> Read | None:
        """The read as the caller sees it; None if a newer state is known, and the caller sees that."""
        if read is None:
            return None
        if caller.owner is None or self._sight.shows(caller, read.summary):
            return None if self._is_superseded(process_id, read) else read
        held, known = self._model.get(process_id), self._cache.read(process_id, ())
        is_held = self._sight.shows(caller, held) and self._model.read_time > read.read_time
        is_known = known is not None and self._sight.shows(caller, known.summary) and known.read_time > read.read_time
        return None if is_held or is_known else _denial(read)

    async def _get(self, process_id: str, caller: Caller, children: tuple[str, ...]) -> Read | None:
        shows = partial(self._sight.shows, caller)
        with self._tombstones.read_under_way():
            with self._budget.one_read(caller):
                read = await self._reader.get(process_id, children=children, shows=shows)
            self._succeeded_at = self._clock()
            self._budget.charge(read.billed - 1, caller)
            return self._landed(process_id, caller, read, children)

    async def _get_many(self, process_ids: tuple[str, ...], caller: Caller) -> dict[str, Read | None]:
        with self._tombstones.read_under_way():
            with self._budget.one_read(caller):
                reads = await self._reader.get_many(process_ids)
            self._succeeded_at = self._clock()
            self._budget.charge(len(process_ids) - 1, caller)
            return {id_: self._landed(id_, caller, read, ()) for id_, read in reads.items()}

    def _landed(self, process_id: str, caller: Caller, read: Read, children: tuple[str, ...]) -> Read | None:
        """Cache the read, and return it as the caller sees it; None if a newer state is known."""
        is_shown = self._sight.shows(caller, read.summary)
        if not self._is_superseded(process_id, read):
            was_read = children if is_shown or read.summary is None else ()  # the reader did not read the others
            self._cache.remember_read(process_id, was_read, read)
        if caller.owner is not None and not is_shown:
            self._cache.deny(process_id, caller.owner, children, _denial(read))
        return self._seen_by(caller, process_id, read)

    async def _list(self, query: ListQuery, caller: Caller) -> Rows:
        as_of = self._clock()
        with self._budget.one_read(caller):
            read = await self._reader.rows(query)
        rows = Rows(read.summaries, as_of)
        self._succeeded_at = self._clock()
        self._budget.charge(max(0, read.billed - 1), caller)
        self._cache.remember_rows(query, rows)
        return rows

    def _on_applied(self, applied: Applied) -> None:
        """Forget the processes that the listener removed. A changed process is checked at its next request: a whole
        result can change every process, and the step in which it becomes visible must be short."""
        self._cache.forget(applied.removed)
        if self._tombstones.are_needed:
            for process_id in applied.removed:
                self._tombstones.bury(process_id, applied.read_time)


def _denial(read: Read) -> Read:
    """The answer to a caller that does not see the process."""
    return Read(None, b"", read.read_time, read.as_of, read.billed)
