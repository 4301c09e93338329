"""Query filters as predicates over documents, with Firestore's rules about types, null and NaN.

A comparison is true only between values of one type. Null equals nothing and NaN is never equal or ordered: the
unary filters ask for them. A filter on a field the document has not is never true.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.local_firestore import messages
from service.local_firestore.errors import invalid
from service.local_firestore.index import Bounds, Ordering, Predicate, after
from service.local_firestore.messages import DocumentMessage, Message, ValueMessage
from service.local_firestore.paths import NAME, FieldPath, field_of, parse_field_path
from service.local_firestore.values import ARRAY, NAN_KEY, NULL, NULL_KEY, REFERENCE, Key, sort_key

_FIELD_OPERATORS = {o.number: o.name for o in messages.StructuredQuery.FieldFilter.Operator.DESCRIPTOR.values}
_UNARY_OPERATORS = {o.number: o.name for o in messages.StructuredQuery.UnaryFilter.Operator.DESCRIPTOR.values}
_OR = messages.StructuredQuery.CompositeFilter.OR
_RANGES = {"LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL"}
_NEGATIONS = {"NOT_EQUAL", "NOT_IN", "IS_NOT_NAN", "IS_NOT_NULL"}
_LISTS = {"IN": 30, "ARRAY_CONTAINS_ANY": 30, "NOT_IN": 10}

Test = Callable[[Key], bool]


@dataclass(frozen=True, slots=True)
class Filters:
    """`predicate` is the whole condition; `range` and `rest` are the same in two parts.

    `range` is the part an index can answer: an interval of its positions.
    """

    predicate: Predicate | None
    range: tuple[Key | None, Key | None]
    rest: Predicate
    is_covered: bool


@dataclass(frozen=True, slots=True)
class _Condition:
    """One filter on one field."""

    path: FieldPath
    operator: str
    test: Test
    key: Key

    def __call__(self, document: DocumentMessage) -> bool:
        if self.path == NAME:
            return self.test((REFERENCE, tuple(document.name.split("/"))))
        value = field_of(document, self.path)
        return value is not None and self.test(sort_key(value))


def compile_filters(
    message: Message | None,
) -> tuple[list[FieldPath], Callable[[Ordering], Filters]]:
    """The paths of the inequalities, which decide the order, and what makes the filters once it is known."""
    conditions: list[_Condition] = []
    predicate = None if message is None else _compile(message, conditions)
    if sum(condition.operator in _NEGATIONS for condition in conditions) > 1:
        raise invalid("Only a single 'NOT_EQUAL', 'NOT_IN', 'IS_NOT_NAN', or 'IS_NOT_NULL' filter allowed per query.")
    inequalities = [c.path for c in conditions if c.operator in _RANGES or c.operator in _NEGATIONS]
    return inequalities, lambda ordering: _split(message, predicate, ordering)


def _compile(message: Message, conditions: list[_Condition]) -> Predicate:
    kind = message.WhichOneof("filter_type")
    if kind == "composite_filter":
        parts = [_compile(part, conditions) for part in message.composite_filter.filters]
        if not parts:
            raise invalid("A composite filter must have filters.")
        if message.composite_filter.op == _OR:
            return lambda document: any(part(document) for part in parts)
        return lambda document: all(part(document) for part in parts)
    condition = _condition(message, kind)
    conditions.append(condition)
    return condition


def _condition(message: Message, kind: str | None) -> _Condition:
    if kind == "unary_filter":
        unary = message.unary_filter
        operator = _UNARY_OPERATORS.get(unary.op, "")
        if operator not in _UNARY:
            raise invalid("Unknown UnaryFilter operator.")
        return _Condition(parse_field_path(unary.field.field_path), operator, _UNARY[operator], NULL_KEY)
    if kind != "field_filter":
        raise invalid("A filter must have a type.")
    path = parse_field_path(message.field_filter.field.field_path)
    operator = _FIELD_OPERATORS.get(message.field_filter.op, "")
    if operator not in _FIELD:
        raise invalid("Unknown FieldFilter operator.")
    value = message.field_filter.value
    if operator in _LISTS:
        _check_list(operator, value)
    if path == NAME:
        _check_names(operator, value)
    key = sort_key(value)
    return _Condition(path, operator, _FIELD[operator](key), key)


def _check_list(operator: str, value: ValueMessage) -> None:
    if value.WhichOneof("value_type") != "array_value":
        raise invalid(f"'{operator}' requires an ArrayValue.")
    if not value.array_value.values:
        raise invalid(f"'{operator}' requires an non-empty ArrayValue.")
    if len(value.array_value.values) > _LISTS[operator]:
        raise invalid(f"'{operator}' supports up to {_LISTS[operator]} comparison values.")


def _check_names(operator: str, value: ValueMessage) -> None:
    names = value.array_value.values if operator in _LISTS else [value]
    if any(name.WhichOneof("value_type") != "reference_value" for name in names):
        raise invalid("__key__ filter value must be a Key")


def _is_comparable(key: Key) -> bool:
    return key not in (NULL_KEY, NAN_KEY)


def _equal(operand: Key) -> Test:
    return (lambda key: key == operand) if _is_comparable(operand) else (lambda key: False)


def _not_equal(operand: Key) -> Test:
    if operand == NULL_KEY:
        return lambda key: False
    if operand == NAN_KEY:
        return lambda key: key != NULL_KEY
    return lambda key: key not in (operand, NULL_KEY)


def _range(compare: Callable[[Key, Key], bool]) -> Callable[[Key], Test]:
    def test_for(operand: Key) -> Test:
        if not _is_comparable(operand):
            return lambda key: False
        rank = operand[0]
        return lambda key: key[0] == rank and key != NAN_KEY and compare(key, operand)

    return test_for


def _in(operand: Key) -> Test:
    wanted = frozenset(filter(_is_comparable, operand[1]))
    return lambda key: key in wanted


def _not_in(operand: Key) -> Test:
    unwanted = frozenset(key for key in operand[1] if key != NAN_KEY)
    if NULL_KEY in unwanted:
        return lambda key: False
    return lambda key: key[0] != NULL and key not in unwanted


def _contains(operand: Key) -> Test:
    return lambda key: key[0] == ARRAY and _is_comparable(operand) and operand in key[1]


def _contains_any(operand: Key) -> Test:
    wanted = frozenset(filter(_is_comparable, operand[1]))
    return lambda key: key[0] == ARRAY and not wanted.isdisjoint(key[1])


_FIELD: dict[str, Callable[[Key], Test]] = {
    "EQUAL": _equal,
    "NOT_EQUAL": _not_equal,
    "LESS_THAN": _range(lambda key, operand: key < operand),
    "LESS_THAN_OR_EQUAL": _range(lambda key, operand: key <= operand),
    "GREATER_THAN": _range(lambda key, operand: key > operand),
    "GREATER_THAN_OR_EQUAL": _range(lambda key, operand: key >= operand),
    "IN": _in,
    "NOT_IN": _not_in,
    "ARRAY_CONTAINS": _contains,
    "ARRAY_CONTAINS_ANY": _contains_any,
}
_UNARY: dict[str, Test] = {
    "IS_NAN": lambda key: key == NAN_KEY,
    "IS_NULL": lambda key: key == NULL_KEY,
    "IS_NOT_NAN": lambda key: key not in (NAN_KEY, NULL_KEY),
    "IS_NOT_NULL": lambda key: key != NULL_KEY,
}


def _conjuncts(message: Message) -> Sequence[Message]:
    if message.WhichOneof("filter_type") != "composite_filter" or message.composite_filter.op == _OR:
        return [message]
    return [part for inner in message.composite_filter.filters for part in _conjuncts(inner)]


def _split(message: Message | None, predicate: Predicate | None, ordering: Ordering) -> Filters:
    """Ranges on the first ordering field become an interval of the index, the rest stays a predicate."""
    if message is None:
        return Filters(None, (None, None), lambda document: True, is_covered=True)
    bounds, rest = Bounds(), []
    for conjunct in _conjuncts(message):
        condition = _compile(conjunct, [])
        first = ordering.orders[0].path
        if (
            isinstance(condition, _Condition)
            and condition.path == first != NAME
            and condition.operator in _RANGES
            and _is_comparable(condition.key)
        ):
            bounds = bounds.narrowed(*_interval(condition))
        else:
            rest.append(condition)
    return Filters(
        predicate,
        (bounds.low, bounds.high),
        lambda document: all(part(document) for part in rest),
        is_covered=not rest,
    )


def _interval(condition: _Condition) -> tuple[Key, Key]:
    """The positions a range filter selects: those of its value's type, NaN excepted."""
    key = condition.key
    rank = key[0]
    lowest: Key = (after(NAN_KEY),) if rank == NAN_KEY[0] else ((rank,),)
    highest: Key = ((rank + 1,),)
    return {
        "LESS_THAN": (lowest, (key,)),
        "LESS_THAN_OR_EQUAL": (lowest, after((key,))),
        "GREATER_THAN": (after((key,)), highest),
        "GREATER_THAN_OR_EQUAL": ((key,), highest),
    }[condition.operator]
