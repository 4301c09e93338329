"""Queries drawn at random: both servers hold the same documents, and have the same answer to each query.

A seed that fails once fails always; the assertion shows the query.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.local_firestore.conftest import Pair
from tests.local_firestore.raw_calls import (
    Call,
    Request,
    aggregate,
    array,
    average,
    both,
    compare,
    counted,
    double,
    down,
    either,
    geo,
    integer,
    mapping,
    query,
    reference,
    string,
    total,
    unary,
    up,
    vector,
    write,
)

VALUES: tuple[Request, ...] = (
    {"nullValue": None},
    {"booleanValue": True},
    double("NaN"),
    integer(-1),
    integer(1),
    double(1.0),
    double(1.5),
    integer(2**53 + 1),
    {"timestampValue": "2026-01-01T00:00:00.000001Z"},
    string(""),
    string("a"),
    string("\uffff"),
    string("😀"),
    {"bytesValue": "AAE="},
    reference("$D/c/__id10__"),
    reference("$D/c/a"),
    geo(1, -2),
    array(),
    array(integer(1), string("a")),
    mapping(),
    mapping(x=integer(1)),
    mapping(value=array(double(1.0))),
    vector(double(1.0)),
    vector(double(0.5), double(2.0)),
)
IDS = ("__id-5__", "__id7__", "__id10__", "A", "a", "a!", "b", "\uffff", "😀")
PATHS = ("f", "g", "m.x", "f.value")
RANGES = ("LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL")
SEEDS = range(12)
QUERIES_PER_SEED = 25


@pytest.fixture(scope="module")
def seeded(pair: Pair) -> Pair:
    """Forty documents in a collection, in one below a document, and in another one."""
    draw = random.Random(1)
    for collection in ("c", "c/a/c", "d"):
        for name in IDS:
            fields = {path: draw.choice(VALUES) for path in ("f", "g") if draw.random() < 0.8}
            if draw.random() < 0.6:
                fields["m"] = mapping(x=draw.choice(VALUES), y=integer(draw.randrange(3)))
            fields["n"] = integer(draw.randrange(4))
            for server in (pair.local, pair.google):
                assert server.ask(write(fields, f"$D/{collection}/{name}")).code == "OK"
    return pair


class Drawn:
    """Parts of queries, drawn from one source of randomness."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def call(self) -> Call:
        parts: Request = {"frm": [{"collectionId": self._one("c", "c", "d", ""), "allDescendants": self._chance(0.3)}]}
        if self._chance(0.7):
            parts["where"] = self._filter(depth=2)
        if self._chance(0.6):
            parts["orderBy"] = self._orders()
            for cursor in ("startAt", "endAt"):
                if self._chance(0.3):
                    parts[cursor] = self._cursor(parts["orderBy"])
        if self._chance(0.4):
            parts["limit"] = self._draw.randrange(6)
        if self._chance(0.2):
            parts["offset"] = self._draw.randrange(4)
        if self._chance(0.2):
            return aggregate(*self._aggregations(), **parts)
        if self._chance(0.2):
            parts["select"] = {"fields": [{"fieldPath": self._one("f", "m.x", "__name__")}]}
        return query(self._one("$D", "$D", "$D", "$D/c/a"), **parts)

    def _chance(self, probability: float) -> bool:
        return self._draw.random() < probability

    def _one(self, *choices: str) -> str:
        return self._draw.choice(choices)

    def _values(self, most: int) -> Request:
        return array(*(self._draw.choice(VALUES) for _ in range(self._draw.randrange(1, most))))

    def _name(self) -> Request:
        return reference(f"$D/{self._one('c', 'c/a/c', 'd')}/{self._one(*IDS)}")

    def _filter(self, depth: int) -> Request:
        kinds: list[Callable[[], Request]] = [
            lambda: compare(self._one(*PATHS), "EQUAL", self._draw.choice(VALUES)),
            lambda: compare("n", self._one("EQUAL", *RANGES), integer(self._draw.randrange(4))),
            lambda: compare(self._one(*PATHS), self._one(*RANGES), self._draw.choice(VALUES)),
            lambda: compare(self._one(*PATHS), self._one("IN", "NOT_IN", "ARRAY_CONTAINS_ANY"), self._values(4)),
            lambda: compare(self._one(*PATHS), "ARRAY_CONTAINS", self._draw.choice(VALUES)),
            lambda: compare(self._one(*PATHS), "NOT_EQUAL", self._draw.choice(VALUES)),
            lambda: unary(self._one(*PATHS), self._one("IS_NULL", "IS_NAN", "IS_NOT_NULL", "IS_NOT_NAN")),
            lambda: compare("__name__", self._one("EQUAL", *RANGES), self._name()),
        ]
        if depth and self._chance(0.4):
            combine = self._draw.choice((both, both, either))
            return combine(*(self._filter(depth - 1) for _ in range(self._draw.randrange(1, 4))))
        return self._draw.choice(kinds)()

    def _orders(self) -> list[Request]:
        paths = self._draw.sample(("f", "g", "m.x", "n", "__name__"), self._draw.randrange(1, 4))
        return [{"field": {"fieldPath": path}, "direction": self._one("ASCENDING", "DESCENDING")} for path in paths]

    def _cursor(self, orders: list[Request]) -> Request:
        paths = [order["field"]["fieldPath"] for order in orders][: self._draw.randrange(1, 4)]
        values = [self._name() if path == "__name__" else self._draw.choice(VALUES) for path in paths]
        return {"values": values, "before": self._chance(0.5)}

    def _aggregations(self) -> list[Request]:
        asked: tuple[Any, ...] = (counted(), total("f"), average("g"), total("n", "n"), counted("some", upTo="2"))
        return self._draw.sample(asked, self._draw.randrange(1, 4))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_query_has_the_same_answer_on_both_servers(seeded: Pair, seed: int) -> None:
    drawn = Drawn(seed)
    for _ in range(QUERIES_PER_SEED):
        call = drawn.call()
        ours, googles = seeded.local.ask(call), seeded.google.ask(call)
        # A query can be wrong in two ways; which of them is named is not compared.
        assert (call, ours.without_detail) == (call, googles.without_detail)


@pytest.mark.parametrize("values", [(1.0,), (1.0, 1.5)])
def test_the_same_filter_can_be_given_twice(seeded: Pair, values: tuple[float, ...]) -> None:
    some = compare("f", "ARRAY_CONTAINS_ANY", array(*map(double, values)))
    beside = both(some, compare("n", "GREATER_THAN", integer(-1)))
    for combined in (both(some, some), both(either(some, some), either(some, some)), both(beside, beside)):
        call = query(where=combined)
        ours = seeded.local.ask(call)
        assert (call, ours) == (call, seeded.google.ask(call))
        assert not ours.is_refusal


NULL, NAN = {"nullValue": None}, double("NaN")


@pytest.mark.parametrize(
    "never",
    [
        compare("m.x", "LESS_THAN_OR_EQUAL", NULL),
        compare("m.x", "GREATER_THAN", NAN),
        compare("m.x", "NOT_EQUAL", NULL),
    ],
)
def test_a_condition_that_no_value_fulfils_asks_for_no_field(seeded: Pair, never: Request) -> None:
    one = compare("n", "EQUAL", integer(1))
    named = compare("__name__", "EQUAL", reference("$D/c/a"))
    calls = [
        query(where=either(never, one)),
        query(where=either(never, one), orderBy=[up("n"), down("__name__")]),
        query(where=either(never, compare("n", "GREATER_THAN", integer(1)))),
        query(where=either(never, named)),
        aggregate(counted(), where=either(never, one)),
    ]
    for call in calls:
        ours = seeded.local.ask(call)
        assert (call, ours) == (call, seeded.google.ask(call))
        assert ours.responses
