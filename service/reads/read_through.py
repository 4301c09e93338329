"""Direct reads, remembered: TTL cache, single flight, budget, circuit, and the tombstones against late reads.

Everything runs on the event loop. What the listener has said later than a read's `read_time` always wins over that
read: such a read is never cached and never answered (invariant 1).
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass

from cachetools import TLRUCache

from listeners.listener import Clock
from service.api.list_query import ListQuery
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.budget import Budget
from service.reads.circuit import Circuit
from service.reads.delivered_states import DeliveredStates
from service.reads.firestore_reader import FirestoreReader, Read
from service.reads.single_flight import SingleFlight
from service.reads.tombstones import Tombstones
from service.schema.compiled import ProcessSummary

_ENTRY_OVERHEAD_BYTES = 700
"""What an entry costs beside its body: the summary, the key and the cache's own bookkeeping, rounded up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A list that was read: the rows, and the local instant at or after which it was Firestore's answer."""

    summaries: list[ProcessSummary]
    as_of: float


Forms = dict[tuple[str, ...], Read]
"""What was read of one process, by the children read with it: all of one version. Never changed once remembered."""


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long direct reads are remembered, in seconds, and how many bytes of them."""

    ttl_s: float
    negative_ttl_s: float
    stale_if_error_s: float
    max_bytes: int


class ReadThrough:
    """The way to Firestore for anything that the model can't answer."""

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
        self._model = model
        self._budget = budget
        self.circuit = circuit
        self._clock = clock
        self._cache_ttl_s = limits.ttl_s
        self._negative_ttl_s = limits.negative_ttl_s
        self._keep_s = max(limits.ttl_s, limits.stale_if_error_s)
        self._cache: TLRUCache[Hashable, Forms | Rows] = TLRUCache(
            limits.max_bytes, ttu=self._kept_until, timer=clock, getsizeof=_size
        )
        self._gets: SingleFlight[Read | None] = SingleFlight()
        self._batches: SingleFlight[dict[str, Read | None]] = SingleFlight()
        self._lists: SingleFlight[Rows] = SingleFlight()
        self._tombstones = Tombstones()
        self._delivered = DeliveredStates(self._keep_s, model.indexes)
        self._succeeded_at: float | None = None
        model.subscribe(self._on_applied)

    @property
    def since_success_s(self) -> float | None:
        """Seconds since Firestore last answered a direct read; None before it has."""
        return None if self._succeeded_at is None else self._clock() - self._succeeded_at

    def remembered(
        self,
        process_id: str,
        *,
        children: tuple[str, ...] = (),
        max_age_s: float | None = None,
        now: float | None = None,
    ) -> Read | None:
        """What the last direct read with these children said, within its time to live or, for stale ones, `max_age_s`.

        `now`: the clock as the caller has read it, where an age is claimed by that reading too.
        """
        read = self._forms(process_id).get(children)
        if read is None or self._is_superseded(process_id, read):
            return None
        if max_age_s is None:
            max_age_s = self._cache_ttl_s if read.summary is not None else self._negative_ttl_s
        return read if (self._clock() if now is None else now) - read.as_of <= max_age_s else None

    def remembered_list(
        self, query: ListQuery, *, max_age_s: float | None = None, now: float | None = None
    ) -> Rows | None:
        """The rows of the same query, where they were read within the time to live (or `max_age_s`)."""
        rows = self._cache.get(query)
        if not isinstance(rows, Rows) or self._delivered.contradict(query, rows.summaries, rows.as_of):
            return None
        age_limit_s = self._cache_ttl_s if max_age_s is None else max_age_s
        return rows if (self._clock() if now is None else now) - rows.as_of <= age_limit_s else None

    async def get(self, process_id: str, *, children: tuple[str, ...] = (), fresh: bool = False) -> Read | None:
        """Read one process, with these children; where `fresh`, by a read that began after this call.

        None where the listener has meanwhile said something later about it: ask again.
        Raises: Unreachable, ReadRefused, BudgetExhausted.
        """
        self.circuit.check()
        key = (process_id, children)
        with self._tombstones.read_under_way():  # a read lands before its waiters run: an event in between counts too
            read = await self._gets.share(key, lambda: self._get(process_id, children), fresh=fresh)
            return None if read is None or self._is_superseded(process_id, read) else read

    async def get_many(self, process_ids: Collection[str], *, fresh: bool = False) -> dict[str, Read | None]:
        """Read several processes, without children, in one call that takes one place in the budget.

        For each of them as `get` returns it. Raises as `get` does.
        """
        self.circuit.check()
        key = tuple(sorted(process_ids))
        with self._tombstones.read_under_way():
            reads = await self._batches.share(key, lambda: self._get_many(key), fresh=fresh)
            return {
                process_id: None if read is None or self._is_superseded(process_id, read) else read
                for process_id, read in reads.items()
            }

    async def rows(self, query: ListQuery, *, fresh: bool = False) -> Rows:
        """Read the rows of one query. Raises as `get` does."""
        self.circuit.check()
        return await self._lists.share(query, lambda: self._list(query), fresh=fresh)

    def known(self, process_id: str) -> ProcessSummary | None:
        """The newest version in memory of a process that exists: what is read next may only confirm its content."""
        found = [self._model.get(process_id), *(read.summary for read in self._forms(process_id).values())]
        return max((each for each in found if each is not None), key=lambda each: each.version, default=None)

    def learn(self, process_id: str, summary: ProcessSummary | None, read_time: int, as_of: float) -> None:
        """Take the state of a process that is followed by itself: waits and streams get it, no later answer is older.

        It replaces what is remembered, and is a tombstone to reads that are under way.
        """
        self._delivered.add(process_id, summary, self._clock())
        self._tombstones.bury(process_id, read_time)
        self._remember_read(process_id, (), Read(summary, b"" if summary is None else summary.body, read_time, as_of))

    def _is_superseded(self, process_id: str, read: Read) -> bool:
        """Whether the listener has said something later about this process than what was read."""
        if self._tombstones.outdate(process_id, read.read_time):
            return True
        held = self._model.get(process_id)
        return held is not None and held.version > _version(read) and self._model.read_time > read.read_time

    async def _get(self, process_id: str, children: tuple[str, ...]) -> Read | None:
        with self._tombstones.read_under_way():
            with self._budget.one_read():
                read = await self._reader.get(process_id, children=children)
            self._succeeded_at = self._clock()
            self._budget.charge(read.billed - 1)
            return self._landed(process_id, read, children)

    async def _get_many(self, process_ids: tuple[str, ...]) -> dict[str, Read | None]:
        with self._tombstones.read_under_way():
            with self._budget.one_read():
                reads = await self._reader.get_many(process_ids)
            self._succeeded_at = self._clock()
            self._budget.charge(len(process_ids) - 1)
            return {id_: self._landed(id_, read) for id_, read in reads.items()}

    def _landed(self, process_id: str, read: Read, children: tuple[str, ...] = ()) -> Read | None:
        """What was read, remembered; None where the listener has said something later about it."""
        if self._is_superseded(process_id, read):
            return None
        self._remember_read(process_id, children, read)
        return read

    async def _list(self, query: ListQuery) -> Rows:
        as_of = self._clock()
        with self._budget.one_read():
            rows = Rows(await self._reader.rows(query), as_of)
        self._succeeded_at = self._clock()
        self._budget.charge(max(0, len(rows.summaries) - 1))
        self._remember(query, rows)
        return rows

    def _on_applied(self, applied: Applied) -> None:
        """Forget what the listener removed. What it changed is found out on the next request for it: a whole result can
        change every process held, in the one step in which it becomes visible."""
        for process_id in self._remembered_among(applied.removed):
            self._cache.pop(process_id, None)
        if self._tombstones.are_needed:
            for process_id in applied.removed:
                self._tombstones.bury(process_id, applied.read_time)

    def _remembered_among(self, removed: Mapping[str, object]) -> Iterable[str]:
        """A superset of the removed IDs that are remembered; costs as much as the smaller of the two."""
        if len(removed) <= len(self._cache):
            return removed
        return [key for key in self._cache if isinstance(key, str) and key in removed]

    def _forms(self, process_id: str) -> Forms:
        found = self._cache.get(process_id)
        return found if isinstance(found, dict) else {}

    def _remember_read(self, process_id: str, children: tuple[str, ...], read: Read) -> None:
        """Reads can land in another order than Firestore served them: the later `read_time` stays."""
        known = self._forms(process_id)
        alike = {form: each for form, each in known.items() if _version(each) == _version(read)}
        if any(each.read_time > read.read_time for form, each in known.items() if form not in alike):
            return
        kept = {form: each for form, each in alike.items() if each.as_of > self._clock() - self._keep_s}
        self._cache.pop(process_id, None)
        for forms in ({**kept, children: read}, {children: read}, kept):
            if forms and self._remember(process_id, forms):
                return

    def _remember(self, key: Hashable, value: Forms | Rows) -> bool:
        """Returns whether there is room for it at all."""
        has_room = _size(value) <= self._cache.maxsize
        if has_room:
            self._cache[key] = value
        return has_room

    def _kept_until(self, key: Hashable, value: Forms | Rows, _now: float) -> float:
        """A deletion that the model does not know of is kept as long as the model's older state could be answered."""
        if isinstance(value, Rows):
            return value.as_of + self._keep_s
        as_of = max(read.as_of for read in value.values())
        if any(read.summary is not None for read in value.values()):
            return as_of + self._keep_s
        is_news = isinstance(key, str) and self._model.get(key) is not None
        return as_of + (self._keep_s if is_news else self._negative_ttl_s)


def _version(read: Read) -> int:
    """0 where there is no document: older than every version."""
    return 0 if read.summary is None else read.summary.version


def _size(value: Forms | Rows) -> int:
    if isinstance(value, dict):
        return sum(_ENTRY_OVERHEAD_BYTES + len(read.body) for read in value.values())
    return _ENTRY_OVERHEAD_BYTES + sum(_ENTRY_OVERHEAD_BYTES + len(summary.body) for summary in value.summaries)
