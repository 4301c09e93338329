"""Writes, reads and transactions that Firestore refuses, by what is wrong with them."""

import base64
from typing import Any

from tests.local_firestore.raw_calls import (
    Call,
    Request,
    array,
    double,
    geo,
    integer,
    mapping,
    nested,
    reference,
    string,
    transform,
    vector,
    write,
)

ONE = integer(1)
UNKNOWN_TRANSACTION = base64.b64encode(b"unknown12345").decode()
TOO_EARLY, TOO_LATE, TOO_FINE = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2026-11-28T19:20:00.123456789Z"
LONG = "x" * 1_048_488


VALUES: dict[str, Call] = {
    "array in array": write({"a": array(array(ONE))}),
    "array in array in map in array": write({"a": array(mapping(b=array(array(ONE))))}),
    "array in array, masked": write({"a": array(array(ONE))}, updateMask={"fieldPaths": ["a"]}),
    "vector in array": write({"a": array(vector(double(1)))}),
    "vector of integers": write({"a": vector(ONE)}),
    "vector of nothing": write({"a": vector()}),
    "vector too long": write({"a": vector(*[double(1)] * 2049)}),
    "vector with NaN": write({"a": vector(double("NaN"), double(1))}),
    "vector with NaN in a map": write({"a": mapping(b=vector(double("NaN")))}),
    "vector and more": write({"a": vector(double(1), more=ONE)}),
    "vector without value": write({"a": mapping(__type__=string("__vector__"))}),
    "map of unknown type": write({"a": mapping(__type__=string("__geo__"))}),
    "map of a type that is no text": write({"a": mapping(__type__=ONE)}),
    "21 maps": write({"a": nested(21, ONE)}),
    "21 maps, the last one empty": write({"a": nested(20, mapping())}),
    "20 maps in an array": write({"a": array(nested(20, ONE))}),
    "array 21 deep": write({"a": nested(20, array(ONE))}),
    "no kind": write({"a": {}}),
    "latitude 91": write({"a": geo(91, 0)}),
    "latitude below -90": write({"a": array(geo(-90.5, 0))}),
    "latitude NaN": write({"a": geo("NaN", 0)}),
    "longitude 181": write({"a": mapping(b=geo(0, 181))}),
    "longitude below -180": write({"a": geo(0, -180.5)}),
    "string too long": write({"a": string(LONG)}),
    "string too long in two-byte letters": write({"a": string("é" * 524_244)}),
    "string too long in an array": write({"a": array(string(LONG))}),
    "string too long in a map": write({"a": mapping(b=string(LONG))}),
    "document too large": write({"a": string("x" * 600_000), "b": string("x" * 600_000)}),
}

BSON: dict[str, Call] = {
    name: write({"a": value})
    for name, value in {
        "least value": mapping(__min__={"nullValue": None}),
        "greatest value": mapping(__max__={"nullValue": None}),
        "integer of 32 bits": mapping(__int__=ONE),
        "regular expression": mapping(__regex__=mapping(pattern=string("a"), options=string("i"))),
        "object ID": mapping(__oid__=string("507f191e810c19729de860ea")),
        "bytes of a subtype": mapping(__binary__={"bytesValue": "AAE="}),
        "time of a request": mapping(__request_timestamp__=mapping(seconds=ONE, increment=ONE)),
        "decimal number": mapping(__decimal128__=string("1.5")),
        "in a map": mapping(b=mapping(__max__={"nullValue": None})),
        "in an array": array(mapping(__int__=ONE)),
        "in an array in a map": mapping(b=array(mapping(__min__={"nullValue": None}))),
        "beside another field": mapping(__min__={"nullValue": None}, b=ONE),
        "of no type": mapping(__other__=ONE),
    }.items()
}

REFERENCES: dict[str, Call] = {
    f"reference to {name[:40]!r}": write({"a": reference(name)})
    for name in (
        "",
        "x",
        "$D",
        "$D/c",
        "$D/c//d",
        "projects/p",
        "$D/c/__x__",
        "$D/__x__/d",
        "$D/c/.",
        "$D/c/d/e",
        "$D/c/d/",
        "$D/c/" + "y" * 1501,
    )
}

FIELDS: dict[str, Call] = {
    "empty": write({"": ONE}),
    "empty in a map": write({"a": mapping(**{"": ONE})}),
    "1501 bytes": write({"x" * 1501: ONE}),
    "751 two-byte letters": write({"é" * 751: ONE}),
    "path of 1501 bytes": write({"a" * 800: mapping(**{"x" * 700: ONE})}),
    "path of 1501 bytes in an array": write({"a" * 800: array(mapping(**{"x" * 700: ONE}))}),
    "reserved": write({"__x__": ONE}),
    "reserved, short": write({"_____": ONE}),
    "reserved with a line break": write({"__\n__": ONE}),
    "reserved type": write({"__type__": ONE}),
    "reserved in a map": write({"a": array(mapping(__x__=ONE))}),
}


def _commit(*writes: Request) -> Call:
    return "Commit", {"database": "$B", "writes": list(writes)}


TRANSFORMS: dict[str, Call] = {
    "none": transform({"fieldPath": "a"}),
    "increment by text": transform({"fieldPath": "a", "increment": string("x")}),
    "maximum of text": transform({"fieldPath": "a", "maximum": string("x")}),
    "minimum of null": transform({"fieldPath": "a", "minimum": {"nullValue": None}}),
    "server value unspecified": transform({"fieldPath": "a", "setToServerValue": "SERVER_VALUE_UNSPECIFIED"}),
    "field and its parent": transform({"fieldPath": "a", "increment": ONE}, {"fieldPath": "a.b", "increment": ONE}),
    "field and its parent, quoted": transform(
        {"fieldPath": "a.`b-c`.d", "increment": ONE}, {"fieldPath": "a.`b-c`", "increment": ONE}
    ),
    "element out of range": transform({"fieldPath": "a", "appendMissingElements": {"values": [geo(91, 0)]}}),
    "no transforms": _commit({"transform": {"document": "$D/c/d"}}),
    "delete with transforms": (
        "Commit",
        {
            "database": "$B",
            "writes": [{"delete": "$D/c/d", "updateTransforms": [{"fieldPath": "a", "increment": ONE}]}],
        },
    ),
    "delete with a mask": (
        "Commit",
        {"database": "$B", "writes": [{"delete": "$D/c/d", "updateMask": {"fieldPaths": ["a"]}}]},
    ),
    "no operation": ("Commit", {"database": "$B", "writes": [{}]}),
}

PRECONDITIONS: dict[str, Call] = {
    "version in nanoseconds": write({"a": ONE}, currentDocument={"updateTime": TOO_FINE}),
    "version before 1970": write({"a": ONE}, currentDocument={"updateTime": "1969-01-01T00:00:00Z"}),
    "version of an absent document": write({"a": ONE}, "$D/c/none", currentDocument={"updateTime": TOO_EARLY}),
    "future version, absent document": write({"a": ONE}, "$D/c/none", currentDocument={"updateTime": TOO_LATE}),
}


def _batch(*writes: Request) -> Call:
    return "BatchWrite", {"database": "$B", "writes": list(writes)}


def _update(fields: Request, **parts: Any) -> Request:
    return {"update": {"name": "$D/c/x", "fields": fields}, **parts}


GOOD = {"delete": "$D/c/y"}
BATCHES: dict[str, Call] = {
    "no operation": _batch({}, GOOD),
    "one document twice": _batch(GOOD, GOOD),
    "collection": _batch({"delete": "$D/c"}, GOOD),
    "reserved field": _batch(_update({"__x__": ONE}), GOOD),
    "geo point": _batch(_update({"a": geo(91, 0)}), GOOD),
    "depth": _batch(_update({"a": nested(21, ONE)}), GOOD),
    "long string": _batch(_update({"a": string(LONG)}), GOOD),
    "transform": _batch(_update({}, updateTransforms=[{"fieldPath": "a", "increment": string("x")}]), GOOD),
    "version": _batch({"delete": "$D/c/x", "currentDocument": {"updateTime": "1969-01-01T00:00:00Z"}}, GOOD),
}


def _create(document_id: str, collection_id: str = "c", **document: Any) -> Call:
    request = {"parent": "$D", "collectionId": collection_id, "documentId": document_id, "document": document}
    return "CreateDocument", request


SINGLE: dict[str, Call] = {
    "create with a name": _create("q", name="$D/c/q"),
    "create without a collection": _create("q", ""),
    "create with a slash": _create("q/1/2"),
    "create with a dot": _create("."),
    "create reserved": _create("__x__"),
    "create too long": _create("x" * 1501),
    "create in a collection with a slash": _create("q", "a/b/c"),
    "create in a reserved collection": _create("q", "__id7__"),
    "create in a long collection": _create("q", "x" * 1501),
    "update of nothing": ("UpdateDocument", {}),
    "update with a bad mask": ("UpdateDocument", {"document": {"name": "$D/c/q"}, "mask": {"fieldPaths": ["a b"]}}),
    "get with a bad mask": ("GetDocument", {"name": "$D/c/q", "mask": {"fieldPaths": ["a b"]}}),
}


def _begin(**options: Any) -> Call:
    return "BeginTransaction", {"database": "$B", "options": options}


TRANSACTIONS: dict[str, Call] = {
    "rollback of an unknown one": ("Rollback", {"database": "$B", "transaction": UNKNOWN_TRANSACTION}),
    "rollback of none": ("Rollback", {"database": "$B"}),
    "commit of an unknown one": ("Commit", {"database": "$B", "transaction": UNKNOWN_TRANSACTION}),
    "get in an unknown one": ("GetDocument", {"name": "$D/c/d", "transaction": UNKNOWN_TRANSACTION}),
    "get in an empty one": ("GetDocument", {"name": "$D/c/d", "transaction": ""}),
    "retry of an unknown one": _begin(readWrite={"retryTransaction": UNKNOWN_TRANSACTION}),
    "read time too early": _begin(readOnly={"readTime": TOO_EARLY}),
    "read time too late": _begin(readOnly={"readTime": TOO_LATE}),
    "read time too fine": _begin(readOnly={"readTime": TOO_FINE}),
    "get, read time too fine": ("GetDocument", {"name": "$D/c/d", "readTime": TOO_FINE}),
    "get, read time too early": ("GetDocument", {"name": "$D/c/d", "readTime": TOO_EARLY}),
}
