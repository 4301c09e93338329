"""A query's filter as predicates on documents, and the part of it that an ordered index can answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.local_firestore import messages
from service.local_firestore.conditions import Condition, check_operand_sizes, compile_condition
from service.local_firestore.errors import invalid
from service.local_firestore.filter_limits import (
    OR,
    check_disjunctions,
    check_inequalities,
    check_names,
    check_operators,
)
from service.local_firestore.index import Bounds, Ordering, Predicate
from service.local_firestore.messages import Message
from service.local_firestore.paths import NAME, FieldPath
from service.local_firestore.values import Key

_AND = messages.StructuredQuery.CompositeFilter.AND


@dataclass(frozen=True, slots=True)
class Filters:
    """`predicate` is the whole condition; `range` and `rest` are the same condition in two parts.

    `range` is the part that an index can answer: an interval of its positions.
    """

    predicate: Predicate | None
    range: tuple[Key | None, Key | None]
    rest: Predicate
    is_covered: bool


@dataclass(frozen=True, slots=True)
class Conjuncts:
    """A filter as predicates that must all be true, and all conditions in them."""

    predicates: Sequence[Predicate]
    conditions: Sequence[Condition]

    @property
    def inequalities(self) -> list[FieldPath]:
        """The fields that decide the query's order."""
        return [condition.path for condition in self.conditions if condition.is_inequality]

    @property
    def distinct(self) -> int:
        """The number of different conditions."""
        return len({(condition.path, condition.operator, condition.key) for condition in self.conditions})

    @property
    def have_names(self) -> bool:
        return any(condition.path == NAME for condition in self.conditions)

    @property
    def are_on_names_only(self) -> bool:
        return all(condition.path == NAME for condition in self.conditions)

    def split(self, ordering: Ordering) -> Filters:
        """Ranges on the first ordering field become an interval of the index; the rest stays a predicate."""
        first = ordering.orders[0].path
        bounds, rest = Bounds(), []
        for predicate in self.predicates:
            interval = None
            if isinstance(predicate, Condition) and predicate.path == first != NAME:
                interval = predicate.interval
            if interval is not None:
                bounds = bounds.narrowed(*interval)
            else:
                rest.append(predicate)
        return Filters(
            _all_of(self.predicates) if self.predicates else None,
            (bounds.low, bounds.high),
            _all_of(rest),
            is_covered=not rest,
        )


def compile_filters(message: Message | None, database: str) -> Conjuncts:
    """Compile a filter. Raises FirestoreError if Firestore refuses it; names in it must be in `database`."""
    if message is None or _is_empty(message):
        return Conjuncts((), ())
    compiler = _Compiler(database)
    predicates = compiler.conjuncts(message)
    conjuncts = Conjuncts(predicates, compiler.conditions)
    check_operators([condition.operator for condition in compiler.conditions], has_or=compiler.has_or)
    check_disjunctions(message)
    check_names(conjuncts.inequalities, have_names=conjuncts.have_names)
    check_inequalities(conjuncts.inequalities)
    check_operand_sizes(conjuncts.conditions)
    return conjuncts


def _is_empty(message: Message) -> bool:
    """Whether this is an empty composite filter. Firestore treats it as no filter, unless it is part of another."""
    composite = message.composite_filter
    return message.WhichOneof("filter_type") == "composite_filter" and bool(composite.op) and not composite.filters


class _Compiler:
    """Turns a filter into predicates and notes the conditions in it."""

    def __init__(self, database: str) -> None:
        self.conditions: list[Condition] = []
        self.has_or = False
        self._database = database

    def conjuncts(self, message: Message) -> list[Predicate]:
        if message.WhichOneof("filter_type") == "composite_filter" and message.composite_filter.op != OR:
            parts = _parts(message.composite_filter)
            return [predicate for part in parts for predicate in self.conjuncts(part)]
        return [self._predicate(message)]

    def _predicate(self, message: Message) -> Predicate:
        if message.WhichOneof("filter_type") != "composite_filter":
            condition = compile_condition(message, self._database)
            self.conditions.append(condition)
            return condition
        predicates = [self._predicate(part) for part in _parts(message.composite_filter)]
        if message.composite_filter.op != OR:
            return _all_of(predicates)
        self.has_or = True
        return lambda document: any(predicate(document) for predicate in predicates)


def _parts(composite: Message) -> Sequence[Message]:
    if composite.op not in {_AND, OR}:
        raise invalid("Unsupported CompositeFilter operator.")
    if not composite.filters:
        raise invalid("Composite filter must have at least one sub-filter.")
    filters: Sequence[Message] = composite.filters
    return filters


def _all_of(predicates: Sequence[Predicate]) -> Predicate:
    return lambda document: all(predicate(document) for predicate in predicates)
