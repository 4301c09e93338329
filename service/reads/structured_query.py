"""A list's query in the form of Firestore's protocol. Pure."""

from collections.abc import Sequence

from google.cloud.firestore_v1.types import ArrayValue, Cursor, StructuredQuery, Value
from google.protobuf.wrappers_pb2 import Int32Value

from listeners.collection_path import CollectionPath
from listeners.window import SMALLEST, OrderType, order_value
from service.api.list_query import Filters, ListQuery, process_id_at
from service.errors import BadParameter
from service.schema.compiled import Schema

_Operator = StructuredQuery.FieldFilter.Operator
_Direction = StructuredQuery.Direction

SOME = 20
"""Documents of a group to read, to find one that is not foreign."""


def list_parent(filters: Filters, path: CollectionPath) -> str | None:
    """The parent of the collection that a list queries; None for a whole collection group. Raises: BadParameter."""
    missing = [name for name in path.variables if name not in filters]
    if not missing:
        return path.parent_of(filters)
    if len(missing) < len(path.variables):
        raise BadParameter(f"{' and '.join(missing)} must be given too: the model cannot answer this list")
    return None


def list_query(query: ListQuery, path: CollectionPath, schema: Schema) -> StructuredQuery:
    """The first `limit` rows, newest first, with the fields that the schema reads. Raises: BadParameter."""
    order, is_over_all = schema.order, list_parent(query.filters, path) is None
    lower = order.smallest if query.lower is None else order.value(query.lower)
    filters = [_filter(order.field, _Operator.GREATER_THAN_OR_EQUAL, order_value(lower))]
    if query.upper is not None:
        comparison = _Operator.LESS_THAN_OR_EQUAL if query.upper_inclusive else _Operator.LESS_THAN
        filters.append(_filter(order.field, comparison, order_value(order.value(query.upper))))
    filters += [_equal(schema, name, key) for name, key in query.filters.items() if name not in path.variables]
    asked = StructuredQuery(
        select=_projection(schema.projection.mask),
        from_=[_collection(path.id, is_over_all=is_over_all)],
        where=_all_of(filters),
        order_by=[_order(order.field, _Direction.DESCENDING), _order("__name__", _Direction.DESCENDING)],
        limit=Int32Value(value=query.limit),
    )
    if query.after is not None:
        key = process_id_at(query.after)
        if any(
            query.filters.get(name, value) != value
            for name, value in zip(path.variables, path.values_of(key), strict=True)
        ):
            raise BadParameter("page_token belongs to a list with other filters; start again without it")
        name = path.name_of(key)
        continue_behind(asked, order_value(order.value(query.after[0])), name)
    return asked


def continue_behind(asked: StructuredQuery, value: Value, name: str) -> None:
    """Let the query begin after the document with this name and this value of the ordering field."""
    asked.start_at = Cursor(values=[value, Value(reference_value=name)], before=False)


def first_of_type(path: CollectionPath, order_field: str, order_type: OrderType | None) -> StructuredQuery:
    """A query for some documents whose ordering field has this type (None: any type). Some can be foreign."""
    asked = StructuredQuery(
        select=_projection([order_field]),
        from_=[_collection(path.id, is_over_all=path.is_group)],
        limit=Int32Value(value=SOME if path.is_group else 1),
    )
    if order_type is not None:
        smallest = order_value(SMALLEST[order_type])
        asked.where = _filter(order_field, _Operator.GREATER_THAN_OR_EQUAL, smallest)
    return asked


def in_order(
    collection_id: str, limit: int, fields: Sequence[str] = (), *, by: str | None = None, is_over_all: bool = False
) -> StructuredQuery:
    """A query for the first documents by name, or by a field and then by name: complete, or only these fields.

    The query is over a collection or a collection group. It leaves out documents without the ordering field.
    """
    orders = [] if by is None else [_order(by, _Direction.ASCENDING)]
    return StructuredQuery(
        select=_projection(fields) if fields else None,
        from_=[_collection(collection_id, is_over_all=is_over_all)],
        order_by=[*orders, _order("__name__", _Direction.ASCENDING)],
        limit=Int32Value(value=limit),
    )


def _equal(schema: Schema, name: str, key: str | int) -> StructuredQuery.Filter:
    if name != "status":
        return _is_one_of(schema.filter_paths[name].text, [key])
    if schema.status_path is None:
        raise BadParameter("the model can't answer this list, and Firestore can't filter by status: it is in an array")
    return _is_one_of(schema.status_path, schema.raw_statuses(str(key)))


def _is_one_of(path: str, values: Sequence[str | int]) -> StructuredQuery.Filter:
    found = [Value(string_value=each) if isinstance(each, str) else Value(integer_value=each) for each in values]
    if len(found) == 1:
        return _filter(path, _Operator.EQUAL, found[0])
    return _filter(path, _Operator.IN, Value(array_value=ArrayValue(values=found)))


def _field(path: str) -> StructuredQuery.FieldReference:
    return StructuredQuery.FieldReference(field_path=path)


def _filter(path: str, operator: int, value: Value) -> StructuredQuery.Filter:
    return StructuredQuery.Filter(
        field_filter=StructuredQuery.FieldFilter(field=_field(path), op=operator, value=value)
    )


def _all_of(filters: Sequence[StructuredQuery.Filter]) -> StructuredQuery.Filter:
    if len(filters) == 1:
        return filters[0]
    together = StructuredQuery.CompositeFilter(op=StructuredQuery.CompositeFilter.Operator.AND, filters=filters)
    return StructuredQuery.Filter(composite_filter=together)


def _order(path: str, direction: int) -> StructuredQuery.Order:
    return StructuredQuery.Order(field=_field(path), direction=direction)


def _projection(fields: Sequence[str]) -> StructuredQuery.Projection:
    return StructuredQuery.Projection(fields=[_field(path) for path in fields])


def _collection(collection_id: str, *, is_over_all: bool) -> StructuredQuery.CollectionSelector:
    return StructuredQuery.CollectionSelector(collection_id=collection_id, all_descendants=is_over_all)
