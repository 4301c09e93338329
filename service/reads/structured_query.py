"""A list's query as Firestore's protocol has it. Pure."""

from collections.abc import Sequence
from datetime import datetime

from google.cloud.firestore_v1.types import Cursor, StructuredQuery, Value
from google.protobuf.wrappers_pb2 import Int32Value

from listeners.times import moment
from listeners.window import ORDER_FIELD, SMALLEST, StartTimeType
from service.api.list_query import ListQuery, StartKey, process_id_at

_Operator = StructuredQuery.FieldFilter.Operator
_Direction = StructuredQuery.Direction


def list_query(
    query: ListQuery, collection_path: str, start_time_type: StartTimeType, fields: Sequence[str]
) -> StructuredQuery:
    """The first `limit` rows, newest `start_time` first, with these fields."""
    lower = SMALLEST[start_time_type] if query.lower is None else _start(query.lower)
    filters = [_filter(ORDER_FIELD, _Operator.GREATER_THAN_OR_EQUAL, _value(lower))]
    if query.upper is not None:
        comparison = _Operator.LESS_THAN_OR_EQUAL if query.upper_inclusive else _Operator.LESS_THAN
        filters.append(_filter(ORDER_FIELD, comparison, _value(_start(query.upper))))
    if query.status is not None:
        filters.append(_filter("status", _Operator.EQUAL, Value(string_value=query.status)))
    asked = StructuredQuery(
        select=_projection(fields),
        from_=[_collection(collection_path.rpartition("/")[2])],
        where=_all_of(filters),
        order_by=[_order(ORDER_FIELD, _Direction.DESCENDING), _order("__name__", _Direction.DESCENDING)],
        limit=Int32Value(value=query.limit),
    )
    if query.after is not None:
        name = Value(reference_value=f"{collection_path}/{process_id_at(query.after)}")
        asked.start_at = Cursor(values=[_value(_start(query.after[0])), name], before=False)
    return asked


def first_of_type(collection_id: str, start_time_type: StartTimeType | None) -> StructuredQuery:
    """Some document whose `start_time` has this type; None: any document."""
    asked = StructuredQuery(
        select=_projection([ORDER_FIELD]), from_=[_collection(collection_id)], limit=Int32Value(value=1)
    )
    if start_time_type is not None:
        smallest = _value(SMALLEST[start_time_type])
        asked.where = _filter(ORDER_FIELD, _Operator.GREATER_THAN_OR_EQUAL, smallest)
    return asked


def by_name(collection_id: str, limit: int) -> StructuredQuery:
    """The first documents of a collection by their IDs, whole."""
    return StructuredQuery(
        from_=[_collection(collection_id)],
        order_by=[_order("__name__", _Direction.ASCENDING)],
        limit=Int32Value(value=limit),
    )


def _start(key: StartKey) -> datetime | str:
    return moment(key) if isinstance(key, int) else key


def _value(start: datetime | str) -> Value:
    return Value(string_value=start) if isinstance(start, str) else Value(timestamp_value=start)


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
