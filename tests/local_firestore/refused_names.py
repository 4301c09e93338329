"""Names, IDs, field paths and listings that Firestore refuses, by what is wrong with them."""

from collections.abc import Callable

from tests.local_firestore.raw_calls import (
    Call,
    aggregate,
    average,
    compare,
    integer,
    query,
    total,
    transform,
    up,
    where,
    write,
)

ONE = integer(1)
LONG_ID = "x" * 1501

_NAMES = (
    "$D",
    "$D/c",
    "$D/c/d/e",
    "x",
    "",
    "$B/c/d",
    "$D//d",
    "$D/c/",
    "$D/c/.",
    "$D/c/..",
    "$D/c/__x__",
    "$D/c/_____",
    "$D/__x__/d",
    "$D/__id7__/d",
    "$D/c/__id08__",
    "$D/c/__id0__",
    "$D/c/__id-0__",
    "$D/c/__id+1__",
    "$D/c/__id__",
    "$D/c/__id9223372036854775808__",
    "$D/c/__id-9223372036854775809__",
)
_NAMED: dict[str, Callable[[str], Call]] = {
    "write": lambda name: write({"a": ONE}, name),
    "get": lambda name: ("GetDocument", {"name": name}),
    "get several": lambda name: ("BatchGetDocuments", {"database": "$B", "documents": ["$D/c/d", name]}),
    "delete": lambda name: ("DeleteDocument", {"name": name}),
}
DOCUMENTS: dict[str, Call] = {f"{how} {name!r}": call(name) for how, call in _NAMED.items() for name in _NAMES} | {
    "write a long ID": write({"a": ONE}, f"$D/c/{LONG_ID}"),
    "write a long ID in two-byte letters": write({"a": ONE}, "$D/c/" + "é" * 751),
    "write in a long collection": write({"a": ONE}, f"$D/{LONG_ID}/d"),
    "write 101 levels deep": write({"a": ONE}, "$D" + "/c/d" * 101),
}

_PARENTS = ("$D/c", "$B", "$D/", "x", "", "$D/c/d/", "$D/c/__x__", "$D/__x__/d", "$D/c/d/e")
_BELOW: dict[str, Callable[[str], Call]] = {
    "query": query,
    "list": lambda parent: ("ListDocuments", {"parent": parent, "collectionId": "c"}),
    "list collections": lambda parent: ("ListCollectionIds", {"parent": parent}),
    "create": lambda parent: ("CreateDocument", {"parent": parent, "collectionId": "c", "document": {}}),
}
PARENTS: dict[str, Call] = {f"{how} {name!r}": call(name) for how, call in _BELOW.items() for name in _PARENTS}

_DATABASES = (
    "",
    "x",
    "projects/p",
    "projects/p/databases/",
    "projects//databases/(default)",
    "$D",
    "$B/",
    "projects/p/databases/(default)/x",
)
DATABASES: dict[str, Call] = {
    f"{rpc} {name!r}": (rpc, {"database": name})
    for rpc in ("Commit", "BatchGetDocuments", "BatchWrite", "Rollback", "BeginTransaction")
    for name in _DATABASES
}

COLLECTIONS: dict[str, Call] = {
    f"{how} {name[:20]!r}": call
    for name in ("a/b", "a//b", "a/b/c", "__x__", "__id7__", ".", "..", LONG_ID)
    for how, call in {
        "query": query(frm=[{"collectionId": name}]),
        "group": query(frm=[{"collectionId": name, "allDescendants": True}]),
        "list": ("ListDocuments", {"parent": "$D", "collectionId": name}),
    }.items()
}

_PATHS = (
    "a b",
    "a-b",
    "1a",
    "a.1",
    "a..b",
    ".a",
    "a.",
    "`a",
    "a`",
    "`a`b",
    "",
    "``",
    "é",
    "a/b",
    "a~b",
    "*",
    "a[0]",
    "a\nb",
    "__x__",
    "a.__x__",
)
_PATHED: dict[str, Callable[[str], Call]] = {
    "mask": lambda path: write({"a": ONE}, updateMask={"fieldPaths": [path]}),
    "transform": lambda path: transform({"fieldPath": path, "increment": ONE}),
    "order": lambda path: query(orderBy=[up(path)]),
    "filter": lambda path: where(compare(path, "EQUAL", ONE)),
    "select": lambda path: query(select={"fields": [{"fieldPath": path}]}),
    "get": lambda path: (
        "BatchGetDocuments",
        {"database": "$B", "documents": ["$D/c/none"], "mask": {"fieldPaths": [path]}},
    ),
    "list": lambda path: ("ListDocuments", {"parent": "$D", "collectionId": "c", "mask": {"fieldPaths": [path]}}),
    "sum": lambda path: aggregate(total(path)),
    "average": lambda path: aggregate(average(path)),
}
PATHS: dict[str, Call] = {f"{how} {path!r}": call(path) for how, call in _PATHED.items() for path in _PATHS} | {
    f"{how} {path[:10]!r}…": call(path)
    for how, call in _PATHED.items()
    if how != "transform"
    for path in ("x" * 1501, "a." * 760 + "a", "__name__.a")
}


def _list(**parts: object) -> Call:
    return "ListDocuments", {"parent": "$D", "collectionId": "c", **parts}


def _collections(**parts: object) -> Call:
    return "ListCollectionIds", {"parent": "$D", **parts}


LISTINGS: dict[str, Call] = {
    "negative page": _list(pageSize=-1),
    "bad token": _list(pageToken="AAAA"),
    "bad order": _list(orderBy="f sideways"),
    "order that ends with a comma": _list(orderBy="f,"),
    "order by a field twice": _list(orderBy="f,f desc"),
    "order of nothing": _list(orderBy="   "),
    "order down by name": _list(orderBy="__name__ desc"),
    "order and missing": _list(orderBy="f", showMissing=True),
    "missing of any collection": ("ListDocuments", {"parent": "$D", "showMissing": True}),
    "order of any collection": ("ListDocuments", {"parent": "$D", "orderBy": "f"}),
    "read time too early": _list(readTime="2020-01-01T00:00:00Z"),
    "read time too late": _list(readTime="2100-01-01T00:00:00Z"),
    "collections: negative page": _collections(pageSize=-1),
    "collections: bad token": _collections(pageToken="AAAA"),
    "collections: read time too early": _collections(readTime="2020-01-01T00:00:00Z"),
    "collections: read time too late": _collections(readTime="2100-01-01T00:00:00Z"),
}
