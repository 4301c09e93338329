"""One filter on one field as a test of documents, with Firestore's rules about types, null and NaN.

A comparison is true only between values of one type. Null equals nothing, and NaN is never equal or ordered; unary
filters test for them. A filter on a field that the document lacks is never true.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.local_firestore import messages
from service.local_firestore.errors import invalid
from service.local_firestore.filter_limits import RANGES, is_inequality
from service.local_firestore.index import after
from service.local_firestore.messages import DocumentMessage, Message, ValueMessage
from service.local_firestore.names import check_is_in, name_key
from service.local_firestore.paths import NAME, FieldPath, field_of, parse_field_path
from service.local_firestore.sizes import MAX_OPERAND_BYTES, value_size
from service.local_firestore.storable import check_operand
from service.local_firestore.values import ARRAY, NAN_KEY, NULL, NULL_KEY, REFERENCE, Key, sort_key

_FIELD_OPERATORS = {o.number: o.name for o in messages.StructuredQuery.FieldFilter.Operator.DESCRIPTOR.values}
_UNARY_OPERATORS = {o.number: o.name for o in messages.StructuredQuery.UnaryFilter.Operator.DESCRIPTOR.values}
_ARRAY_FILTERS = {"ARRAY_CONTAINS", "ARRAY_CONTAINS_ANY"}
_LISTS = {"IN": 30, "ARRAY_CONTAINS_ANY": 30, "NOT_IN": 10}

Test = Callable[[Key], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter on one field."""

    path: FieldPath
    operator: str
    test: Test
    key: Key
    operand_bytes: int = 0
    """The size of the largest value that the filter compares with."""

    def __call__(self, document: DocumentMessage) -> bool:
        if self.path == NAME:
            return self.test((REFERENCE, name_key(document.name)))
        value = field_of(document, self.path)
        return value is not None and self.test(sort_key(value))

    @property
    def field(self) -> str:
        """As refusals name it."""
        return ".".join(self.path) + ("[*]" if self.operator in _ARRAY_FILTERS else "")

    @property
    def is_inequality(self) -> bool:
        return is_inequality(self.operator, self.key)

    @property
    def interval(self) -> tuple[Key, Key] | None:
        """The positions in its field's order that the range selects; None if it is no range."""
        if self.operator not in RANGES or not _is_comparable(self.key):
            return None
        return _interval(self)


def compile_condition(message: Message, database: str) -> Condition:
    """Compile a filter. Raises FirestoreError if Firestore refuses it; references to names must be in `database`."""
    kind = message.WhichOneof("filter_type")
    if kind == "unary_filter":
        return _unary(message.unary_filter)
    if kind != "field_filter":
        raise invalid("Unknown Filter type.")
    path = parse_field_path(message.field_filter.field.field_path)
    operator = _FIELD_OPERATORS.get(message.field_filter.op, "")
    if operator not in _FIELD:
        raise invalid("Unknown FieldFilter operator.")
    value = message.field_filter.value
    check_operand(value)
    if operator in _LISTS:
        _check_list(operator, value)
    if path == NAME:
        _check_names(operator, value, database)
    key = sort_key(value)
    operands = value.array_value.values if operator in _LISTS else [value]
    operand_bytes = 0 if path == NAME else max(map(value_size, operands))
    return Condition(path, operator, _FIELD[operator](key), key, operand_bytes)


def _unary(message: Message) -> Condition:
    operator = _UNARY_OPERATORS.get(message.op, "")
    if operator not in _UNARY:
        raise invalid("Unknown UnaryFilter operator.")
    path = parse_field_path(message.field.field_path)
    if path == NAME:
        raise invalid("__key__ filter value must be a Key")
    return Condition(path, operator, _UNARY[operator], NULL_KEY)


def check_operand_sizes(conditions: Sequence[Condition]) -> None:
    for condition in conditions:
        if condition.operand_bytes > MAX_OPERAND_BYTES:
            raise invalid(f"value for {condition.field} is too large to be used in a query")


def _check_list(operator: str, value: ValueMessage) -> None:
    if value.WhichOneof("value_type") != "array_value":
        raise invalid(f"'{operator}' requires an ArrayValue.")
    if not value.array_value.values:
        raise invalid(f"'{operator}' requires an non-empty ArrayValue.")
    if len(value.array_value.values) > _LISTS[operator]:
        raise invalid(f"'{operator}' supports up to {_LISTS[operator]} comparison values.")


def _check_names(operator: str, value: ValueMessage, database: str) -> None:
    if operator in _ARRAY_FILTERS:
        raise invalid("the name __key__ is reserved")
    for name in value.array_value.values if operator in _LISTS else [value]:
        if name.WhichOneof("value_type") != "reference_value":
            raise invalid("__key__ filter value must be a Key")
        check_is_in(name.reference_value, database)


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


def _interval(condition: Condition) -> tuple[Key, Key]:
    """The positions of the value's type, without NaN."""
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
