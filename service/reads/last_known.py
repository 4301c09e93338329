"""Answers that cost no read: CACHED, from a read of the last few seconds, and STALE, the last known state.

`max_age_s` is the greatest age that the client accepts. For a strong request it is 0: then nothing known before the
request is young enough. Queries here ask for one row more than the page has. The test of an age and the age in the
answer use the same reading of the clock.
"""

from dataclasses import dataclass

from listeners.listener import Clock
from service.api.caller import Caller
from service.api.list_query import ListQuery
from service.api.sources import Source
from service.model.read_model import ReadModel
from service.reads.answer import Answer, ListAnswer, answer_of_read, page_of, rounded
from service.reads.firestore_reader import Read
from service.reads.read_through import ReadThrough


@dataclass(frozen=True, slots=True)
class Demands:
    """A request's demands on the answer about one process."""

    known_version: int = 0
    max_age_s: float | None = None
    children: tuple[str, ...] = ()


class LastKnown:
    """Looks into the model, even if its lease has lapsed, and into the direct-read cache."""

    def __init__(self, model: ReadModel, reads: ReadThrough, *, clock: Clock, stale_if_error_s: float) -> None:
        self._model = model
        self._reads = reads
        self._clock = clock
        self._stale_if_error_s = stale_if_error_s

    def cached(self, process_id: str, caller: Caller, demands: Demands) -> Answer | None:
        """The result of the last read, within its time to live."""
        now = self._clock()
        read = self._reads.remembered(process_id, caller, children=demands.children, now=now)
        if read is None or not _is_young_enough(now - read.as_of, demands.max_age_s):
            return None
        return _unless_older(Source.CACHED, now - read.as_of, read, demands.known_version)

    def cached_page(self, one_more: ListQuery, max_age_s: float | None) -> ListAnswer | None:
        """The same for a list."""
        now = self._clock()
        cached = self._reads.remembered_list(one_more, now=now)
        if cached is None or not _is_young_enough(now - cached.as_of, max_age_s):
            return None
        return page_of(Source.CACHED, now - cached.as_of, cached.summaries, one_more)

    def stale(self, process_id: str, caller: Caller, demands: Demands) -> Answer | None:
        """The last known state within its bound: the newer one of the model's and the cache's."""
        if not _is_young_enough(0, demands.max_age_s):
            return None
        limit_s = self._limit_s(demands.max_age_s)
        held, age_s, now = self._model.get(process_id), self._model.age_s, self._clock()
        if not self._model.sight.shows(caller, held):
            held = None
        read = self._reads.remembered(process_id, caller, children=demands.children, max_age_s=limit_s, now=now)
        is_newest = (
            held is not None and not demands.children and (read is None or read.read_time <= self._model.read_time)
        )
        if held is not None and is_newest and age_s is not None and age_s <= limit_s:
            return (
                Answer(Source.STALE, rounded(age_s), held, held.body) if held.version >= demands.known_version else None
            )
        return None if read is None else _unless_older(Source.STALE, now - read.as_of, read, demands.known_version)

    def stale_page(self, one_more: ListQuery, max_age_s: float | None) -> ListAnswer | None:
        """The same for a list."""
        if not _is_young_enough(0, max_age_s):
            return None
        limit_s = self._limit_s(max_age_s)
        age_s, now = self._model.age_s, self._clock()
        read = self._reads.remembered_list(one_more, max_age_s=limit_s, now=now)
        if age_s is not None and age_s <= limit_s and (read is None or age_s <= now - read.as_of):
            held = self._model.rows(one_more)
            if held is not None:
                return page_of(Source.STALE, age_s, held, one_more)
        if read is None:
            return None
        return page_of(Source.STALE, now - read.as_of, read.summaries, one_more)

    def _limit_s(self, max_age_s: float | None) -> float:
        return self._stale_if_error_s if max_age_s is None else min(max_age_s, self._stale_if_error_s)


def _is_young_enough(age_s: float, max_age_s: float | None) -> bool:
    """Whether the age is allowed. Never for a strong request: two readings of a clock can be equal."""
    return max_age_s is None or (max_age_s > 0 and age_s <= max_age_s)


def _unless_older(source: Source, age_s: float, read: Read, known_version: int) -> Answer | None:
    answer = answer_of_read(source, age_s, read)
    return answer if answer.version >= known_version else None
