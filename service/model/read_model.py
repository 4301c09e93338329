"""The read model: the newest processes, with indexes, as the listener last sent them.

Lives on the event loop. `apply` takes one consistent batch and applies it in slices to a second copy of the index,
which has no readers. Then the two copies change places in one step, without awaiting: so no reader sees half of a
batch, and no lock is needed (invariant 4). The cost of a batch depends on its changes, not on the size of the model.
The second copy takes about 60 bytes per process, because both copies share the processes. `is_trusted` depends only on
the lease, not on any connection.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Protocol, TypeVar

from listeners.events import Changed, Document, Event, Replaced
from listeners.listener import Clock
from service.api.list_query import STALLED, Filters, ListQuery, Position, StartKey, process_id_at
from service.api.ordering import Order
from service.model.applied import Applied, Update, bring_up_to_date
from service.model.finishes import Finishes
from service.model.indexes import indexes_of
from service.model.positions import Bound
from service.model.process_index import ProcessIndex
from service.model.sight import Sight
from service.model.statistics import Statistics
from service.runtime.sharded_set import ShardedSet
from service.runtime.slicer import finish, sliced
from service.schema.compiled import ProcessSummary, Schema, stalled

Item = TypeVar("Item")

WALKED_AT_ONCE = 100
"""Processes per step of a walk: 0.1 ms of work. Batches can be applied between two steps."""

MOST_IN_VAIN = 2_000
"""How many processes one list can skip because another of its filters excludes them: a millisecond of work. Beyond that
Firestore answers the list, because it can merge its indexes."""


class ModelObserver(Protocol):
    """Metrics callbacks, called on the event loop."""

    def applied(self, applied: Applied, documents: int) -> None:
        """One batch became visible; the model now holds this many documents. Must not loop over the documents."""

    def became_visible(self, version: int) -> None:
        """Called for each upsert of the batch that became visible last, except after a first load."""

    def confirmed(self, as_of: float) -> None:
        """The model is proven to have equalled Firestore at this instant of the injected clock."""

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
        self.sight = Sight(schema)
        self.finishes = Finishes(schema.file)
        self._index = ProcessIndex(self.indexes, self.finishes)
        self._spare: ProcessIndex | None = ProcessIndex(self.indexes, self.finishes)
        """Equal to the index that is read, except while a batch is applied."""
        self._writing = asyncio.Lock()
        self._subscribers: list[Callable[[Applied], None]] = []
        self._stall_subscribers: list[Callable[[Sequence[ProcessSummary]], None]] = []
        self._confirmed_at: float | None = None
        self._arrived_at = self._read_time_known_at = clock()
        self._foreign = 0  # documents in the listener's window that no list shows
        self.read_time = 0
        """Firestore's time of the last consistent point, in microseconds."""
        self.generation = 0
        """Changes whenever anything changes that a list or a count can show."""
        self.newest_version = 0
        """The greatest version that has become visible. Never above `read_time`, if Firestore works as documented."""

    def __repr__(self) -> str:
        return f"<ReadModel {len(self)} documents, confirmed at {self._confirmed_at}>"

    def __len__(self) -> int:
        return len(self._index.by_id)

    # -- what the model can claim

    @property
    def has_synced(self) -> bool:
        """Whether the model has taken a whole result since the start or the last `distrust`."""
        return self._confirmed_at is not None

    @property
    def age_s(self) -> float | None:
        """Seconds since the instant at which the model is proven to have equalled Firestore."""
        return None if self._confirmed_at is None else self._clock() - self._confirmed_at

    def is_trusted(self) -> bool:
        """Whether the lease holds. Only then does the model answer."""
        return self.trusted_age_s is not None

    @property
    def trusted_age_s(self) -> float | None:
        """`age_s` while the lease holds, else None. Reads the clock once, so that test and age cannot contradict each
        other.
        """
        if self._confirmed_at is None:
            return None
        age_s = self._clock() - self._confirmed_at
        return age_s if age_s <= self._lease_s else None

    def is_confirmed_since(self, instant: float) -> bool:
        """Whether the model is proven to have equalled Firestore at this instant or later."""
        return self._confirmed_at is not None and self._confirmed_at >= instant

    @property
    def firestore_time(self) -> int | None:
        """A lower bound of Firestore's clock, in microseconds; None while the lease has lapsed.

        It is late by the time that the last event took to arrive.
        """
        if not self.is_trusted():
            return None
        return self.read_time + round((self._clock() - self._read_time_known_at) * 1_000_000)

    @property
    def holds_everything(self) -> bool:
        """Whether an ID that is not in the model does not exist: so if the listener holds the whole collection."""
        return self._window_size == 0

    @property
    def is_complete(self) -> bool:
        """Whether the window contains all documents of the listed type."""
        return self._reaches(None)

    @property
    def statistics(self) -> Statistics:
        """The statistics of all processes. Read them at once: do not change them and do not keep them."""
        return self._index.statistics

    def distrust(self) -> None:
        """The documents held are in doubt: nothing is answered from them until the listener has sent a whole result."""
        self._confirmed_at = None

    def confirm(self, as_of: float) -> None:
        """The model is proven to have equalled Firestore at `as_of`. Ignored before the first sync."""
        if self._confirmed_at is not None and as_of > self._confirmed_at:
            self._confirmed_at = as_of
            self._observer.confirmed(as_of)

    # -- reading

    def get(self, process_id: str) -> ProcessSummary | None:
        """The present version of one process; None if the model does not hold it."""
        return self._index.by_id.get(process_id)

    def held(self) -> list[ProcessSummary]:
        """All processes of the model, in no particular order."""
        return list(self._index.by_id.values())

    def walk(self, filters: Filters) -> Iterator[ProcessSummary | None]:
        """All matching processes of the model: first those of lists, newest first, then those that no list shows.

        A step takes the same time whatever the size of the model; None: this step found nothing. Batches can be applied
        between two steps. A process that they do not change comes exactly once. A process that they change comes in its
        old state, in its new one, or not at all.
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
        """The rows that Firestore's query would return; None if the window cannot prove them (invariant 2).

        Also None if too many processes would have to be looked at; this can happen only with several filters. Only the
        model knows which processes stall, so a list filtered by this ends where the window ends.
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
        """The rows as in `rows`, without a limit on the processes looked at. Works in slices; batches can come in
        between.

        A matching process that no batch changes is among the rows. A process that matches only since a batch can be
        missing.
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
        """Whether the window contains every listed document at or after `lower`."""
        held = self._index.by_position
        if self._window_size == 0 or len(held) + self._foreign < self._window_size:
            return True
        return lower is not None and bool(held) and (lower,) > held[0]

    def newest(self) -> ProcessSummary | None:
        """The first row of the list of all processes."""
        held = self._index.by_position
        return self._index.by_id[process_id_at(held[-1])] if held else None

    @property
    def lists_nothing(self) -> bool:
        """Whether the model holds no document of the listed type."""
        return not self._index.by_position

    def sample(self, count: int, rng: Random) -> list[ProcessSummary]:
        """Up to `count` of the listed processes: always the newest, and others at random."""
        held = self._index.by_position
        others = range(len(held) - 1)
        places = [len(held) - 1, *rng.sample(others, min(count - 1, len(others)))] if held else []
        return [self._index.by_id[process_id_at(held[place])] for place in sorted(places, reverse=True)]

    # -- writing

    def subscribe(self, subscriber: Callable[[Applied], None]) -> None:
        """Call `subscriber` with every batch, in the same step in which the batch becomes visible."""
        self._subscribers.append(subscriber)

    def subscribe_to_stalls(self, subscriber: Callable[[Sequence[ProcessSummary]], None]) -> None:
        """Call `subscriber` with the processes that begin to stall, in the same step in which this becomes visible."""
        self._stall_subscribers.append(subscriber)

    async def apply(self, event: Event) -> None:
        """Make one consistent point visible. Removes the documents from the event."""
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
        """Mark as stalled those of these processes that are due at the moment when this method looks at them."""
        async with self._writing:
            found = [self._index.by_id.get(process_id) for process_id in process_ids]
            marked = [stalled(held) for held in found if held is not None and not held.is_stalled and is_due(held)]
            preceding = await self._exchange(marked, {})
            self.generation += 1
            for subscriber in self._stall_subscribers:
                subscriber(marked)
            await self._follow(preceding, marked, {})

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
        """The summaries of documents that differ from those held. Frees each document, so that none is held twice."""
        summaries: list[ProcessSummary] = []
        documents.reverse()
        await finish(self._add_summaries(documents, summaries))
        return summaries

    def _add_summaries(self, documents: list[Document], summaries: list[ProcessSummary]) -> Iterator[None]:
        by_id, summarize = self._index.by_id, self._schema.summarize
        while documents:
            document = documents.pop()
            held = by_id.get(document.id)
            if held is None or held.version != document.update_time:
                summary, malformed = summarize(document.id, document.update_time, document.fields, held)
                summaries.append(summary)
                if malformed:
                    self._observer.malformed(document.id, document.update_time, malformed)
            yield

    async def _show(
        self, event: Replaced | Changed, upserts: Sequence[ProcessSummary], removed: Mapping[str, bool | None]
    ) -> None:
        update = Update(self.read_time)
        preceding = await self._exchange(upserts, removed, update)
        self._foreign = event.foreign
        is_first_load = isinstance(event, Replaced) and not self.has_synced
        self.newest_version = max(self.newest_version, update.newest_version)
        self._announce(
            Applied(
                upserts,
                removed,
                update.added,
                event.read_time,
                is_first_load,
                update.status_before,
                update.filters_before,
                update.belated,
                update.changed,
                update.is_reordered,
                update.resumed,
                update.entered if isinstance(event, Changed) else (),
            )
        )
        self._believe(event)
        await self._follow(preceding, upserts, removed)
        if not is_first_load:
            await finish(self._announce_each(upserts))

    async def _exchange(
        self, upserts: Sequence[ProcessSummary], removed: Mapping[str, bool | None], update: Update | None = None
    ) -> ProcessIndex:
        """Update the spare index and make it the visible one. Returns the other index, which must then `_follow`.

        If this is cancelled, there is no spare index any more, because it can be half updated.
        """
        following = self._spare or await self._copied()
        self._spare = None
        await finish(bring_up_to_date(following, upserts, removed, update))
        preceding, self._index = self._index, following
        return preceding

    async def _follow(
        self, preceding: ProcessIndex, upserts: Sequence[ProcessSummary], removed: Mapping[str, bool | None]
    ) -> None:
        await finish(bring_up_to_date(preceding, upserts, removed))
        self._spare = preceding

    async def _copied(self) -> ProcessIndex:
        copy = ProcessIndex(self.indexes, self.finishes)
        await finish(bring_up_to_date(copy, self.held(), {}))
        return copy

    def _announce(self, applied: Applied) -> None:
        self.read_time = max(self.read_time, applied.read_time)
        if applied.is_news or applied.is_reordered:
            self.generation += 1
        self._observer.applied(applied, len(self))
        for subscriber in self._subscribers:
            subscriber(applied)

    def _announce_each(self, upserts: Sequence[ProcessSummary]) -> Iterator[None]:
        for summary in upserts:
            self._observer.became_visible(summary.version)
            yield

    def _believe(self, event: Event) -> None:
        self._foreign = event.foreign
        if self._confirmed_at is None:
            if not isinstance(event, Replaced):
                return  # a difference to documents that are not trusted proves nothing
            self._confirmed_at = float("-inf")
        self.read_time = max(self.read_time, event.read_time)
        self._read_time_known_at = self._arrived_at
        self.confirm(event.as_of)


def _taken_from_the_end(items: list[Item]) -> Iterator[Item]:
    while items:
        yield items.pop()


def _below(query: ListQuery, order: Order) -> Bound | None:
    """The least position that is too high for the query: that of its cursor, or the one after its upper bound."""
    bounds: list[Bound] = []
    if query.after is not None:
        bounds.append(query.after)
    if query.upper is not None:
        bounds.append((order.following(query.upper) if query.upper_inclusive else query.upper,))
    return min(bounds, default=None)
