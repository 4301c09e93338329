"""Documents in a query's order, kept incrementally: a change costs O(log n).

A document's position is a tuple: the sort keys of the ordering fields, then its name. If the first field descends, the
index is read backwards; so only fields with a differing direction need wrapping.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sortedcontainers import SortedList

from service.local_firestore.messages import DocumentMessage
from service.local_firestore.names import name_key
from service.local_firestore.paths import NAME, FieldPath, field_of
from service.local_firestore.values import LAST, Descending, Key, sort_key

Predicate = Callable[[DocumentMessage], bool]


@dataclass(frozen=True, slots=True)
class Order:
    path: FieldPath
    descending: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """Positions from `low` (included) up to `high` (excluded), in the index's own, ascending order."""

    low: Key | None = None
    high: Key | None = None

    def contain(self, position: Key) -> bool:
        return (self.low is None or position >= self.low) and (self.high is None or position < self.high)

    def narrowed(self, low: Key | None, high: Key | None) -> "Bounds":
        lows = [key for key in (self.low, low) if key is not None]
        highs = [key for key in (self.high, high) if key is not None]
        return Bounds(max(lows, default=None), min(highs, default=None))


EVERYTHING = Bounds()


class Ordering:
    """How documents become positions. The last of `orders` is the name."""

    def __init__(self, orders: tuple[Order, ...]) -> None:
        self.orders = orders
        self.backwards = orders[0].descending
        self._fields = [(order.path, order.descending != self.backwards) for order in orders[:-1]]
        self._wrap_name = orders[-1].descending != self.backwards

    def position(self, document: DocumentMessage) -> Key | None:
        """The position; None if the document lacks an ordering field: then no query with this order returns it."""
        keys: list[object] = []
        for path, wrapped in self._fields:
            value = field_of(document, path)
            if value is None:
                return None
            key = sort_key(value)
            keys.append(Descending(key) if wrapped else key)
        keys.append(self._name_key(document.name))
        keys.append(document.name)
        return tuple(keys)

    def _name_key(self, name: str) -> object:
        key = name_key(name)
        return Descending(key) if self._wrap_name else key

    def prefix(self, values: Iterable[object]) -> Key:
        """The beginning of a position, from sort keys (from a name for the last order) in the query's order."""
        wraps = [*(wrapped for _, wrapped in self._fields)]
        keys: list[object] = []
        for index, value in enumerate(values):
            if self.orders[index].path == NAME:
                keys.append(self._name_key(str(value)))
            else:
                keys.append(Descending(value) if wraps[index] else value)
        return tuple(keys)


def after(prefix: Key) -> Key:
    """The position after all positions that start with `prefix`."""
    return (*prefix, LAST)


class OrderedIndex:
    """The documents that have a position, match the predicate and lie within the bounds."""

    def __init__(self, ordering: Ordering, predicate: Predicate | None = None, bounds: Bounds = EVERYTHING) -> None:
        self.ordering = ordering
        self.backwards = ordering.backwards
        self._predicate = predicate
        self._bounds = bounds
        self._positions: SortedList = SortedList()
        self._position_of: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._position_of)

    def load(self, documents: Iterable[DocumentMessage]) -> "OrderedIndex":
        """Fill the empty index: sorting once is faster than inserting one by one."""
        for document in documents:
            position = self._position(document)
            if position is not None:
                self._position_of[document.name] = position
        self._positions = SortedList(self._position_of.values())
        return self

    def replace(self, name: str, document: DocumentMessage | None) -> tuple[Key | None, Key | None]:
        """Apply one change. Returns the document's positions before and after it."""
        old = self._position_of.get(name)
        new = None if document is None else self._position(document)
        if old != new:
            if old is not None:
                self._positions.remove(old)
                del self._position_of[name]
            if new is not None:
                self._positions.add(new)
                self._position_of[name] = new
        return old, new

    def _position(self, document: DocumentMessage) -> Key | None:
        position = self.ordering.position(document)
        if position is None or not self._bounds.contain(position):
            return None
        return position if self._predicate is None or self._predicate(document) else None

    def boundary(self, limit: int) -> Key | None:
        """The position of the last of the first `limit` documents; None if there are no more documents than that."""
        if len(self._positions) <= limit:
            return None
        position: Key = self._positions[-limit if self.backwards else limit - 1]
        return position

    def is_before(self, position: Key, boundary: Key) -> bool:
        """Whether a position comes before the boundary, or is it."""
        return position >= boundary if self.backwards else position <= boundary

    def names_between(self, start: Key, end: Key | None) -> list[str]:
        """Names after `start` up to `end` (inclusive; None: to the end), in the query's direction."""
        if self.backwards:
            found = self._positions.irange(end, start, inclusive=(True, False), reverse=True)
        else:
            found = self._positions.irange(start, end, inclusive=(False, True))
        return [position[-1] for position in found]

    def names(self, bounds: Bounds = EVERYTHING) -> Iterator[str]:
        """Names within the bounds, in the query's direction. The index must not change meanwhile."""
        start, stop = self._slice(bounds)
        return (position[-1] for position in self._positions.islice(start, stop, reverse=self.backwards))

    def count(self, bounds: Bounds = EVERYTHING) -> int:
        start, stop = self._slice(bounds)
        return max(0, stop - start)

    def _slice(self, bounds: Bounds) -> tuple[int, int]:
        start = 0 if bounds.low is None else self._positions.bisect_left(bounds.low)
        stop = len(self._positions) if bounds.high is None else self._positions.bisect_left(bounds.high)
        return start, stop
