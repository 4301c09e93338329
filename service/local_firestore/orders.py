"""The order of a query, completed by Firestore's rules; and the part of it between the cursors."""

from collections.abc import Sequence

from service.local_firestore.errors import invalid
from service.local_firestore.filters import Conjuncts
from service.local_firestore.index import EVERYTHING, Bounds, Order, Ordering, after
from service.local_firestore.messages import QueryMessage, ValueMessage
from service.local_firestore.names import database_of
from service.local_firestore.paths import NAME, FieldPath
from service.local_firestore.storable import check_operand
from service.local_firestore.values import Key, sort_key


def complete_orders(
    explicit: Sequence[Order], where: Conjuncts, aggregated: Sequence[FieldPath] = ()
) -> tuple[Order, ...]:
    """The explicit orders, the fields of inequality filters, aggregated fields, and the name.

    Orders that are not explicit have the direction of the last explicit one.
    """
    paths = [order.path for order in explicit]
    for position, path in enumerate(paths):
        if path in paths[:position]:
            raise invalid(f"order by clause cannot contain duplicate fields {'.'.join(path)}")
    implied = _missing(paths, where.inequalities)
    if NAME in paths and (implied or paths[-1] != NAME):
        raise invalid("order by clause cannot contain more fields after the key")
    summed = _missing(paths + implied, aggregated)
    if summed and (NAME in paths or where.have_names):
        raise invalid(
            f"This query requires an index that has fields [{', '.join(map('.'.join, summed))}] after __name__ "
            "and Firestore does not currently support such an index. "
            "Please try the query again with additional ordering on those fields."
        )
    is_descending = explicit[-1].descending if explicit else False
    ends = [] if NAME in paths else [NAME]
    return (*explicit, *(Order(path, is_descending) for path in [*implied, *summed, *ends]))


def _missing(present: Sequence[FieldPath], wanted: Sequence[FieldPath]) -> list[FieldPath]:
    return sorted(path for path in set(wanted) if path not in present and path != NAME)


def cursor_bounds(message: QueryMessage, ordering: Ordering, explicit_orders: int, database: str) -> Bounds:
    """The positions from the query's start cursor to its end cursor. Names in them must be in `database`."""
    bounds = EVERYTHING
    for field, starts in (("start_at", True), ("end_at", False)):
        if message.HasField(field):
            cursor = getattr(message, field)
            if len(cursor.values) > explicit_orders:
                raise invalid("Cursor has too many values.")
            prefix = _prefix(cursor.values, ordering, database)
            # If the index is read backwards, the query's start is the index's upper end.
            edge = prefix if cursor.before != ordering.backwards else after(prefix)
            is_low = starts != ordering.backwards
            bounds = bounds.narrowed(edge, None) if is_low else bounds.narrowed(None, edge)
    return bounds


def _prefix(values: Sequence[ValueMessage], ordering: Ordering, database: str) -> Key:
    keys: list[object] = []
    for order, value in zip(ordering.orders, values, strict=False):
        check_operand(value)
        if order.path != NAME:
            keys.append(sort_key(value))
            continue
        if value.WhichOneof("value_type") != "reference_value":
            raise invalid("Cursor __key__ value is not a document reference.")
        if database_of(value.reference_value) != database:
            raise invalid("The cursor key is in a different database than the query")
        keys.append(value.reference_value)
    return ordering.prefix(keys)
