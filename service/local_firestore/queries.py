"""A StructuredQuery understood: what it selects, in which order, from where to where.

Compiling checks it as Firestore does and raises INVALID_ARGUMENT or UNIMPLEMENTED. Orders are completed with
Firestore's rules: the fields of inequality filters, then the name, each in the direction of the last order given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import invalid, unimplemented
from service.local_firestore.filters import Filters, compile_filters
from service.local_firestore.index import EVERYTHING, Bounds, Order, OrderedIndex, Ordering, after
from service.local_firestore.messages import DocumentMessage, QueryMessage
from service.local_firestore.paths import NAME, FieldPath, parse_field_path, project
from service.local_firestore.values import Key, sort_key

_DESCENDING = 2


@dataclass(frozen=True)
class Query:
    """One compiled query; `filters` and `bounds` together decide which documents it selects."""

    parent: str
    collection_id: str
    descend: bool
    ordering: Ordering
    filters: Filters
    bounds: Bounds
    limit: int | None
    offset: int
    projection: Sequence[FieldPath] | None

    def shown(self, document: DocumentMessage) -> DocumentMessage:
        """The document as this query returns it."""
        return document if self.projection is None else project(document, self.projection)

    def index_of_matches(self, database: Database, at_us: int | None = None) -> OrderedIndex:
        """Exactly the documents the query selects, the limit aside, in an index of the caller's own."""
        collections = database.collections_of(self.parent, self.collection_id, descend=self.descend)
        index = OrderedIndex(self.ordering, self.filters.predicate, self.bounds)
        return index.load(database.documents(collections, at_us))

    def without_limits(self) -> "Query":
        return replace(self, limit=None, offset=0)


@dataclass(frozen=True, slots=True)
class Result:
    documents: list[DocumentMessage]
    skipped: int


def run(database: Database, query: Query, at_us: int | None = None) -> Result:
    """The query's documents now, or as they were; unprojected."""
    index, bounds = _source(database, query, at_us)
    matches = (
        document
        for name in index.names(bounds)
        if (document := database.document(name, at_us)) is not None and query.filters.rest(document)
    )
    skipped = sum(1 for _ in islice(matches, query.offset))
    return Result(list(islice(matches, query.limit)), skipped)


def count(database: Database, query: Query, at_us: int | None, up_to: int | None) -> int:
    """How many documents `run` would return, but no more than `up_to`."""
    limits = [limit for limit in (query.limit, up_to) if limit is not None]
    index, bounds = _source(database, query, at_us)
    if query.filters.is_covered:
        found = max(0, index.count(bounds) - query.offset)
    else:
        found = len(run(database, query, at_us).documents)
    return min([found, *limits])


def _source(database: Database, query: Query, at_us: int | None) -> tuple[OrderedIndex, Bounds]:
    """An index holding every match, and the part of it to read."""
    bounds = query.bounds.narrowed(*query.filters.range)
    collections = database.collections_of(query.parent, query.collection_id, descend=query.descend)
    is_present = at_us is None or all(collection.changed_us <= at_us for collection in collections)
    if is_present and len(collections) == 1 and not query.descend and query.collection_id:
        return database.index(collections[0], query.ordering), bounds
    index = OrderedIndex(query.ordering).load(database.documents(collections, None if is_present else at_us))
    return index, bounds


def compile_query(parent: str, message: QueryMessage) -> Query:
    """Raises FirestoreError for what Firestore refuses and for what this server has not."""
    return _compiled(parent, message.SerializeToString(deterministic=True))


@lru_cache(maxsize=512)
def _compiled(parent: str, serialized: bytes) -> Query:
    message = messages.StructuredQuery.FromString(serialized)
    if message.HasField("find_nearest"):
        raise unimplemented("find_nearest (vector search)")
    if len(message.from_) > 1:
        raise invalid("Only a single collection selector is supported.")
    if message.limit.value < 0:
        raise invalid("limit is negative")
    if message.offset < 0:
        raise invalid("offset is negative")
    selector = message.from_[0] if message.from_ else None
    descend = selector is None or selector.all_descendants
    explicit = [_order(order) for order in message.order_by]
    inequalities, build = compile_filters(message.where if message.HasField("where") else None)
    collection_id = selector.collection_id if selector is not None else ""
    ordering = Ordering(_complete(explicit, inequalities), across_collections=descend or not collection_id)
    return Query(
        parent=parent,
        collection_id=collection_id,
        descend=descend,
        ordering=ordering,
        filters=build(ordering),
        bounds=_cursors(message, ordering, len(explicit)),
        limit=message.limit.value if message.HasField("limit") else None,
        offset=message.offset,
        projection=_projection(message),
    )


def _order(order: QueryMessage) -> Order:
    return Order(parse_field_path(order.field.field_path), order.direction == _DESCENDING)


def _complete(explicit: Sequence[Order], inequalities: Sequence[FieldPath]) -> tuple[Order, ...]:
    orders = list(explicit)
    paths = [order.path for order in orders]
    if len(set(paths)) != len(paths):
        raise invalid("order by clause cannot contain duplicate fields")
    direction = orders[-1].descending if orders else False
    implied = sorted(path for path in set(inequalities) if path not in paths and path != NAME)
    orders += [Order(path, direction) for path in implied]
    if NAME in paths:
        return tuple(orders[: [order.path for order in orders].index(NAME) + 1])
    return (*orders, Order(NAME, direction))


def _projection(message: QueryMessage) -> tuple[FieldPath, ...] | None:
    if not message.HasField("select"):
        return None
    return tuple(parse_field_path(field.field_path) for field in message.select.fields)


def _cursors(message: QueryMessage, ordering: Ordering, explicit_orders: int) -> Bounds:
    bounds = EVERYTHING
    for field, starts in (("start_at", True), ("end_at", False)):
        if message.HasField(field):
            cursor = getattr(message, field)
            if len(cursor.values) > explicit_orders:
                raise invalid("Cursor has too many values.")
            prefix = _cursor_prefix(cursor, ordering)
            # Where the index is read backwards, the query's start is the index's upper end.
            edge = prefix if cursor.before != ordering.backwards else after(prefix)
            is_low = starts != ordering.backwards
            bounds = bounds.narrowed(edge, None) if is_low else bounds.narrowed(None, edge)
    return bounds


def _cursor_prefix(cursor: QueryMessage, ordering: Ordering) -> Key:
    values: list[object] = []
    for order, value in zip(ordering.orders, cursor.values, strict=False):
        if order.path != NAME:
            values.append(sort_key(value))
        elif value.WhichOneof("value_type") == "reference_value":
            values.append(value.reference_value)
        else:
            raise invalid("Cursor has a value for __name__ that is not a reference.")
    return ordering.prefix(values)
