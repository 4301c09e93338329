"""Compiles a StructuredQuery: which documents it selects, their order, and where it begins and ends.

Compiling checks the query as Firestore does. It raises FirestoreError for queries that Firestore refuses or that this
server does not support.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import grpc

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import FirestoreError, invalid, unimplemented
from service.local_firestore.filter_limits import check_count
from service.local_firestore.filters import Conjuncts, Filters, compile_filters
from service.local_firestore.index import Bounds, Order, OrderedIndex, Ordering
from service.local_firestore.messages import DocumentMessage, QueryMessage
from service.local_firestore.names import MAX_ID_BYTES, check_collection_id, check_parent, database_of, ids_of
from service.local_firestore.orders import complete_orders, cursor_bounds
from service.local_firestore.paths import NAME, FieldPath, parse_field_path, project

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
        """A new index of exactly the documents that the query selects, without its limit. The caller owns the index."""
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
    """The query's documents, now or at a time, without projection."""
    index, bounds = _source(database, query, at_us)
    matches = (
        document
        for name in index.names(bounds)
        if (document := database.document(name, at_us)) is not None and query.filters.rest(document)
    )
    skipped = sum(1 for _ in islice(matches, query.offset))
    return Result(list(islice(matches, query.limit)), skipped)


def count(database: Database, query: Query, at_us: int | None, up_to: int | None) -> int:
    """The number of documents that `run` would return, but at most `up_to`."""
    limits = [limit for limit in (query.limit, up_to) if limit is not None]
    index, bounds = _source(database, query, at_us)
    if query.filters.is_covered:
        found = max(0, index.count(bounds) - query.offset)
    else:
        found = len(run(database, query, at_us).documents)
    return min([found, *limits])


def _source(database: Database, query: Query, at_us: int | None) -> tuple[OrderedIndex, Bounds]:
    """An index with every match, and the part of it to read."""
    bounds = query.bounds.narrowed(*query.filters.range)
    collections = database.collections_of(query.parent, query.collection_id, descend=query.descend)
    is_present = at_us is None or all(collection.changed_us <= at_us for collection in collections)
    if is_present and len(collections) == 1 and not query.descend and query.collection_id:
        return database.index(collections[0], query.ordering), bounds
    index = OrderedIndex(query.ordering).load(database.documents(collections, None if is_present else at_us))
    return index, bounds


def compile_query(parent: str, message: QueryMessage, aggregated: tuple[FieldPath, ...] = ()) -> Query:
    """Compile a query. Raises FirestoreError if Firestore refuses it, or this server does not support it.

    The query of an aggregation is also ordered by the `aggregated` fields, so it counts only documents with all of
    them.
    """
    return _compiled(parent, message.SerializeToString(deterministic=True), aggregated)


@lru_cache(maxsize=512)
def _compiled(parent: str, serialized: bytes, aggregated: tuple[FieldPath, ...]) -> Query:
    check_parent(parent)
    message = messages.StructuredQuery.FromString(serialized)
    if message.HasField("find_nearest"):
        raise unimplemented("find_nearest (vector search)")
    if len(message.from_) > 1:
        raise invalid("StructuredQuery.from cannot have more than one collection selector.")
    if message.limit.value < 0:
        raise invalid("limit is negative")
    if message.offset < 0:
        raise invalid("offset is negative")
    selector = message.from_[0] if message.from_ else None
    source = _Source(
        parent,
        _check_kind(selector.collection_id) if selector is not None else "",
        descend=selector is None or selector.all_descendants,
    )
    explicit = [Order(parse_field_path(o.field.field_path), o.direction == _DESCENDING) for o in message.order_by]
    where = compile_filters(message.where if message.HasField("where") else None, database_of(parent))
    check_count(where.distinct, len(explicit), has_ancestor=bool(ids_of(parent)))
    _check_scan(source, explicit, where)
    ordering = Ordering(complete_orders(explicit, where, aggregated))
    return Query(
        **source._asdict(),
        ordering=ordering,
        filters=where.split(ordering),
        bounds=cursor_bounds(message, ordering, len(explicit), database_of(parent)),
        limit=message.limit.value if message.HasField("limit") else None,
        offset=message.offset,
        projection=_projection(message),
    )


class _Source(NamedTuple):
    """The collections a query reads; see Query."""

    parent: str
    collection_id: str
    descend: bool


def _check_kind(collection_id: str) -> str:
    if len(collection_id.encode()) > MAX_ID_BYTES:
        raise invalid(f"The query kind is longer than {MAX_ID_BYTES} bytes.")
    return check_collection_id(collection_id)


def _check_scan(source: _Source, explicit: Sequence[Order], where: Conjuncts) -> None:
    """Raise for orders and filters without an index in Firestore."""
    is_by_name = not explicit or explicit == [Order(NAME, descending=False)]
    if source.descend and ids_of(source.parent) and not (is_by_name and where.are_on_names_only):
        raise invalid("collection group queries are only allowed at the root parent")
    if source.collection_id:
        if explicit == [Order(NAME, descending=True)] and where.are_on_names_only:
            raise FirestoreError(grpc.StatusCode.FAILED_PRECONDITION, "Firestore does not support descending key scans")
    elif not is_by_name:
        raise invalid("kind is required for all orders except __key__ ascending")
    elif not where.are_on_names_only:
        field = next(condition.field for condition in where.conditions if condition.path != NAME)
        raise invalid(f"kind is required for filter: {field}")


def _projection(message: QueryMessage) -> tuple[FieldPath, ...] | None:
    if not message.HasField("select"):
        return None
    return tuple(parse_field_path(field.field_path) for field in message.select.fields)
