"""The answers of `/stats`: counts of the processes in the model.

Every change updates the counts of all processes, so answering them takes microseconds, whatever the size of the model.
Counts of some processes are made in slices when a request asks for them. They are used again while nothing changes,
otherwise for a second, or for REUSE times as long as counting took; the `Age` of the answer includes this. If a process
changes while it is counted, it counts in its old state, in its new one, or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import orjson

from listeners.listener import Clock
from listeners.times import moment
from service.api.caller import Caller
from service.api.etags import content_etag
from service.api.list_query import ListQuery, StartKey
from service.api.ordering import Order
from service.api.sources import Source
from service.errors import Unreachable
from service.model.read_model import ReadModel
from service.model.statistics import Statistics
from service.reads.answer import RenderedPage, rounded
from service.reads.answers import Answers
from service.reads.single_flight import SingleFlight
from service.runtime.slicer import sliced
from service.runtime.sorted_numbers import SortedNumbers
from service.runtime.times import render_time
from service.schema.compiled import ProcessSummary

PERIODS_S = (60, 3600)
"""The periods in seconds for which `finished` counts processes that have ended."""

PERCENTILES = {"p50": 0.5, "p95": 0.95, "max": 1.0}
NO_STATUS = ""
"""The key for processes without a readable status."""

MINUTE_US = 60_000_000
REUSE = 20
MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class StatisticsAnswer:
    """The answer, its source and its age."""

    source: Source
    age_s: int
    body: bytes


class ProcessGauges(NamedTuple):
    """See telemetry.process_metrics.ProcessCounts."""

    by_status: Mapping[str | None, int]
    stalled: int
    oldest_unfinished_s: float


class _Collected(NamedTuple):
    """The counts of some processes: their state at `as_of` on the injected clock, in the model's `generation`."""

    statistics: Statistics
    as_of: float
    generation: int
    reusable_for_s: float


class StatisticsReads:
    """Answers only from the model, under its lease. When that has lapsed, STALE within `stale_if_error_s`."""

    def __init__(
        self, model: ReadModel, answers: Answers, order: Order, *, clock: Clock, stale_if_error_s: float
    ) -> None:
        self._model = model
        self._answers = answers
        self._order = order
        self._clock = clock
        self._stale_if_error_s = stale_if_error_s
        self._rendered_for: tuple[int, int] | None = None
        self._rendered = RenderedPage(b"", b"")
        self._collected: dict[ListQuery, _Collected] = {}
        self._collecting: SingleFlight[_Collected] = SingleFlight()

    def page(self, raw_query: str, caller: Caller) -> tuple[int, RenderedPage] | None:
        """The age in seconds and the answer about all processes; None while the lease has lapsed.

        Also None with a query, and for a caller that does not see all processes.
        """
        age_s, now = self._answers.model_age_s, self._model.firestore_time
        is_of_all = not raw_query and caller.owner is None
        return (age_s, self._render_all(now)) if is_of_all and age_s is not None and now is not None else None

    def gauges(self) -> ProcessGauges | None:
        """Counts for metrics, even after the lease has lapsed; None before the first load.

        They are the model's own objects.
        """
        statistics = self._model.statistics
        if not self._model.has_synced:
            return None
        oldest = statistics.oldest_unfinished
        began = None if oldest is None else order_time(self._order, oldest[0])
        return ProcessGauges(statistics.by_status, statistics.stalled, 0.0 if began is None else began.timestamp())

    async def answer(
        self, query: ListQuery, caller: Caller, *, max_age_s: float | None = None, by_minute: int | None = None
    ) -> StatisticsAnswer:
        """Counts of the processes that the caller sees and that match the query. Raises: Unreachable.

        `by_minute`: the number of minutes to count one by one.
        """
        query = replace(query, filters=self._model.sight.within(query.filters, caller))
        is_confirmed = max_age_s is None or await self._answers.confirm(max_age_s)
        now, age_s = self._model.firestore_time, self._model.age_s
        source = Source.HIT
        if now is None or not is_confirmed:
            if age_s is None or max_age_s is not None or age_s > self._stale_if_error_s:
                raise Unreachable("only the model counts processes, and its lease has lapsed")
            source, now = Source.STALE, self._model.read_time
        assert age_s is not None  # noqa: S101 - there is a time of Firestore's, so there was a consistent point
        if query == ListQuery(query.limit):
            claimed_s = age_s if max_age_s is None else min(age_s, max_age_s)
            body = (
                self._render_all(now).body
                if by_minute is None
                else self._render(self._model.statistics, now, by_minute)
            )
            return StatisticsAnswer(source, rounded(claimed_s), body)
        held_for_s = age_s
        collected = self._kept(query, is_fresh=max_age_s is not None)
        if collected is None:
            collected = await self._collecting.share(
                query, lambda: self._collect(query, held_for_s), fresh=max_age_s is not None
            )
        if collected.generation == self._model.generation and source is Source.HIT:
            age_s = self._model.age_s or 0.0
        else:
            age_s = self._clock() - collected.as_of
        return StatisticsAnswer(source, rounded(age_s), self._render(collected.statistics, now, by_minute))

    def _kept(self, query: ListQuery, *, is_fresh: bool) -> _Collected | None:
        kept = self._collected.get(query)
        if kept is None or kept.generation == self._model.generation:
            return kept
        return None if is_fresh or self._clock() - kept.as_of > kept.reusable_for_s else kept

    async def _collect(self, query: ListQuery, age_s: float) -> _Collected:
        statistics, began, generation = Statistics(self._model.finishes), self._clock(), self._model.generation
        async for summary in sliced(self._model.walk(query.filters)):
            if summary is not None and _is_within(summary, query):
                statistics.move(None, summary)
        reusable_for_s = max(1.0, REUSE * (self._clock() - began))
        collected = _Collected(statistics, began - age_s, generation, age_s + reusable_for_s)
        if len(self._collected) >= MOST_KEPT:
            self._collected.clear()
        self._collected[query] = collected
        return collected

    def _render_all(self, now: int) -> RenderedPage:
        statistics = self._model.statistics
        of = (statistics.revision, now // 1_000_000)
        if of != self._rendered_for:
            body = self._render(statistics, now)
            self._rendered_for, self._rendered = of, RenderedPage(body, content_etag(body).encode())
        return self._rendered

    def _render(self, statistics: Statistics, now: int, by_minute: int | None = None) -> bytes:
        oldest = statistics.oldest_unfinished
        started = None if oldest is None else order_time(self._order, oldest[0])
        body = {
            "processes": len(statistics),
            "complete": self._model.is_complete,
            "by_status": {status or NO_STATUS: count for status, count in _sorted(statistics.by_status)},
            "stalled": statistics.stalled,
            "oldest_unfinished": None if started is None else render_time(started),
            "finished": {str(period_s): _ended_since(statistics, now - period_s * 1_000_000) for period_s in PERIODS_S},
            "duration_s": {status: _percentiles(numbers) for status, numbers in sorted(statistics.durations.items())},
        }
        if by_minute is not None:
            body["finished_by_minute"] = _by_minute(statistics, now, by_minute)
        return orjson.dumps(body)


def _sorted(by_status: Mapping[str | None, int]) -> list[tuple[str | None, int]]:
    """The counts in order. A status that is the empty text counts as no status."""
    missing = by_status.get(None, 0) + by_status.get(NO_STATUS, 0)
    known = sorted((status, count) for status, count in by_status.items() if status)
    return [*([(None, missing)] if missing else []), *known]


def _ended_since(statistics: Statistics, since: int) -> dict[str, int]:
    counts = {status: len(ended) - ended.count_below(since) for status, ended in sorted(statistics.ended.items())}
    return {status: count for status, count in counts.items() if count}


def _by_minute(statistics: Statistics, now: int, minutes: int) -> dict[str, object]:
    """The counts of each whole minute of Firestore's time, the oldest first, up to the present minute."""
    end = (now // MINUTE_US + 1) * MINUTE_US
    starts = range(end - minutes * MINUTE_US, end, MINUTE_US)
    counts = {}
    for status, ended in sorted(statistics.ended.items()):
        below = [ended.count_below(start) for start in (*starts, end)]
        if below[0] != below[-1]:
            counts[status] = [later - earlier for earlier, later in pairwise(below)]
    return {"from": render_time(moment(starts[0])), "counts": counts}


def _percentiles(numbers: SortedNumbers) -> dict[str, float]:
    """Percentiles: the least duration that is not below this share of the processes."""
    return {name: numbers[ceil(share * len(numbers)) - 1] for name, share in PERCENTILES.items()}


def _is_within(summary: ProcessSummary, query: ListQuery) -> bool:
    if query.lower is None and query.upper is None:
        return True
    if summary.position is None:
        return False
    start: StartKey = summary.position[0]
    if query.lower is not None and start < query.lower:  # type: ignore[operator] # both are keys of one order
        return False
    if query.upper is None or start < query.upper:  # type: ignore[operator]
        return True
    return query.upper_inclusive and start == query.upper


def order_time(order: Order, key: StartKey) -> datetime | None:
    """The value of the ordering field as a time; None if it is no time."""
    try:
        if isinstance(key, str):
            found = datetime.fromisoformat(key)
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        per_unit = {"milliseconds": 1_000, "seconds": 1_000_000}.get(order.type, 1)
        return moment(round(key * per_unit))
    except (ValueError, OverflowError):
        return None
