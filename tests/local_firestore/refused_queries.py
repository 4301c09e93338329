"""Queries and aggregations that Firestore refuses, by what is wrong with them."""

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
    where,
)

ONE, TWO = integer(1), integer(2)


def _is(path: str, number: int = 1) -> Request:
    return compare(path, "EQUAL", integer(number))


def _unequal(path: str) -> Request:
    return compare(path, "NOT_EQUAL", ONE)


def _above(path: str) -> Request:
    return compare(path, "GREATER_THAN", ONE)


def _among(path: str, *numbers: int) -> Request:
    return compare(path, "IN", array(*map(integer, numbers)))


def _not_among(path: str, *numbers: int) -> Request:
    return compare(path, "NOT_IN", array(*map(integer, numbers)))


def _contains(path: str, number: int = 1) -> Request:
    return compare(path, "ARRAY_CONTAINS", integer(number))


def _contains_any(path: str, *numbers: int) -> Request:
    return compare(path, "ARRAY_CONTAINS_ANY", array(*map(integer, numbers)))


COMBINATIONS: dict[str, Call] = {
    "not-in beside in": where(_not_among("a", 1), _among("b", 1)),
    "in beside not-in": where(_among("b", 1, 2), _not_among("a", 1)),
    "not-in beside array-contains-any": where(_not_among("a", 1), _contains_any("b", 1)),
    "not-in beside or": where(_not_among("a", 1), either(_is("b"), _is("c"))),
    "not-in in an or": where(either(_not_among("a", 1), _is("c"))),
    "not-in in an or of one": where(either(_not_among("a", 1))),
    "not-in beside !=": where(_not_among("a", 1), _unequal("a")),
    "!= twice": where(_unequal("a"), _unequal("b")),
    "!= or !=": where(either(_unequal("a"), _unequal("b"))),
    "not null beside !=": where(unary("a", "IS_NOT_NULL"), _unequal("b")),
    "not null twice": where(unary("a", "IS_NOT_NULL"), unary("b", "IS_NOT_NULL")),
    "array-contains twice": where(_contains("a", 1), _contains("a", 2)),
    "array-contains of two fields": where(_contains("a"), _contains("b")),
    "array-contains beside array-contains-any": where(_contains("a", 1), _contains_any("a", 2)),
    "the same as array-contains and -any": where(_contains("a", 1), _contains_any("a", 1)),
    "array-contains-any twice": where(_contains_any("a", 1), _contains_any("a", 2)),
    "array-contains twice in a disjunction": where(either(_contains("a", 1), both(_contains("a", 2), _contains("a")))),
    "array-contains beside an or of it": where(_contains("a"), either(_contains("b"), _is("c"))),
    "array-contains beside the same in an or of one": where(either(_contains("a")), _contains("a")),
    "array-contains beside the same in an and": where(both(_contains("a"), _is("b")), _contains("a")),
    "31 values of in": where(_among("a", *range(31))),
    "31 values of array-contains-any": where(_contains_any("a", *range(31))),
    "11 values of not-in": where(_not_among("a", *range(11))),
    "35 disjunctions": where(_among("a", *range(5)), _among("b", *range(7))),
    "35 disjunctions with an array": where(_among("a", *range(5)), _contains_any("b", *range(7))),
    "31 disjunctions": where(either(*(_is("a", number) for number in range(31)))),
    "31 disjunctions, one inside another": where(
        either(*(_is("a", number) for number in range(30)), both(_is("a"), _is("b")))
    ),
    "11 inequality fields": where(*(_above(f"f{number}") for number in range(11))),
    "11 inequality fields with the name": where(
        *(_above(f"f{number}") for number in range(10)), compare("__name__", "GREATER_THAN", reference("$D/c/d"))
    ),
    "11 inequality fields with !=": where(*(_above(f"f{number}") for number in range(10)), _unequal("g")),
    "name beside an inequality": where(compare("__name__", "EQUAL", reference("$D/c/d")), _above("a")),
    "names beside an inequality": where(compare("__name__", "IN", array(reference("$D/c/d"))), _unequal("a")),
    "name or an inequality": where(either(compare("__name__", "EQUAL", reference("$D/c/d")), _above("a"))),
    "names or not null": where(
        either(compare("__name__", "IN", array(reference("$D/c/d"))), unary("a", "IS_NOT_NULL"))
    ),
    "name and an inequality, in two disjunctions": where(
        either(both(compare("__name__", "EQUAL", reference("$D/c/d")), _is("b")), both(_above("a"), _is("b")))
    ),
    "101 filters": where(*(_is("a", number) for number in range(101))),
    "100 filters below a document": where(*(_is("a", number) for number in range(100)), parent="$D/c/d"),
    "101 orders": query(orderBy=[up(f"f{number}") for number in range(101)]),
}

OPERANDS: dict[str, Call] = {
    "in of nothing": where(_among("a")),
    "array-contains-any of nothing": where(_contains_any("a")),
    "not-in of nothing": where(_not_among("a")),
    "in of no array": where(compare("a", "IN", ONE)),
    "array-contains-any of no array": where(compare("a", "ARRAY_CONTAINS_ANY", ONE)),
    "not-in of no array": where(compare("a", "NOT_IN", ONE)),
    "no value": where(compare("a", "EQUAL", {})),
    "latitude 91": where(compare("a", "EQUAL", geo(91, 0))),
    "malformed reference": where(compare("a", "EQUAL", reference("x"))),
    "malformed reference in a list": where(compare("a", "IN", array(reference("$D/c")))),
    "name that is none": where(compare("__name__", "EQUAL", ONE)),
    "name of a collection": where(compare("__name__", "GREATER_THAN", reference("$D/c"))),
    "names that are none": where(compare("__name__", "IN", array(reference("$D/c/d"), string("x")))),
    "name in another database": where(
        compare("__name__", "EQUAL", reference("projects/o/databases/(default)/documents/c/d"))
    ),
    "name is null": where(unary("__name__", "IS_NULL")),
    "name contains": where(compare("__name__", "ARRAY_CONTAINS", reference("$D/c/d"))),
    "no operator": where({"fieldFilter": {"field": {"fieldPath": "a"}, "value": ONE}}),
    "no unary operator": where({"unaryFilter": {"field": {"fieldPath": "a"}}}),
    "no composite operator": where({"compositeFilter": {"filters": [_is("a")]}}),
    "filter of no type": where({}),
    "vector of integers": where(compare("a", "EQUAL", vector(ONE))),
    "vector of nothing in a list": where(compare("a", "IN", array(vector()))),
    "vector too long": where(compare("a", "LESS_THAN", vector(*[double(1)] * 2049))),
    "vector and more": where(compare("a", "ARRAY_CONTAINS", vector(double(1), more=ONE))),
    "vector without value": where(compare("a", "EQUAL", mapping(__type__=string("__vector__")))),
    "type that is no text": where(compare("a", "EQUAL", mapping(__type__=ONE))),
    "reserved name": where(compare("a", "EQUAL", mapping(__x__=ONE))),
    "reserved name in a map in an array": where(compare("a", "IN", array(mapping(b=array(mapping(__x__=ONE)))))),
    "or of nothing in an and": where(_is("a"), either()),
}

LONG = string("x" * 1500)
"""It counts for 1,501 bytes, and a filter compares with 1,500 at most."""

LARGE: dict[str, Call] = {
    "string": where(compare("a", "EQUAL", LONG)),
    "string in a path": where(compare("`a-b`.c", "LESS_THAN", LONG)),
    "string beside a small one": where(compare("a", "IN", array(ONE, LONG))),
    "string of not-in": where(compare("a", "NOT_IN", array(LONG))),
    "string in a disjunction": where(either(_is("b"), compare("a", "NOT_EQUAL", LONG))),
    "element of an array": where(compare("a", "ARRAY_CONTAINS", LONG)),
    "one of the elements of an array": where(compare("a.b", "ARRAY_CONTAINS_ANY", array(ONE, LONG))),
    "bytes": where(compare("a", "EQUAL", {"bytesValue": "AAAA" * 500 + "AAA="})),
    "array": where(compare("a", "EQUAL", array(*[ONE] * 188))),
    "vector": where(compare("a", "EQUAL", vector(*[double(1)] * 188))),
    "map": where(compare("a", "EQUAL", mapping(b=string("x" * 1498)))),
    "reference": where(compare("a", "EQUAL", reference("$D/" + "/".join(["c" * 500] * 4)))),
    "counted": aggregate(counted(), where=compare("a", "EQUAL", LONG)),
    "before an order": where(compare("a", "EQUAL", LONG), orderBy=[up("__name__"), up("b")]),
}

ORDERS: dict[str, Call] = {
    "field after the name": query(orderBy=[up("__name__"), up("a")]),
    "not-in with null and more, after the name": where(
        compare("b", "NOT_IN", array({"nullValue": None}, ONE)), orderBy=[up("__name__")]
    ),
    "inequality after the name": where(_above("b"), orderBy=[up("__name__")]),
    "inequality after an order and the name": where(_above("b"), orderBy=[up("a"), up("__name__")]),
    "field twice": query(orderBy=[up("a"), down("a")]),
    "quoted field twice": query(orderBy=[up("`a-b`"), up("c"), down("`a-b`")]),
    "no field": query(orderBy=[{"direction": "ASCENDING"}]),
    "down by name": query(orderBy=[down("__name__")]),
    "down by name, filtered by name": where(
        compare("__name__", "GREATER_THAN", reference("$D/c/d")), orderBy=[down("__name__")]
    ),
    "down by name in a group": query(orderBy=[down("__name__")], frm=[{"collectionId": "c", "allDescendants": True}]),
    "order of any collection": query(orderBy=[up("a")], frm=[]),
    "down by name in any collection": where(_is("a"), orderBy=[down("__name__")], frm=[]),
    "filter of any collection": where(_is("a"), frm=[]),
    "array-contains of any collection": where(_contains("a"), frm=[]),
    "inequality of any collection": where(_above("a"), frm=[{"collectionId": ""}]),
    "group below a document, filtered": where(
        _is("a"), parent="$D/c/d", frm=[{"collectionId": "c", "allDescendants": True}]
    ),
    "group below a document, ordered": query(
        "$D/c/d", orderBy=[up("a")], frm=[{"collectionId": "c", "allDescendants": True}]
    ),
    "negative limit": query(limit=-1),
    "negative offset": query(offset=-1),
    "two collections": query(frm=[{"collectionId": "c"}, {"collectionId": "d"}]),
    "no query": ("RunQuery", {"parent": "$D"}),
}

CURSORS: dict[str, Call] = {
    "too many values": query(orderBy=[up("a")], startAt={"values": [ONE, TWO]}),
    "too many values at the end": query(orderBy=[up("a")], endAt={"values": [ONE, TWO]}),
    "value of no order": query(startAt={"values": [reference("$D/c/d")]}),
    "name that is none": query(orderBy=[up("__name__")], startAt={"values": [string("d")]}),
    "malformed name": query(orderBy=[up("__name__")], startAt={"values": [reference("x")]}),
    "name in another database": query(
        orderBy=[up("__name__")], startAt={"values": [reference("projects/o/databases/(default)/documents/c/d")]}
    ),
    "no value": query(orderBy=[up("a")], startAt={"values": [{}]}),
    "vector of nothing": query(orderBy=[up("a")], startAt={"values": [vector()]}),
    "reserved name": query(orderBy=[up("a")], endAt={"values": [mapping(__x__=ONE)]}),
}

AGGREGATIONS: dict[str, Call] = {
    "none": aggregate(),
    "no query": ("RunAggregationQuery", {"parent": "$D"}),
    "no operator": aggregate({"alias": "a"}),
    "alias twice": aggregate(counted("x"), total("f", "x")),
    "alias twice, same operator": aggregate(counted("x"), counted("x")),
    "alias of one without": aggregate(total("f", ""), counted("field_1")),
    "reserved alias": aggregate(counted("__x__")),
    "alias of 1501 bytes": aggregate(counted("x" * 1501)),
    "negative up_to": aggregate(counted(upTo="-1")),
    "sum of names": aggregate(total("__name__")),
    "negative limit": aggregate(counted(), limit=-1),
    "sum after the name": aggregate(total("f"), orderBy=[up("__name__")]),
    "average after an order and the name": aggregate(average("f"), orderBy=[up("g"), up("__name__")]),
    "sum after a filter of names": aggregate(
        total("f"), where=compare("__name__", "GREATER_THAN", reference("$D/c/d")), limit=1
    ),
    "sum of a named document": aggregate(total("f"), where=compare("__name__", "EQUAL", reference("$D/c/d"))),
    "sum down by name": aggregate(total("f"), orderBy=[down("__name__")]),
    "count down by name": aggregate(counted(), orderBy=[down("__name__")]),
}
