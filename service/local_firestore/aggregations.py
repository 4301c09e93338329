"""count, sum and avg over a query's result.

If any of them needs a field, all of them, including counts, see only documents with this field, and the query is
ordered by the field. So a limit can select other documents than in the query itself.
"""

import itertools
from typing import Any

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, Message, ValueMessage
from service.local_firestore.paths import MAX_PATH_BYTES, NAME, FieldPath, field_of, is_reserved, parse_field_path
from service.local_firestore.queries import Query, compile_query, count, run

_MAX_AGGREGATIONS = 5
_INT64 = range(-(2**63), 2**63)


def aggregated_query(request: Message) -> Query:
    """The query of a RunAggregationQuery. Raises FirestoreError if Firestore refuses it."""
    if request.WhichOneof("query_type") is None or not _asked(request).HasField("structured_query"):
        raise invalid("Only structured aggregation queries are supported.")
    _check_aliases([aggregation.alias for aggregation in _asked(request).aggregations])
    paths = {path for each in _asked(request).aggregations if (path := _path(each)) is not None}
    return compile_query(request.parent, _asked(request).structured_query, tuple(sorted(paths)))


def _asked(request: Message) -> Message:
    return request.structured_aggregation_query


def _check_aliases(aliases: list[str]) -> None:
    if not aliases:
        raise invalid("Aggregations can not be empty.")
    if len(aliases) > _MAX_AGGREGATIONS:
        raise invalid(f"A query can not have more than {_MAX_AGGREGATIONS} aggregations.")
    names = _names(aliases)
    for position, name in enumerate(names):
        if is_reserved(name):
            raise invalid(f'The property.name "{name}" is reserved.')
        if len(name.encode()) > MAX_PATH_BYTES:
            raise invalid(f"The property.name is longer than {MAX_PATH_BYTES} bytes.")
        if name in names[:position]:
            raise invalid(f"Aggregation aliases contain duplicate alias: {name}.")


def _names(aliases: list[str]) -> list[str]:
    """The names of aggregations. Those without an alias are numbered."""
    numbers = itertools.count(1)
    return [alias or f"field_{next(numbers)}" for alias in aliases]


def _path(aggregation: Message) -> FieldPath | None:
    """The field an aggregation needs; counts need none."""
    kind = aggregation.WhichOneof("operator")
    if kind is None:
        raise invalid("Operator field in Aggregation is not set.")
    if kind == "count":
        if aggregation.count.up_to.value < 0:
            raise invalid("The `up_to` value in a COUNT aggregation must be greater than or equal to zero.")
        return None
    path = parse_field_path(getattr(aggregation, kind).field.field_path)
    if path == NAME:
        raise invalid("Aggregations are not supported for the property: __key__")
    return path


def compute(database: Database, query: Query, at_us: int | None, request: Message, results: Any) -> None:
    """Write every aggregation's value into `results`, a message's field map."""
    asked = _asked(request).aggregations
    needs_documents = any(each.WhichOneof("operator") != "count" for each in asked)
    documents = run(database, query, at_us).documents if needs_documents else None
    for name, aggregation in zip(_names([each.alias for each in asked]), asked, strict=True):
        value, path = results[name], _path(aggregation)
        if documents is None or path is None:
            up_to = aggregation.count.up_to.value if aggregation.count.HasField("up_to") else None
            value.integer_value = _count(database, query, at_us, up_to, documents)
        else:
            numbers = _numbers(documents, path)
            value.CopyFrom(_sum(numbers) if aggregation.WhichOneof("operator") == "sum" else _average(numbers))


def _count(
    database: Database, query: Query, at_us: int | None, up_to: int | None, documents: list[DocumentMessage] | None
) -> int:
    if documents is None:
        return count(database, query, at_us, up_to)
    return len(documents) if up_to is None else min(len(documents), up_to)


def _numbers(documents: list[DocumentMessage], path: FieldPath) -> list[int | float]:
    values = (field_of(document, path) for document in documents)
    kinds = ((value, value.WhichOneof("value_type")) for value in values if value is not None)
    return [getattr(value, kind) for value, kind in kinds if kind in {"integer_value", "double_value"}]


def _sum(numbers: list[int | float]) -> ValueMessage:
    total = sum(numbers)
    if isinstance(total, int) and total in _INT64:
        return messages.Value(integer_value=total)
    return messages.Value(double_value=float(total))


def _average(numbers: list[int | float]) -> ValueMessage:
    if not numbers:
        return messages.Value(null_value=0)
    return messages.Value(double_value=sum(numbers) / len(numbers))
