"""What direct reads said, for as long as it can be answered. Lives on the event loop.

By process ID it keeps what Firestore said last, with each set of children that was asked for. What that means for a
caller is another matter: a process that it does not see does not exist, and what others asked for must not show. So
beside it stands what was answered as missing to each owner, whether it does not exist or belongs to another.
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
"""What an entry costs beside its body: the summary, the key and the cache's own bookkeeping, rounded up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A list that was read: the rows, and the local instant at or after which it was Firestore's answer."""

    summaries: list[ProcessSummary]
    as_of: float


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long direct reads are remembered, in seconds, and how many bytes of them."""

    ttl_s: float
    negative_ttl_s: float
    stale_if_error_s: float
    max_bytes: int


Forms = dict[tuple[str, ...], Read]
"""What was read of one process, by the children read with it: all of one version. Never changed once remembered."""


class ReadCache:
    """Bounded in bytes. The model says which deletions it does not know of yet."""

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
        """What it takes, about."""
        return int(self._kept.currsize)

    def read(self, process_id: str, children: tuple[str, ...]) -> Read | None:
        """What Firestore said last, read with these children."""
        return self._forms(process_id).get(children)

    def reads(self, process_id: str) -> Iterable[Read]:
        """The same, with whichever."""
        return self._forms(process_id).values()

    def denied(self, process_id: str, owner: Hashable, children: tuple[str, ...]) -> Read | None:
        """The last answer to this owner, where that was that there is no such process."""
        return self._forms((process_id, owner, children)).get(children)

    def rows(self, query: ListQuery) -> Rows | None:
        """The rows of the same query."""
        rows = self._kept.get(query)
        return rows if isinstance(rows, Rows) else None

    def ttl_s(self, read: Read) -> float:
        """How long this is CACHED."""
        return self._limits.negative_ttl_s if read.summary is None else self._limits.ttl_s

    @property
    def rows_ttl_s(self) -> float:
        """The same of a list."""
        return self._limits.ttl_s

    def remember_read(self, process_id: str, children: tuple[str, ...], read: Read) -> None:
        """Reads can land in another order than Firestore served them: the later `read_time` stays."""
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
        """Remember that this owner is answered that there is no such process."""
        self._remember((process_id, owner, children), {children: read})

    def remember_rows(self, query: ListQuery, rows: Rows) -> None:
        """As they were read now."""
        self._remember(query, rows)

    def forget(self, removed: Mapping[str, object]) -> None:
        """The listener has removed these. Costs as much as the smaller of the two."""
        for process_id in self._remembered_among(removed):
            self._kept.pop(process_id, None)

    def _remembered_among(self, removed: Mapping[str, object]) -> Iterable[str]:
        """A superset of the removed IDs that are remembered."""
        if len(removed) <= len(self._kept):
            return removed
        return [key for key in self._kept if isinstance(key, str) and key in removed]

    def _forms(self, key: Hashable) -> Forms:
        found = self._kept.get(key)
        return found if isinstance(found, dict) else {}

    def _remember(self, key: Hashable, value: Forms | Rows) -> bool:
        """Returns whether there is room for it at all."""
        has_room = _size(value) <= self._kept.maxsize
        if has_room:
            self._kept[key] = value
        return has_room

    def _kept_until(self, key: Hashable, value: Forms | Rows, _now: float) -> float:
        """A deletion that the model does not know of is kept as long as the model's older state could be answered."""
        if isinstance(value, Rows):
            return value.as_of + self.keep_s
        as_of = max(read.as_of for read in value.values())
        if any(read.summary is not None for read in value.values()):
            return as_of + self.keep_s
        is_news = isinstance(key, str) and self._model.get(key) is not None
        return as_of + (self.keep_s if is_news else self._limits.negative_ttl_s)


def version_of(read: Read) -> int:
    """0 where there is no document: older than every version."""
    return 0 if read.summary is None else read.summary.version


def _size(value: Forms | Rows) -> int:
    if isinstance(value, dict):
        return sum(_ENTRY_OVERHEAD_BYTES + len(read.body) for read in value.values())
    return _ENTRY_OVERHEAD_BYTES + sum(_ENTRY_OVERHEAD_BYTES + len(summary.body) for summary in value.summaries)
