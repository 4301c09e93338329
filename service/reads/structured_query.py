"""A list's query as Firestore's protocol has it. Pure."""

from collections.abc import Sequence

from google.cloud.firestore_v1.types import ArrayValue, Cursor, StructuredQuery, Value
from google.protobuf.wrappers_pb2 import Int32Value

from listeners.window import SMALLEST, OrderType, order_value
from service.api.list_query import ListQuery, process_id_at
from service.errors import BadParameter
from service.schema.compiled import Schema

_Operator = StructuredQuery.FieldFilter.Operator
_Direction = StructuredQuery.Direction


def list_query(query: ListQuery, collection_path: str, schema: Schema) -> StructuredQuery:
    """The first `limit` rows, the newest first, with the fields that the schema reads. Raises: BadParameter."""
    order = schema.order
    lower = order.smallest if query.lower is None else order.value(query.lower)
    filters = [_filter(order.field, _Operator.GREATER_THAN_OR_EQUAL, order_value(lower))]
    if query.upper is not None:
        comparison = _Operator.LESS_THAN_OR_EQUAL if query.upper_inclusive else _Operator.LESS_THAN
        filters.append(_filter(order.field, comparison, order_value(order.value(query.upper))))
    filters += [_equal(schema, name, key) for name, key in query.filters.items()]
    asked = StructuredQuery(
        select=_projection(schema.projection.mask),
        from_=[_collection(collection_path.rpartition("/")[2])],
        where=_all_of(filters),
        order_by=[_order(order.field, _Direction.DESCENDING), _order("__name__", _Direction.DESCENDING)],
        limit=Int32Value(value=query.limit),
    )
    if query.after is not None:
        name = Value(reference_value=f"{collection_path}/{process_id_at(query.after)}")
        asked.start_at = Cursor(values=[order_value(order.value(query.after[0])), name], before=False)
    return asked


def first_of_type(collection_id: str, order_field: str, order_type: OrderType | None) -> StructuredQuery:
    """Some document whose ordering field has this type; None: any document."""
    asked = StructuredQuery(
        select=_projection([order_field]), from_=[_collection(collection_id)], limit=Int32Value(value=1)
    )
    if order_type is not None:
        smallest = order_value(SMALLEST[order_type])
        asked.where = _filter(order_field, _Operator.GREATER_THAN_OR_EQUAL, smallest)
    return asked


def in_order(collection_id: str, limit: int, fields: Sequence[str] = (), *, by: str | None = None) -> StructuredQuery:
    """The first documents of a collection by their IDs, or by a field and their IDs: whole, or these fields of them.

    A document without that field is not among them.
    """
    orders = [] if by is None else [_order(by, _Direction.ASCENDING)]
    return StructuredQuery(
        select=_projection(fields) if fields else None,
        from_=[_collection(collection_id)],
        order_by=[*orders, _order("__name__", _Direction.ASCENDING)],
        limit=Int32Value(value=limit),
    )


def _equal(schema: Schema, name: str, key: str | int) -> StructuredQuery.Filter:
    if name != "status":
        return _is_one_of(schema.filter_paths[name].text, [key])
    if schema.status_path is None:
        raise BadParameter("status can't be filtered beyond the processes held: it is an array's element")
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


def _collection(collection_id: str) -> StructuredQuery.CollectionSelector:
    return StructuredQuery.CollectionSelector(collection_id=collection_id)
