"""The direct-read cache: results of direct reads, for as long as they can be answers. Lives on the event loop.

For each process ID it keeps Firestore's last state, once per set of requested children. A caller with an owner must not
notice another owner's process, nor the reads of other callers. So the cache also keeps, per owner, the answers that a
process does not exist, whether it is missing or belongs to another owner.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from cachetools import TLRUCache

from listeners.listener import Clock
from service.api.list_query import ListQuery
from service.model.read_model import ReadModel
from service.reads.firestore_reader import Read
from service.schema.compiled import ProcessSummary

_ENTRY_OVERHEAD_BYTES = 700
"""The bytes of an entry in addition to its body: the summary, the key and the cache's own data, rounded up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a list that was read; they were Firestore's answer at `as_of`, a local instant, or later."""

    summaries: list[ProcessSummary]
    as_of: float


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long results are kept, in seconds, and how many bytes."""

    ttl_s: float
    negative_ttl_s: float
    stale_if_error_s: float
    max_bytes: int


Forms = dict[tuple[str, ...], Read]
"""The reads of one process by the children read with it, all of one version. Immutable once in the cache."""


class ReadCache:
    """Bounded in bytes. Asks the model which deletions it does not know yet."""

    def __init__(self, model: ReadModel, limits: CacheLimits, *, clock: Clock) -> None:
        self._model = model
        self._limits = limits
        self._clock = clock
        self.keep_s = max(limits.ttl_s, limits.stale_if_error_s)
        self._kept: TLRUCache[Hashable, Forms | Rows] = TLRUCache(
            limits.max_bytes, ttu=self._kept_until, timer=clock, getsizeof=_size
        )

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """The approximate size."""
        return int(self._kept.currsize)

    def read(self, process_id: str, children: tuple[str, ...]) -> Read | None:
        """The last read of the process with these children."""
        return self._forms(process_id).get(children)

    def reads(self, process_id: str) -> Iterable[Read]:
        """The last reads of the process, with any children."""
        return self._forms(process_id).values()

    def denied(self, process_id: str, owner: Hashable, children: tuple[str, ...]) -> Read | None:
        """The last answer to this owner, if it was that there is no such process."""
        return self._forms((process_id, owner, children)).get(children)

    def rows(self, query: ListQuery) -> Rows | None:
        """The rows of the same query."""
        rows = self._kept.get(query)
        return rows if isinstance(rows, Rows) else None

    def ttl_s(self, read: Read) -> float:
        """How long this read can be answered as CACHED."""
        return self._limits.negative_ttl_s if read.summary is None else self._limits.ttl_s

    @property
    def rows_ttl_s(self) -> float:
        """The same for a list."""
        return self._limits.ttl_s

    def remember_read(self, process_id: str, children: tuple[str, ...], read: Read) -> None:
        """Keep the read with the greatest `read_time`: reads can arrive in another order than Firestore has served
        them.
        """
        known = self._forms(process_id)
        alike = {form: each for form, each in known.items() if version_of(each) == version_of(read)}
        if any(each.read_time > read.read_time for form, each in known.items() if form not in alike):
            return
        kept = {form: each for form, each in alike.items() if each.as_of > self._clock() - self.keep_s}
        self._kept.pop(process_id, None)
        for forms in ({**kept, children: read}, {children: read}, kept):
            if forms and self._remember(process_id, forms):
                return

    def deny(self, process_id: str, owner: Hashable, children: tuple[str, ...], read: Read) -> None:
        """Remember that the answer for this owner is that there is no such process."""
        self._remember((process_id, owner, children), {children: read})

    def remember_rows(self, query: ListQuery, rows: Rows) -> None:
        """Remember the rows, which were read now."""
        self._remember(query, rows)

    def forget(self, removed: Mapping[str, object]) -> None:
        """Forget processes that the listener has removed.

        The cost is that of the smaller set: the removed or the cached.
        """
        for process_id in self._remembered_among(removed):
            self._kept.pop(process_id, None)

    def _remembered_among(self, removed: Mapping[str, object]) -> Iterable[str]:
        """The removed IDs that are in the cache; the result can have further IDs."""
        if len(removed) <= len(self._kept):
            return removed
        return [key for key in self._kept if isinstance(key, str) and key in removed]

    def _forms(self, key: Hashable) -> Forms:
        found = self._kept.get(key)
        return found if isinstance(found, dict) else {}

    def _remember(self, key: Hashable, value: Forms | Rows) -> bool:
        """Add an entry. Returns whether there is room for it at all."""
        has_room = _size(value) <= self._kept.maxsize
        if has_room:
            self._kept[key] = value
        return has_room

    def _kept_until(self, key: Hashable, value: Forms | Rows, _now: float) -> float:
        """The end of an entry. A deletion that the model does not know yet outlives the model's older state."""
        if isinstance(value, Rows):
            return value.as_of + self.keep_s
        as_of = max(read.as_of for read in value.values())
        if any(read.summary is not None for read in value.values()):
            return as_of + self.keep_s
        is_news = isinstance(key, str) and self._model.get(key) is not None
        return as_of + (self.keep_s if is_news else self._limits.negative_ttl_s)


def version_of(read: Read) -> int:
    """The version, or 0 if there is no document: 0 is older than every version."""
    return 0 if read.summary is None else read.summary.version


def _size(value: Forms | Rows) -> int:
    if isinstance(value, dict):
        return sum(_ENTRY_OVERHEAD_BYTES + len(read.body) for read in value.values())
    return _ENTRY_OVERHEAD_BYTES + sum(_ENTRY_OVERHEAD_BYTES + len(summary.body) for summary in value.summaries)
