"""The limits on filters in one query. Counts are those of the filter's disjunctive normal form.

The messages are those of the emulator. Firestore's documentation has the limits under "Query limitations".
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from service.local_firestore import messages
from service.local_firestore.errors import invalid
from service.local_firestore.messages import Message
from service.local_firestore.paths import NAME, FieldPath
from service.local_firestore.values import NAN_KEY, NULL_KEY, Key, sort_key

MAX_FILTERS_AND_ORDERS = 100
_MAX_DISJUNCTIONS = 30
_MAX_INEQUALITY_FIELDS = 10
_MAX_EXPANDED = 1000
"""A filter with more disjunctions is refused before equal ones are counted as one."""

NEGATIONS = frozenset({"NOT_EQUAL", "NOT_IN", "IS_NOT_NAN", "IS_NOT_NULL"})
OR = messages.StructuredQuery.CompositeFilter.OR
_FIELD_FILTER = messages.StructuredQuery.FieldFilter
_UNARY_FILTER = messages.StructuredQuery.UnaryFilter
_ARRAY_FILTERS = {"ARRAY_CONTAINS", "ARRAY_CONTAINS_ANY"}
RANGES = frozenset({"LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL"})


class Term(NamedTuple):
    """One condition of a disjunction. `in` means a disjunction of `==`."""

    field: str
    operator: str
    operand: Key


Conjunction = frozenset[Term]


def is_inequality(operator: str, operand: Key) -> bool:
    """Whether the field of such a condition is one of the query's order. One that no value fulfils does not count."""
    if operator in RANGES:
        return operand not in (NULL_KEY, NAN_KEY)
    if operator == "NOT_IN":
        return set(operand[1]) != {NULL_KEY}
    return operator in NEGATIONS and (operator, operand) != ("NOT_EQUAL", NULL_KEY)


def check_operators(operators: Sequence[str], *, has_or: bool) -> None:
    if sum(operator in NEGATIONS for operator in operators) > 1:
        raise invalid("Only a single 'NOT_EQUAL', 'NOT_IN', 'IS_NOT_NAN', or 'IS_NOT_NULL' filter allowed per query.")
    if "NOT_IN" in operators and (has_or or not {"IN", "ARRAY_CONTAINS_ANY"}.isdisjoint(operators)):
        raise invalid("'NOT_IN' cannot be used in the same query with 'IN', 'ARRAY_CONTAINS_ANY' or 'OR'.")


def check_names(inequalities: Collection[FieldPath], *, have_names: bool) -> None:
    """`have_names`: whether a condition is on the name. Which disjunction a condition is in makes no difference."""
    if inequalities and have_names and NAME not in inequalities:
        raise invalid(
            "Equality on key is not allowed if there are other inequality fields "
            "and key does not appear in inequalities."
        )


def check_inequalities(paths: Iterable[FieldPath]) -> None:
    fields = {"__key__" if path == NAME else ".".join(path) for path in paths}
    if len(fields) > _MAX_INEQUALITY_FIELDS:
        raise invalid(
            f"The query contains {len(fields)} distinct inequality fields: [{', '.join(sorted(fields))}]. "
            f"A query may not have more than {_MAX_INEQUALITY_FIELDS} distinct inequality fields."
        )


def check_count(filters: int, orders: int, *, has_ancestor: bool) -> None:
    total = filters + orders + has_ancestor
    if total > MAX_FILTERS_AND_ORDERS:
        ancestor = "one ancestor filter" if has_ancestor else "no ancestor filter"
        raise invalid(
            f"The query may not have more than {MAX_FILTERS_AND_ORDERS} filters + sort orders + ancestor total. "
            f"Currently there are {filters} filters, {orders} sort orders, and {ancestor}."
        )


def check_disjunctions(message: Message) -> None:
    """Raise if a valid filter has too many disjunctions, or a disjunction with two `array-contains`."""
    found = _disjunctions(message)
    if len(found) > _MAX_DISJUNCTIONS:
        raise invalid(
            f"Too many disjunctions after normalization. Result had {len(found)} disjunctions "
            f"which is more than the maximum of {_MAX_DISJUNCTIONS}"
        )


def _disjunctions(message: Message) -> set[Conjunction]:
    kind = message.WhichOneof("filter_type")
    if kind == "composite_filter":
        distinct = {part.SerializeToString(deterministic=True): part for part in message.composite_filter.filters}
        parts = [_disjunctions(part) for part in distinct.values()]
        return set().union(*parts) if message.composite_filter.op == OR else _product(parts)
    if kind == "unary_filter":
        unary = message.unary_filter
        return {frozenset({Term(unary.field.field_path, _UNARY_FILTER.Operator.Name(unary.op), NULL_KEY)})}
    part = message.field_filter
    operator = _FIELD_FILTER.Operator.Name(part.op)
    operands = part.value.array_value.values if operator in {"IN", "ARRAY_CONTAINS_ANY"} else [part.value]
    operator = "EQUAL" if operator == "IN" else operator
    return {frozenset({Term(part.field.field_path, operator, sort_key(operand))}) for operand in operands}


def _product(parts: Sequence[set[Conjunction]]) -> set[Conjunction]:
    product: set[Conjunction] = {frozenset()}
    for part in parts:
        if len(product) * len(part) > _MAX_EXPANDED:
            raise invalid(f"Too many disjunctions after normalization, the maximum is {_MAX_DISJUNCTIONS}")
        if _have_array_filter(product) and _have_array_filter(part):  # even where both are the same one
            raise invalid("A maximum of 1 'ARRAY_CONTAINS' filter is allowed per disjunction.")
        product = {left | right for left in product for right in part}
    return product


def _have_array_filter(conjunctions: set[Conjunction]) -> bool:
    return any(term.operator in _ARRAY_FILTERS for conjunction in conjunctions for term in conjunction)
