"""The newest processes, indexed, as the listener last sent them.

Lives on the event loop. `apply` takes one consistent batch and applies it in slices to a second copy of the index,
which has no readers. Then the two copies change places in one step, without awaiting: no reader sees half of a batch,
and no lock is needed (invariant 4). The cost of a batch depends on what it changes, not on how much is held. The second
copy costs some 60 bytes per process, because both copies share the processes. `is_trusted` depends on the lease alone,
not on any connection.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Protocol, TypeVar

from listeners.events import Changed, Document, Event, Replaced
from listeners.listener import Clock
from service.api.list_query import STALLED, Filters, ListQuery, Position, StartKey, process_id_at
from service.api.ordering import Order
from service.model.finishes import Finishes
from service.model.indexes import indexes_of
from service.model.positions import Bound
from service.model.process_index import ProcessIndex
from service.model.statistics import Statistics
from service.runtime.sharded_set import ShardedSet
from service.runtime.slicer import sliced
from service.schema.compiled import FilterValue, ProcessSummary, Schema, stalled

Item = TypeVar("Item")

WALKED_AT_ONCE = 100
"""Processes looked up in one step of a walk: 0.1 ms of work. Batches can be applied between two steps."""

MOST_IN_VAIN = 2_000
"""Processes that one list looks at in vain, because another of its filters excludes them: a millisecond of work. After
that the list is read from Firestore, which merges its indexes."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one event changed. `removed` says for each ID whether it is known to be deleted (None: unknown).

    `is_first_load` is True for a whole result taken while the model held nothing trusted: its changes are no news.
    `status_before` is the status that each of them had which was held before, `filters_before` the values of the
    schema's filters, of those alone for which they are others now. `belated` are the upserts of a version from before
    the last event: they have moved up into the window, or no event told of them when they changed. `changed` is how
    many have other content, or other values of the filters, than before; `is_reordered`: one has another position.
    `resumed` are those that stalled and were written again; they count as changed, and as belated.
    `entered` are those with another status than before, or that are new: none where a whole result replaces another.
    """

    upserts: Sequence[ProcessSummary]
    removed: Mapping[str, bool | None]
    added: int
    read_time: int
    is_first_load: bool = False
    status_before: Mapping[str, str | None] = field(default_factory=dict)
    filters_before: Mapping[str, tuple[FilterValue, ...]] = field(default_factory=dict)
    belated: Sequence[str] = ()
    changed: int = 0
    is_reordered: bool = False
    resumed: Collection[str] = ()
    entered: Sequence[ProcessSummary] = ()

    @property
    def is_news(self) -> bool:
        """Whether a client that holds the state before gets anything new."""
        return bool(self.changed or self.removed or self.is_first_load)


class ModelObserver(Protocol):
    """Metrics callbacks, called on the event loop."""

    def applied(self, applied: Applied, documents: int) -> None:
        """One batch became visible; the model now holds this many documents. Takes no time per document."""

    def became_visible(self, version: int) -> None:
        """One upsert of the batch that became visible last, unless it was a first load."""

    def confirmed(self, as_of: float) -> None:
        """The model is known to have been Firestore's state at this instant of the injected clock."""

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """These fields of this version could not be read."""


class ReadModel:
    """Answers `get` and `rows` from memory; `apply` is its only writer."""

    def __init__(
        self,
        *,
        window_size: int,
        schema: Schema,
        lease_s: float,
        clock: Clock,
        observer: ModelObserver,
    ) -> None:
        self._window_size = window_size
        self._schema = schema
        self._lease_s = lease_s
        self._clock = clock
        self._observer = observer
        self.indexes = indexes_of(schema.filter_names)
        self.finishes = Finishes(schema.file)
        self._index = ProcessIndex(self.indexes, self.finishes)
        self._spare: ProcessIndex | None = ProcessIndex(
            self.indexes, self.finishes
        )  # its equal, while no batch is being applied
        self._writing = asyncio.Lock()
        self._subscribers: list[Callable[[Applied], None]] = []
        self._stall_subscribers: list[Callable[[Sequence[ProcessSummary]], None]] = []
        self._confirmed_at: float | None = None
        self._arrived_at = self._read_time_known_at = clock()
        self.read_time = 0
        """Firestore's time of the last consistent point, in microseconds."""
        self.generation = 0
        """Changes with everything that a list or a count can show."""
        self.newest_version = 0
        """The greatest version that has become visible: at most `read_time`, where Firestore keeps its word."""

    def __repr__(self) -> str:
        return f"<ReadModel {len(self)} documents, confirmed at {self._confirmed_at}>"

    def __len__(self) -> int:
        return len(self._index.by_id)

    # -- what may be claimed

    @property
    def has_synced(self) -> bool:
        """Whether a whole result has been taken since the start, or since `distrust`."""
        return self._confirmed_at is not None

    @property
    def age_s(self) -> float | None:
        """Seconds since the instant at which the model is known to have been Firestore's state."""
        return None if self._confirmed_at is None else self._clock() - self._confirmed_at

    def is_trusted(self) -> bool:
        """Whether the lease holds. Only then do answers come from the model."""
        return self.trusted_age_s is not None

    @property
    def trusted_age_s(self) -> float | None:
        """`age_s` while the lease holds, else None. The clock is read once: the test and the age cannot differ."""
        if self._confirmed_at is None:
            return None
        age_s = self._clock() - self._confirmed_at
        return age_s if age_s <= self._lease_s else None

    @property
    def firestore_time(self) -> int | None:
        """Firestore's clock in microseconds, never ahead of it; None while the lease has lapsed.

        It is behind by as much time as the last event took to arrive.
        """
        if not self.is_trusted():
            return None
        return self.read_time + round((self._clock() - self._read_time_known_at) * 1_000_000)

    @property
    def holds_everything(self) -> bool:
        """Whether a document that is not here does not exist: only where the listener holds the whole collection."""
        return self._window_size == 0

    @property
    def is_complete(self) -> bool:
        """Whether no document of the listed type is outside the window."""
        return self._reaches(None)

    @property
    def statistics(self) -> Statistics:
        """Of all processes held: to be read, never changed, and not kept."""
        return self._index.statistics

    def distrust(self) -> None:
        """What is held is in doubt: no answer comes from it until the listener has sent a whole result."""
        self._confirmed_at = None

    def confirm(self, as_of: float) -> None:
        """There is proof that the model was Firestore's state at `as_of`; ignored before the first sync."""
        if self._confirmed_at is not None and as_of > self._confirmed_at:
            self._confirmed_at = as_of
            self._observer.confirmed(as_of)

    # -- reading

    def get(self, process_id: str) -> ProcessSummary | None:
        """The held version of one process."""
        return self._index.by_id.get(process_id)

    def held(self) -> list[ProcessSummary]:
        """Every process held, in no order."""
        return list(self._index.by_id.values())

    def walk(self, filters: Filters) -> Iterator[ProcessSummary | None]:
        """Every process held that fits: the newest first, last those that no list holds.

        A step costs the same whatever is held (None: nothing was found in it), and any number of batches may be
        applied between two. What they don't change comes exactly once; what they do, as it was or as it is or not.
        """
        below: Position | None = None
        while True:
            found = list(islice(self._index.listed(filters, below=below), WALKED_AT_ONCE))
            for _, summary in found:
                yield summary
            if len(found) < WALKED_AT_ONCE:
                break
            below = found[-1][0]
        yield from self._walk_unlisted(filters)

    def _walk_unlisted(self, filters: Filters) -> Iterator[ProcessSummary | None]:
        after: str | None = None
        while True:
            index = self._index
            found = list(islice(index.unlisted.irange(minimum=after, inclusive=(False, True)), WALKED_AT_ONCE))
            for summary in [index.by_id[process_id] for process_id in found]:
                yield summary if index.fits(summary, filters) else None
            if len(found) < WALKED_AT_ONCE:
                break
            after = found[-1]

    def rows(self, query: ListQuery) -> list[ProcessSummary] | None:
        """The rows that Firestore's query would return; None where the window can't prove it (invariant 2).

        None too where too many processes would have to be looked at, which only several filters at once can ask for.
        Which processes stall is known of those held alone, so a list filtered by it ends where the window does.
        """
        rows: list[ProcessSummary] = []
        in_vain = 0
        least = None if query.lower is None else (query.lower,)
        for _, summary in self._index.listed(query.filters, least, _below(query, self._schema.order)):
            if summary is None:
                in_vain += 1
                if in_vain > MOST_IN_VAIN:
                    return None
                continue
            rows.append(summary)
            if len(rows) == query.limit:
                return rows
        return rows if STALLED in query.filters or self._reaches(query.lower) else None

    async def searched_rows(self, query: ListQuery) -> list[ProcessSummary]:
        """The same, however many processes must be looked at; in slices, with any number of batches between two.

        A process that a batch does not change is there where it fits; one that fits since a batch can be missing.
        """
        rows: list[ProcessSummary] = []
        least, below = None if query.lower is None else (query.lower,), _below(query, self._schema.order)
        while len(rows) < query.limit:
            found = list(islice(self._index.listed(query.filters, least, below), WALKED_AT_ONCE))
            rows += [summary for _, summary in found if summary is not None]
            if len(found) < WALKED_AT_ONCE:
                break
            below = found[-1][0]
            await asyncio.sleep(0)
        present = [(row.position, self.get(row.process_id)) for row in rows[: query.limit]]
        return [
            held
            for position, held in present
            if held is not None and held.position == position and self._index.fits(held, query.filters)
        ]

    def _reaches(self, lower: StartKey | None) -> bool:
        """Whether no listed document at or after `lower` can be missing from the window."""
        held = self._index.by_position
        if self._window_size == 0 or len(held) < self._window_size:
            return True
        return lower is not None and (lower,) > held[0]

    def newest(self) -> ProcessSummary | None:
        """The first row of the list of all."""
        held = self._index.by_position
        return self._index.by_id[process_id_at(held[-1])] if held else None

    @property
    def lists_nothing(self) -> bool:
        """Whether no document of the listed type is held."""
        return not self._index.by_position

    def sample(self, count: int, rng: Random) -> list[ProcessSummary]:
        """Up to `count` of the listed processes, the newest always among them, the others by chance."""
        held = self._index.by_position
        others = range(len(held) - 1)
        places = [len(held) - 1, *rng.sample(others, min(count - 1, len(others)))] if held else []
        return [self._index.by_id[process_id_at(held[place])] for place in sorted(places, reverse=True)]

    # -- writing

    def subscribe(self, subscriber: Callable[[Applied], None]) -> None:
        """Call `subscriber` with every batch, in the step in which it becomes visible."""
        self._subscribers.append(subscriber)

    def subscribe_to_stalls(self, subscriber: Callable[[Sequence[ProcessSummary]], None]) -> None:
        """Call `subscriber` with the processes that begin to stall, in the step in which that becomes visible."""
        self._stall_subscribers.append(subscriber)

    async def apply(self, event: Event) -> None:
        """Make one consistent point visible. The event's documents are taken out of it."""
        arrived_at = self._clock()
        async with self._writing:
            self._arrived_at = arrived_at
            if isinstance(event, Replaced):
                await self._replace(event)
            elif isinstance(event, Changed):
                upserts = await self._summarize(event.upserts)
                await self._show(event, upserts, {removal.id: removal.deleted for removal in event.removals})
            else:
                self._believe(event)

    async def stall(self, process_ids: Sequence[str], is_due: Callable[[ProcessSummary], bool]) -> None:
        """Mark those of these processes as stalled which are due in the step in which they are looked at."""
        async with self._writing:
            found = [self._index.by_id.get(process_id) for process_id in process_ids]
            marked = [stalled(held) for held in found if held is not None and not held.is_stalled and is_due(held)]
            following = self._spare or await self._copied()
            self._spare = None
            await _update(following, marked, {})
            preceding, self._index = self._index, following
            self.generation += 1
            for subscriber in self._stall_subscribers:
                subscriber(marked)
            await _update(preceding, marked, {})
            self._spare = preceding

    async def _replace(self, event: Replaced) -> None:
        present = ShardedSet()
        async for document in sliced(event.documents if len(self) else ()):
            present.add(document.id)
        upserts = await self._summarize(event.documents)
        held = list(self._index.by_id)
        vanished: dict[str, bool | None] = {
            id_: None async for id_ in sliced(_taken_from_the_end(held)) if id_ not in present
        }
        await self._show(event, upserts, vanished)
        async for _ in sliced(present.drain()):
            pass

    async def _summarize(self, documents: list[Document]) -> list[ProcessSummary]:
        """Of those that are not held as they are. Lets go of each, so that a whole result is never held twice."""
        summaries = []
        documents.reverse()
        async for document in sliced(_taken_from_the_end(documents)):
            held = self._index.by_id.get(document.id)
            if held is not None and held.version == document.update_time:
                continue
            summary, malformed = self._schema.summarize(document.id, document.update_time, document.fields, held)
            summaries.append(summary)
            if malformed:
                self._observer.malformed(document.id, document.update_time, malformed)
        return summaries

    async def _show(
        self, event: Replaced | Changed, upserts: Sequence[ProcessSummary], removed: Mapping[str, bool | None]
    ) -> None:
        """Bring the spare index up to date, exchange it for the one that is read, and bring that up to date."""
        following = self._spare or await self._copied()
        self._spare = None  # where this is cancelled, none is left: it may be half done
        updated = await _update(following, upserts, removed, self.read_time)
        is_first_load = isinstance(event, Replaced) and not self.has_synced
        preceding, self._index = self._index, following
        self.newest_version = max(self.newest_version, updated.newest_version)
        self._announce(
            Applied(
                upserts,
                removed,
                updated.added,
                event.read_time,
                is_first_load,
                updated.status_before,
                updated.filters_before,
                updated.belated,
                updated.changed,
                updated.is_reordered,
                updated.resumed,
                updated.entered if isinstance(event, Changed) else (),
            )
        )
        self._believe(event)
        await _update(preceding, upserts, removed)
        self._spare = preceding
        if not is_first_load:
            async for summary in sliced(upserts):
                self._observer.became_visible(summary.version)

    async def _copied(self) -> ProcessIndex:
        copy = ProcessIndex(self.indexes, self.finishes)
        await _update(copy, self.held(), {})
        return copy

    def _announce(self, applied: Applied) -> None:
        self.read_time = max(self.read_time, applied.read_time)
        if applied.is_news or applied.is_reordered:
            self.generation += 1
        self._observer.applied(applied, len(self))
        for subscriber in self._subscribers:
            subscriber(applied)

    def _believe(self, event: Event) -> None:
        if self._confirmed_at is None:
            if not isinstance(event, Replaced):
                return  # the difference to something that is not trusted proves nothing
            self._confirmed_at = float("-inf")
        self.read_time = max(self.read_time, event.read_time)
        self._read_time_known_at = self._arrived_at
        self.confirm(event.as_of)


@dataclass(slots=True)
class _Updated:
    """What an update changed in an index. The fields are those of Applied."""

    added: int = 0
    newest_version: int = 0
    status_before: dict[str, str | None] = field(default_factory=dict)
    filters_before: dict[str, tuple[FilterValue, ...]] = field(default_factory=dict)
    belated: list[str] = field(default_factory=list)
    resumed: set[str] = field(default_factory=set)
    entered: list[ProcessSummary] = field(default_factory=list)
    changed: int = 0
    is_reordered: bool = False

    def note(self, replaced: ProcessSummary | None, summary: ProcessSummary, read_time: int) -> None:
        """`summary` has taken the place of `replaced`. `read_time`: that of the last event."""
        self.newest_version = max(self.newest_version, summary.version)
        is_changed = replaced is None or summary.content_version == summary.version
        if 0 < read_time < summary.version and (replaced is None or replaced.status != summary.status):
            self.entered.append(summary)
        if replaced is None:
            self.added += 1
        else:
            self.status_before[summary.process_id] = replaced.status
            if replaced.is_stalled and not summary.is_stalled:
                self.resumed.add(summary.process_id)
                is_changed = True
            if replaced.filters is not summary.filters:
                self.filters_before[summary.process_id] = replaced.filters
                is_changed = True
            if replaced.position is not summary.position:
                self.is_reordered = True
        if is_changed:
            self.changed += 1
            if summary.version <= read_time or summary.process_id in self.resumed:
                self.belated.append(summary.process_id)


async def _update(
    index: ProcessIndex, upserts: Sequence[ProcessSummary], removed: Mapping[str, bool | None], read_time: int = 0
) -> _Updated:
    """`read_time`: that of the last event."""
    updated = _Updated()
    async for process_id in sliced(removed):
        gone = index.discard(process_id)
        if gone is not None:
            updated.status_before[process_id] = gone.status
            if gone.filters:
                updated.filters_before[process_id] = gone.filters
    async for summary in sliced(upserts):
        updated.note(index.put(summary), summary, read_time)
    return updated


def _taken_from_the_end(items: list[Item]) -> Iterator[Item]:
    while items:
        yield items.pop()


def _below(query: ListQuery, order: Order) -> Bound | None:
    """The least position that is too high for the query: its cursor, or what comes right after its upper bound."""
    bounds: list[Bound] = []
    if query.after is not None:
        bounds.append(query.after)
    if query.upper is not None:
        bounds.append((order.following(query.upper) if query.upper_inclusive else query.upper,))
    return min(bounds, default=None)
