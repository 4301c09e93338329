"""Which source answers, and which age can be claimed for it.

A HIT comes from the model while its lease holds, a MISS from a read that began after the request had arrived, CACHED
from a read remembered for a few seconds (to a request that joined one under way, that read is such a one), STALE from
the last known state while Firestore can't be read. `known_version` is the version that the client saw last: no
older one is ever answered (monotonic reads). `max_age_s` is what the client asked for: 0 is Firestore's state at or
after the request's arrival.

An age is tested and claimed by one reading of the clock: the service can be frozen between any two.

However many reads an answer takes, and whatever they wait for, it is there within `timeout_s` of the question.
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
"""What ends a read without an answer: then the last known state is answered, where it is young enough."""


class Confirms(Protocol):
    """The supervised listener, which can prove that the model is up to date."""

    async def confirm(self) -> float:
        """Returns the instant, at or after the call, that the model is proven for. Raises: CannotConfirm."""


class Answers:
    """Answers a caller's questions about processes from the best source that satisfies them."""

    ATTEMPTS = 3
    """Reads made for one answer before giving up, where the listener overtakes each of them."""

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
        """The held version and its age, under the lease, where the caller sees it and knows none newer. Costs no read.

        A process that the caller does not see is, here and in all that follows, one that does not exist.
        """
        age_s = self._model.trusted_age_s
        held = self._model.get(process_id)
        if age_s is None or held is None or held.version < known_version:
            return None
        if caller.owner is not None and not self._sight.shows(caller, held):
            return None
        return held, ceil(age_s) if age_s > 0 else 0  # `rounded`, without the call

    def status_from_model(self, process_id: str, caller: Caller, known_version: int = 0) -> Answer | None:
        """The same as an answer; where the model holds everything, also that there is no such process."""
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
        """The Age of an answer from the model now; None while its lease has lapsed."""
        age_s = self._model.trusted_age_s
        return None if age_s is None else rounded(age_s)

    def page_from_model(self, query: ListQuery, caller: Caller) -> ListAnswer | None:
        """The page from the model: under the lease, where the window proves it. Costs no read."""
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
        """Several processes, read in one call where they have to be. Raises: Unreachable, ReadRefused, BudgetExhausted.

        After a read the others are looked up again: what memory said before it has grown older since.
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

        Its token names the filters that were asked for: the owner is added to whoever comes with it.
        """
        within = self._within(query, caller)
        if fits_nothing(within.filters):
            return self._no_rows(query)
        page = await self._page(within, caller, max_age_s)
        return page if within is query else replace(page, filters=query.filters)

    def _no_rows(self, query: ListQuery) -> ListAnswer:
        """What Firestore would answer at any time."""
        return ListAnswer(Source.HIT, self.model_age_s or 0, (), False, query.filters)

    def _within(self, query: ListQuery, caller: Caller) -> ListQuery:
        """The query for those alone that the caller sees."""
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
        """Whether the model is, or by asking Firestore has been made, no older than this as of now."""
        return await self._is_confirmed(self._clock(), max_age_s, self._deadline())

    def _deadline(self) -> float:
        """On the loop's clock, as everything is that ends a read."""
        return asyncio.get_running_loop().time() + self._timeout_s

    def _hit(self, process_id: str, caller: Caller, known_version: int, max_age_s: float | None) -> Answer | None:
        """From the model, which is as young as the client wants it."""
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
        """From the model, the only place where it is known which processes stall. Raises: Unreachable."""
        age_s, began = self._model.trusted_age_s, self._clock()
        if age_s is None or not is_confirmed:
            raise Unreachable("which processes stall is known only while the model is current")
        rows = await self._model.searched_rows(_and_one_more(query))
        return page_of(Source.HIT, age_s + self._clock() - began, rows, query)

    def _stale_batch(self, process_ids: Sequence[str], caller: Caller, demands: Demands) -> dict[str, Answer] | None:
        """The last known state of all of them, or of none."""
        found = {process_id: self._last_known.stale(process_id, caller, demands) for process_id in process_ids}
        known = {process_id: answer for process_id, answer in found.items() if answer is not None}
        return known if len(known) == len(found) else None

    async def _is_confirmed(self, arrived: float, max_age_s: float | None, deadline: float) -> bool:
        """Whether the model is, or by asking Firestore has been made, as young as the client wants it.

        Half of the time belongs to the direct read after it, whatever the listener does.
        """
        if max_age_s is None:
            return True
        age_s = self._model.age_s
        if max_age_s and age_s is not None and age_s + (arrived - self._clock()) <= max_age_s:
            return True  # never for a strong read: two readings of a clock can be the same
        try:
            confirmed = await _before(deadline - self._timeout_s / 2, self._listener.confirm())
        except (CannotConfirm, Unreachable):
            return False
        return confirmed >= arrived - max_age_s


async def _before(deadline: float, reading: Awaitable[T]) -> T:
    """Raises: Unreachable where it is not there by then; and what `reading` raises."""
    try:
        async with asyncio.timeout_at(deadline):
            return await reading
    except TimeoutError as late:
        raise Unreachable("no answer in time") from late


def _and_one_more(query: ListQuery) -> ListQuery:
    """One row beyond the page shows whether another page follows."""
    return replace(query, limit=query.limit + 1)
