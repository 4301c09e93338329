"""Children as the schema has them: where those of a process are, and how an answer includes them. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from listeners.field_paths import FieldPath, Projection, parse_field_path
from service.schema.schema_file import SchemaFile


class Child(NamedTuple):
    """Further maps of a process: those of an array in its document or, where that is absent, a subcollection.

    `path`: None where the subcollection is the only place.
    `order_by` is a field of the subcollection's documents, None their IDs; at most `limit` of them are read.
    """

    name: str
    path: FieldPath | None
    subcollection: str
    order_by: str | None
    limit: int


def children_of(file: SchemaFile) -> Mapping[str, Child]:
    """By name, in the schema's order.

    A subcollection alone stands for itself: a field of the document is answered only where `from` names it.
    """
    found = {}
    for name, each in file.children.items():
        path = None if each.path is None and each.subcollection is not None else parse_field_path(each.path or name)
        found[name] = Child(name, path, each.subcollection or name, each.order_by, each.limit)
    return found


def mask_with(projection: Projection, children: Iterable[Child]) -> tuple[str, ...]:
    """What to ask Firestore for: all that the answer is made of, and these children's arrays."""
    paths = [child.path for child in children if child.path is not None]
    return Projection((*projection.paths, *paths)).mask


def with_children(body: bytes, children: Mapping[str, bytes]) -> bytes:
    """The 200 body with further keys behind its own; the values are JSON already."""
    return b"".join((body[:-1], *(b',"%b":%b' % (name.encode(), items) for name, items in children.items()), b"}"))
