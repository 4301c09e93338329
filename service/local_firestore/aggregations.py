"""count, sum and avg over a query's result."""

from typing import Any

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, Message, ValueMessage
from service.local_firestore.paths import FieldPath, field_of, parse_field_path
from service.local_firestore.queries import Query, count, run

_INT64 = range(-(2**63), 2**63)


def compute(database: Database, query: Query, at_us: int | None, request: Message, results: Any) -> None:
    """Write every aggregation's value into `results`, a message's field map.

    Where any of them needs a field, all of them, counts included, see only the documents that have it.
    """
    asked = request.structured_aggregation_query.aggregations
    if not asked:
        raise invalid("An aggregation query must have aggregations.")
    kinds = [aggregation.WhichOneof("operator") for aggregation in asked]
    paths = [
        parse_field_path(getattr(aggregation, kind).field.field_path)
        for aggregation, kind in zip(asked, kinds, strict=True)
        if kind in {"sum", "avg"}
    ]
    documents = None
    if paths:
        found = run(database, query, at_us).documents
        documents = [one for one in found if all(field_of(one, path) is not None for path in paths)]
    for number, (aggregation, kind) in enumerate(zip(asked, kinds, strict=True), start=1):
        value = results[aggregation.alias or f"field_{number}"]
        if kind == "count":
            up_to = aggregation.count.up_to.value if aggregation.count.HasField("up_to") else None
            value.integer_value = _count(database, query, at_us, up_to, documents)
        elif documents is None:
            raise invalid("An aggregation must have an operator.")
        else:
            numbers = _numbers(documents, parse_field_path(getattr(aggregation, kind).field.field_path))
            value.CopyFrom(_sum(numbers) if kind == "sum" else _average(numbers))


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
