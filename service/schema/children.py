"""Children: where Firestore has those of a process, and how an answer includes them. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from listeners.field_paths import FieldPath, Projection, parse_field_path
from service.schema.schema_file import SchemaFile


class Child(NamedTuple):
    """Further maps of a process: those of an array in its document or, if that is absent, of a subcollection.

    `path` is the array's path; None if there is only the subcollection.
    `order_by` is a field of the subcollection's documents; None means their IDs. At most `limit` of them are read.
    """

    name: str
    path: FieldPath | None
    subcollection: str
    order_by: str | None
    limit: int


def children_of(file: SchemaFile) -> Mapping[str, Child]:
    """Children by name, in the schema's order.

    If the schema names only a subcollection, a field of the document with the same name is never answered: that needs
    `from`.
    """
    found = {}
    for name, each in file.children.items():
        path = None if each.path is None and each.subcollection is not None else parse_field_path(each.path or name)
        found[name] = Child(name, path, each.subcollection or name, each.order_by, each.limit)
    return found


def mask_with(projection: Projection, children: Iterable[Child]) -> tuple[str, ...]:
    """The fields to request from Firestore: all that the answer needs, and the arrays of these children."""
    paths = [child.path for child in children if child.path is not None]
    return Projection((*projection.paths, *paths)).mask


def with_children(body: bytes, children: Mapping[str, bytes]) -> bytes:
    """The body of a 200 with further keys after its own. The values are JSON already."""
    return b"".join((body[:-1], *(b',"%b":%b' % (name.encode(), items) for name, items in children.items()), b"}"))
