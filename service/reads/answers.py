"""Chooses the source of an answer, and the age that the answer can claim.

HIT: from the model, while its lease holds. MISS: from a read that began after the request had arrived. CACHED: from a
read of the last few seconds, or from a read that was already under way when the request arrived. STALE: the last known
state, while Firestore cannot be read. `known_version` is the version that the client saw last: no answer is older
(monotonic reads). `max_age_s` is the greatest age that the client accepts: 0 asks for Firestore's state at or after the
request's arrival.

The test of an age and the age in the answer use the same reading of the clock, because the service can be frozen
between two readings.

An answer takes at most `timeout_s`, whatever number of reads it needs.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from math import ceil
from typing import Protocol, TypeVar

from listeners.listener import CannotConfirm, Clock
from service.api.caller import Caller
from service.api.list_query import STALLED, ListQuery
from service.api.sources import Source
from service.errors import BudgetExhausted, ReadRefused, Unreachable
from service.model.read_model import ReadModel
from service.model.sight import fits_nothing
from service.reads.answer import Answer, BatchAnswer, ListAnswer, answer_of_read, page_of, rounded
from service.reads.last_known import Demands, LastKnown
from service.reads.read_through import ReadThrough
from service.schema.compiled import ProcessSummary

__all__ = ["Answer", "Answers", "BatchAnswer", "Confirms", "ListAnswer"]

T = TypeVar("T")

UNREADABLE = (Unreachable, ReadRefused, BudgetExhausted)
"""Failures of a read. After them the answer is the last known state, if that is young enough."""


class Confirms(Protocol):
    """The supervised listener: it can prove that the model is up to date."""

    async def confirm(self) -> float:
        """Returns an instant at or after the call for which the model is proven. Raises: CannotConfirm."""


class Answers:
    """Answers a caller's requests for processes from the best source that satisfies them."""

    ATTEMPTS = 3
    """Reads for one answer. A further read is needed when the listener has overtaken the one before."""

    def __init__(
        self,
        model: ReadModel,
        reads: ReadThrough,
        listener: Confirms,
        *,
        clock: Clock,
        stale_if_error_s: float,
        timeout_s: float,
    ) -> None:
        self._model = model
        self._reads = reads
        self._listener = listener
        self._clock = clock
        self._timeout_s = timeout_s
        self._sight = model.sight
        self._last_known = LastKnown(model, reads, clock=clock, stale_if_error_s=stale_if_error_s)

    def held(self, process_id: str, caller: Caller, known_version: int = 0) -> tuple[ProcessSummary, int] | None:
        """The version in the model and its age, if the lease holds and the client knows no newer version. Costs no
        read.

        A process that the caller does not see is treated, here and below, as a process that does not exist.
        """
        age_s = self._model.trusted_age_s
        held = self._model.get(process_id)
        if age_s is None or held is None or held.version < known_version:
            return None
        if caller.owner is not None and not self._sight.shows(caller, held):
            return None
        return held, ceil(age_s) if age_s > 0 else 0  # inlined `rounded`

    def status_from_model(self, process_id: str, caller: Caller, known_version: int = 0) -> Answer | None:
        """The same as an answer. If the model holds the whole collection, the answer can also be that there is none."""
        found = self.held(process_id, caller, known_version)
        if found is not None:
            held, age_s = found
            return Answer(Source.HIT, age_s, held, held.body)
        model_age_s = self.model_age_s
        if model_age_s is None or known_version or not self._model.holds_everything:
            return None
        return Answer(Source.HIT, model_age_s, None, b"")

    @property
    def model_age_s(self) -> int | None:
        """The `Age` of an answer that comes from the model now; None while its lease has lapsed."""
        age_s = self._model.trusted_age_s
        return None if age_s is None else rounded(age_s)

    def page_from_model(self, query: ListQuery, caller: Caller) -> ListAnswer | None:
        """The page from the model, if the lease holds and the window proves the page. Costs no read."""
        within = self._within(query, caller)
        if fits_nothing(within.filters):
            return self._no_rows(query)
        page = self._page_from_model(_and_one_more(within), None)
        return page if page is None or caller.owner is None else replace(page, filters=query.filters)

    async def status(
        self,
        process_id: str,
        caller: Caller,
        *,
        known_version: int = 0,
        max_age_s: float | None = None,
        children: tuple[str, ...] = (),
    ) -> Answer:
        """The state of one process, with these children. Raises: Unreachable, ReadRefused, BudgetExhausted."""
        arrived, deadline = self._clock(), self._deadline()
        demands = Demands(known_version, max_age_s, children)
        for attempt in range(self.ATTEMPTS):
            if not children and await self._is_confirmed(arrived, max_age_s, deadline):
                hit = self._hit(process_id, caller, known_version, max_age_s)
                if hit is not None:
                    return hit
            cached = self._last_known.cached(process_id, caller, demands)
            if cached is not None:
                return cached
            fresh = attempt > 0 or max_age_s is not None or known_version > 0
            try:
                reading = self._reads.get(process_id, caller, children=children, fresh=fresh)
                read = await _before(deadline, reading)
            except UNREADABLE:
                stale = self._last_known.stale(process_id, caller, demands)
                if stale is None:
                    raise
                return stale
            if read is not None and read.as_of >= arrived:
                return answer_of_read(Source.MISS, 0, read)
        raise Unreachable("the listener overtook every direct read")

    async def batch(self, process_ids: Sequence[str], caller: Caller, *, max_age_s: float | None = None) -> BatchAnswer:
        """Several processes; one call reads those that need a read. Raises: Unreachable, ReadRefused, BudgetExhausted.

        After a read the other processes are looked up again, because their states in memory have grown older.
        """
        arrived, deadline = self._clock(), self._deadline()
        read_now: dict[str, Answer] = {}
        demands = Demands(max_age_s=max_age_s)
        others = list(dict.fromkeys(process_ids))
        for attempt in range(self.ATTEMPTS):
            is_confirmed = await self._is_confirmed(arrived, max_age_s, deadline)
            found = {
                process_id: (self._hit(process_id, caller, 0, max_age_s) if is_confirmed else None)
                or self._last_known.cached(process_id, caller, demands)
                for process_id in others
            }
            asked = [process_id for process_id, answer in found.items() if answer is None]
            known = {process_id: answer for process_id, answer in found.items() if answer is not None}
            if not asked:
                return BatchAnswer(process_ids, known | read_now)
            try:
                fresh = attempt > 0 or max_age_s is not None
                reads = await _before(deadline, self._reads.get_many(asked, caller, fresh=fresh))
            except UNREADABLE:
                stale = self._stale_batch(others, caller, demands)
                if stale is None:
                    raise
                return BatchAnswer(process_ids, stale | read_now)
            for process_id, read in reads.items():
                if read is not None and read.as_of >= arrived:
                    read_now[process_id] = answer_of_read(Source.MISS, 0, read)
            others = [process_id for process_id in others if process_id not in read_now]
            if not others:
                return BatchAnswer(process_ids, read_now)
        raise Unreachable("the listener overtook every direct read")

    async def page(self, query: ListQuery, caller: Caller, *, max_age_s: float | None = None) -> ListAnswer:
        """One page of the processes that the caller sees. Raises: Unreachable, ReadRefused, BudgetExhausted.

        The page token names only the filters of the request. The owner filter is added again for every request.
        """
        within = self._within(query, caller)
        if fits_nothing(within.filters):
            return self._no_rows(query)
        page = await self._page(within, caller, max_age_s)
        return page if within is query else replace(page, filters=query.filters)

    def _no_rows(self, query: ListQuery) -> ListAnswer:
        """An empty list, for a query that can match nothing at any time."""
        return ListAnswer(Source.HIT, self.model_age_s or 0, (), False, query.filters)

    def _within(self, query: ListQuery, caller: Caller) -> ListQuery:
        """The query, limited to the processes that the caller sees."""
        return query if caller.owner is None else replace(query, filters=self._sight.within(query.filters, caller))

    async def _page(self, query: ListQuery, caller: Caller, max_age_s: float | None) -> ListAnswer:
        arrived, deadline = self._clock(), self._deadline()
        one_more = _and_one_more(query)
        fresh = max_age_s is not None
        while True:
            is_confirmed = await self._is_confirmed(arrived, max_age_s, deadline)
            hit = self._page_from_model(one_more, max_age_s) if is_confirmed else None
            if hit is not None:
                return hit
            if STALLED in query.filters:
                return await self._searched_page(query, is_confirmed=is_confirmed)
            cached = self._last_known.cached_page(one_more, max_age_s)
            if cached is not None:
                return cached
            try:
                rows = await _before(deadline, self._reads.rows(one_more, caller, fresh=fresh))
            except UNREADABLE:
                stale = self._last_known.stale_page(one_more, max_age_s)
                if stale is None:
                    raise
                return stale
            if rows.as_of >= arrived:
                return page_of(Source.MISS, 0, rows.summaries, one_more)
            fresh = True

    async def confirm(self, max_age_s: float) -> bool:
        """Whether the model is at most this old, if necessary after asking Firestore for a confirmation."""
        return await self._is_confirmed(self._clock(), max_age_s, self._deadline())

    def _deadline(self) -> float:
        """The end of the time for one answer, on the loop's clock, like all deadlines of reads."""
        return asyncio.get_running_loop().time() + self._timeout_s

    def _hit(self, process_id: str, caller: Caller, known_version: int, max_age_s: float | None) -> Answer | None:
        """The answer from the model, if it is as young as the client wants it."""
        hit = self.status_from_model(process_id, caller, known_version)
        if hit is None or max_age_s is None or hit.age_s <= max_age_s:
            return hit
        return replace(hit, age_s=int(max_age_s))

    def _page_from_model(self, one_more: ListQuery, max_age_s: float | None) -> ListAnswer | None:
        age_s = self._model.trusted_age_s
        held = None if age_s is None else self._model.rows(one_more)
        if age_s is None or held is None:
            return None
        claimed_s = rounded(age_s) if max_age_s is None else min(rounded(age_s), int(max_age_s))
        return page_of(Source.HIT, claimed_s, held, one_more)

    async def _searched_page(self, query: ListQuery, *, is_confirmed: bool) -> ListAnswer:
        """A page from the model: only the model knows which processes stall. Raises: Unreachable."""
        age_s, began = self._model.trusted_age_s, self._clock()
        if age_s is None or not is_confirmed:
            raise Unreachable("which processes stall is known only while the lease of the model holds")
        rows = await self._model.searched_rows(_and_one_more(query))
        return page_of(Source.HIT, age_s + self._clock() - began, rows, query)

    def _stale_batch(self, process_ids: Sequence[str], caller: Caller, demands: Demands) -> dict[str, Answer] | None:
        """The last known states, if there is one of every process; otherwise None."""
        found = {process_id: self._last_known.stale(process_id, caller, demands) for process_id in process_ids}
        known = {process_id: answer for process_id, answer in found.items() if answer is not None}
        return known if len(known) == len(found) else None

    async def _is_confirmed(self, arrived: float, max_age_s: float | None, deadline: float) -> bool:
        """Whether the model is as young as the client wants it, if necessary after asking Firestore for a confirmation.

        The confirmation gets half of the time; the other half is for the direct read after it.
        """
        if max_age_s is None:
            return True
        age_s = self._model.age_s
        if max_age_s and age_s is not None and age_s + (arrived - self._clock()) <= max_age_s:
            return True  # never for a strong read: two readings of a clock can be equal
        try:
            confirmed = await _before(deadline - self._timeout_s / 2, self._listener.confirm())
        except (CannotConfirm, Unreachable):
            return False
        return confirmed >= arrived - max_age_s


async def _before(deadline: float, reading: Awaitable[T]) -> T:
    """The result of `reading`. Raises: Unreachable if there is none before the deadline; and what `reading` raises."""
    try:
        async with asyncio.timeout_at(deadline):
            return await reading
    except TimeoutError as late:
        raise Unreachable("no answer in time") from late


def _and_one_more(query: ListQuery) -> ListQuery:
    """The query with one row more than the page: that row shows whether another page follows."""
    return replace(query, limit=query.limit + 1)
