"""count, sum and avg: where one of them needs a field, only documents that have it count, in its order."""

import pytest

from tests.local_firestore.conftest import Pair
from tests.local_firestore.raw_calls import (
    Answer,
    Call,
    Request,
    aggregate,
    average,
    compare,
    counted,
    double,
    down,
    integer,
    string,
    total,
    up,
    write,
)

DOCUMENTS: dict[str, Request] = {
    "c/0": {"f": integer(5), "g": integer(1)},
    "c/1": {"f": integer(1), "g": integer(9)},
    "c/2": {"g": integer(2)},
    "c/3": {"f": integer(3), "g": integer(4)},
    "c/4": {"f": string("x"), "g": integer(7)},
    "c/5": {"f": integer(2)},
    "big/a": {"f": integer(2**63 - 1)},
    "big/b": {"f": integer(2**63 - 1)},
    "exact/a": {"f": integer(2**53)},
    "exact/b": {"f": integer(2**53 + 1)},
    "mixed/a": {"f": double("NaN")},
    "mixed/b": {"f": integer(1)},
    "double/a": {"f": double(0.1)},
    "double/b": {"f": double(0.2)},
    "double/c": {"f": double(1e16)},
}
ABOVE_ONE = compare("g", "GREATER_THAN", integer(1))

CALLS: dict[str, Call] = {
    **{f"sum, limit {limit}": aggregate(total("f"), limit=limit) for limit in range(7)},
    **{f"sum, offset {offset}": aggregate(total("f"), offset=offset) for offset in range(1, 6)},
    **{f"average, limit {limit}": aggregate(average("f"), limit=limit) for limit in range(5)},
    "count, limit": aggregate(counted(), limit=3),
    "count beside sum": aggregate(counted(), total("f")),
    "count beside sum, offset and limit": aggregate(counted(), total("f"), offset=1, limit=2),
    "count up to beside sum": aggregate(counted(upTo="1"), total("f"), limit=3),
    "two sums, limit": aggregate(total("f", "x"), total("g", "y"), counted(), limit=1),
    "two sums the other way round": aggregate(total("g", "y"), total("f", "x"), counted(), limit=2),
    "sum and average": aggregate(average("g"), total("f"), limit=2),
    "sum ordered by another field": aggregate(total("f"), orderBy=[up("g")], limit=2),
    "sum ordered down by another field": aggregate(total("f"), orderBy=[down("g")], limit=2),
    "sum ordered down by its field": aggregate(total("f"), orderBy=[down("f")], limit=2),
    "sum with an inequality": aggregate(total("f"), where=ABOVE_ONE, limit=2),
    "sum with an equality": aggregate(total("f"), where=compare("g", "EQUAL", integer(1)), limit=1),
    "sum from a cursor": aggregate(total("f"), orderBy=[up("f")], startAt={"values": [integer(2)]}),
    "sum of a nested field": aggregate(total("f.x"), limit=2),
    "aliases by number": aggregate(counted(""), total("f", "x"), average("f", "")),
    "of nothing": aggregate(total("f"), average("f"), counted(), frm=[{"collectionId": "none"}]),
    **{
        f"of {name}": aggregate(total("f"), average("f"), frm=[{"collectionId": name}])
        for name in ("big", "exact", "mixed", "double")
    },
}


@pytest.fixture(scope="module")
def seeded(pair: Pair) -> Pair:
    for path, fields in DOCUMENTS.items():
        for server in (pair.local, pair.google):
            assert server.ask(write(fields, f"$D/{path}")).code == "OK"
    return pair


@pytest.mark.parametrize("name", CALLS)
def test_an_aggregation_is_the_same_as_googles(seeded: Pair, name: str) -> None:
    assert seeded.local.ask(CALLS[name]) == seeded.google.ask(CALLS[name])


def test_a_sum_with_a_limit_takes_the_lowest_values_first(seeded: Pair) -> None:
    assert seeded.local.ask(aggregate(total("f"), limit=2)) == Answer(
        "OK", responses=('{"result": {"aggregateFields": {"sum": {"integerValue": "3"}}}}',)
    )


def test_more_than_five_aggregations_are_refused(seeded: Pair) -> None:
    answer = seeded.local.ask(aggregate(*(counted(f"n{number}") for number in range(6))))
    assert answer.code == "INVALID_ARGUMENT"  # Google's emulator fails with UNKNOWN
