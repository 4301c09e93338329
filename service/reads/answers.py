"""Which source answers, and what may be claimed about it.

A HIT comes from the model while its lease holds, a MISS from a read made for the request, CACHED from a read
remembered for a few seconds, STALE from the last known state while Firestore can't be reached. `known_version` is the
version the client saw last: nothing older is ever answered (monotonic reads). `max_age_s` is what the client asked
for: 0 is Firestore's state at or after the request's arrival.

An age is tested and claimed by one reading of the clock: a process may be frozen between any two.

However many reads an answer takes, and whatever they had to wait for, it is there within `timeout_s` of the question.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Protocol, TypeVar

import orjson

from listeners.listener import CannotConfirm, Clock
from service.api.list_query import ListQuery, write_page_token
from service.api.sources import Source
from service.errors import Unreachable
from service.model.read_model import ReadModel
from service.reads.firestore_reader import Read
from service.reads.read_through import ReadThrough
from service.schema.documents import ProcessSummary

T = TypeVar("T")

SHARED_S = 1.0
"""How long before a request a read may have begun to be that request's too: less than an Age can tell."""


@dataclass(slots=True)
class Answer:
    """The state of one process; `summary` is None and `body` empty where it does not exist.

    Never changed once made, but not frozen: one is made for every request, and that would take three times as long.
    """

    source: Source
    age_s: int
    summary: ProcessSummary | None
    body: bytes

    @property
    def version(self) -> int:
        """0 where there is no document: older than every version."""
        return 0 if self.summary is None else self.summary.version


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """One page, and whether another follows."""

    source: Source
    age_s: int
    rows: Sequence[ProcessSummary]
    has_more: bool

    @property
    def body(self) -> bytes:
        """The 200 body, rendered anew."""
        token = None
        if self.has_more and (position := self.rows[-1].position) is not None:
            token = write_page_token(position)
        rows = b",".join([summary.row for summary in self.rows])
        return b'{"processes":[%b],"count":%d,"next_page_token":%b}' % (rows, len(self.rows), orjson.dumps(token))


class Confirms(Protocol):
    """Whoever can prove that the model is up to date: the supervised listener."""

    async def confirm(self) -> float:
        """Returns the instant, at or after the call, that the model is proven for. Raises: CannotConfirm."""


class Answers:
    """Answers questions about processes from the best source that satisfies them."""

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
        self._stale_if_error_s = stale_if_error_s
        self._timeout_s = timeout_s

    def held(self, process_id: str, known_version: int = 0) -> tuple[ProcessSummary, int] | None:
        """What costs nothing: the held version, under the lease, not older than the one known. And its age."""
        age_s = self._model.trusted_age_s
        held = self._model.get(process_id)
        if age_s is None or held is None or held.version < known_version:
            return None
        return held, ceil(age_s) if age_s > 0 else 0  # _rounded, without the call

    def status_from_model(self, process_id: str, known_version: int = 0) -> Answer | None:
        """The same as an answer; where the model holds everything, also that there is no such process."""
        found = self.held(process_id, known_version)
        if found is not None:
            held, age_s = found
            return Answer(Source.HIT, age_s, held, held.body)
        model_age_s = self.model_age_s
        if model_age_s is None or known_version or not self._model.holds_everything:
            return None
        return Answer(Source.HIT, model_age_s, None, b"")

    @property
    def model_age_s(self) -> int | None:
        """What an answer from the model may claim now; None while it may not be asked."""
        age_s = self._model.trusted_age_s
        return None if age_s is None else _rounded(age_s)

    def page_from_model(self, query: ListQuery) -> ListAnswer | None:
        """The page that costs nothing: under the lease, where the window proves it."""
        return self._page_from_model(_and_one_more(query), None)

    async def status(
        self,
        process_id: str,
        *,
        known_version: int = 0,
        max_age_s: float | None = None,
        include_products: bool = False,
    ) -> Answer:
        """The state of one process. Raises: Unreachable, ReadRefused, BudgetExhausted."""
        arrived, deadline = self._clock(), self._deadline()
        for attempt in range(self.ATTEMPTS):
            if not include_products and await self._is_confirmed(arrived, max_age_s, deadline):
                hit = self.status_from_model(process_id, known_version)
                if hit is not None:
                    return hit if max_age_s is None or hit.age_s <= max_age_s else replace(hit, age_s=int(max_age_s))
            if attempt == 0:
                cached = self._remembered(process_id, include_products, known_version, max_age_s)
                if cached is not None:
                    return cached
            try:
                fresh = attempt > 0 or max_age_s is not None or known_version > 0
                reading = self._reads.get(process_id, include_products=include_products, fresh=fresh)
                read = await _before(deadline, reading)
            except Unreachable:
                stale = self._stale(process_id, include_products, known_version, max_age_s)
                if stale is None:
                    raise
                return stale
            if read is not None and read.as_of >= arrived - SHARED_S:
                return _answer(Source.MISS, 0, read)
        raise Unreachable("the listener overtook every direct read")

    async def page(self, query: ListQuery, *, max_age_s: float | None = None) -> ListAnswer:
        """One page of processes. Raises: Unreachable, ReadRefused, BudgetExhausted."""
        arrived, deadline = self._clock(), self._deadline()
        one_more = _and_one_more(query)
        if await self._is_confirmed(arrived, max_age_s, deadline):
            hit = self._page_from_model(one_more, max_age_s)
            if hit is not None:
                return hit
        cached = self._remembered_page(one_more, max_age_s)
        if cached is not None:
            return cached
        try:
            rows = await _before(deadline, self._reads.rows(one_more, fresh=max_age_s is not None))
            if rows.as_of < arrived - SHARED_S:
                rows = await _before(deadline, self._reads.rows(one_more, fresh=True))
        except Unreachable:
            stale = self._stale_list(one_more, max_age_s)
            if stale is None:
                raise
            return stale
        return _page(Source.MISS, 0, rows.summaries, query.limit)

    def _deadline(self) -> float:
        """On the loop's clock, as everything is that ends a read."""
        return asyncio.get_running_loop().time() + self._timeout_s

    def _page_from_model(self, one_more: ListQuery, max_age_s: float | None) -> ListAnswer | None:
        age_s = self._model.trusted_age_s
        held = None if age_s is None else self._model.rows(one_more)
        if age_s is None or held is None:
            return None
        claimed_s = _rounded(age_s) if max_age_s is None else min(_rounded(age_s), int(max_age_s))
        return _page(Source.HIT, claimed_s, held, one_more.limit - 1)

    def _remembered_page(self, one_more: ListQuery, max_age_s: float | None) -> ListAnswer | None:
        now = self._clock()
        cached = self._reads.remembered_list(one_more, now=now)
        if cached is None or not _is_young_enough(now - cached.as_of, max_age_s):
            return None
        return _page(Source.CACHED, _rounded(now - cached.as_of), cached.summaries, one_more.limit - 1)

    async def _is_confirmed(self, arrived: float, max_age_s: float | None, deadline: float) -> bool:
        """Whether the model is, or by asking Firestore has been made, as young as the client wants it.

        Half of the time belongs to the direct read after it, whatever the listener does.
        """
        if max_age_s is None:
            return True
        age_s = self._model.age_s
        if max_age_s and age_s is not None and age_s + (arrived - self._clock()) <= max_age_s:
            return True  # never for a strong read: a clock that is read twice may show the same
        try:
            confirmed = await _before(deadline - self._timeout_s / 2, self._listener.confirm())
        except (CannotConfirm, Unreachable):
            return False
        return confirmed >= arrived - max_age_s

    def _remembered(
        self, process_id: str, include_products: bool, known_version: int, max_age_s: float | None
    ) -> Answer | None:
        now = self._clock()
        read = self._reads.remembered(process_id, include_products=include_products, now=now)
        if read is None or not _is_young_enough(now - read.as_of, max_age_s):
            return None
        return _unless_older(Source.CACHED, now - read.as_of, read, known_version)

    def _stale(
        self, process_id: str, include_products: bool, known_version: int, max_age_s: float | None
    ) -> Answer | None:
        """The last known state, where it is not too old for anybody: the model's or the cache's, whichever is newer."""
        if not _is_young_enough(0, max_age_s):
            return None
        limit_s = self._stale_if_error_s if max_age_s is None else min(max_age_s, self._stale_if_error_s)
        held, age_s, now = self._model.get(process_id), self._model.age_s, self._clock()
        read = self._reads.remembered(process_id, include_products=include_products, max_age_s=limit_s, now=now)
        is_newest = (
            held is not None and not include_products and (read is None or read.read_time <= self._model.read_time)
        )
        if held is not None and is_newest and age_s is not None and age_s <= limit_s:
            return _held(Source.STALE, age_s, held) if held.version >= known_version else None
        return None if read is None else _unless_older(Source.STALE, now - read.as_of, read, known_version)

    def _stale_list(self, one_more: ListQuery, max_age_s: float | None) -> ListAnswer | None:
        if not _is_young_enough(0, max_age_s):
            return None
        limit_s = self._stale_if_error_s if max_age_s is None else min(max_age_s, self._stale_if_error_s)
        age_s, now = self._model.age_s, self._clock()
        read = self._reads.remembered_list(one_more, max_age_s=limit_s, now=now)
        if age_s is not None and age_s <= limit_s and (read is None or age_s <= now - read.as_of):
            held = self._model.rows(one_more)
            if held is not None:
                return _page(Source.STALE, _rounded(age_s), held, one_more.limit - 1)
        if read is None:
            return None
        return _page(Source.STALE, _rounded(now - read.as_of), read.summaries, one_more.limit - 1)


async def _before(deadline: float, reading: Awaitable[T]) -> T:
    """Raises: Unreachable where it is not there by then; and what `reading` raises."""
    try:
        async with asyncio.timeout_at(deadline):
            return await reading
    except TimeoutError as late:
        raise Unreachable("no answer in time") from late


def _is_young_enough(age_s: float, max_age_s: float | None) -> bool:
    """Nothing that was there before is, to a strong read: it may have begun at the same reading of the clock."""
    return max_age_s is None or (max_age_s > 0 and age_s <= max_age_s)


def _rounded(age_s: float) -> int:
    """Up: what is claimed is a bound."""
    return max(0, ceil(age_s))


def _held(source: Source, age_s: float, held: ProcessSummary) -> Answer:
    return Answer(source, _rounded(age_s), held, held.body)


def _unless_older(source: Source, age_s: float, read: Read, known_version: int) -> Answer | None:
    answer = _answer(source, _rounded(age_s), read)
    return answer if answer.version >= known_version else None


def _answer(source: Source, age_s: int, read: Read) -> Answer:
    return Answer(source, age_s, read.summary, read.body)


def _and_one_more(query: ListQuery) -> ListQuery:
    """One row beyond the page tells whether another page follows."""
    return replace(query, limit=query.limit + 1)


def _page(source: Source, age_s: int, rows: Sequence[ProcessSummary], limit: int) -> ListAnswer:
    return ListAnswer(source, age_s, rows[:limit], len(rows) > limit)
