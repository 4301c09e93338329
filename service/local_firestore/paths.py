"""Resource names and field paths: taking them apart and refusing the malformed ones.

Names are `projects/{project}/databases/{database}/documents/{collection}/{id}/{collection}/{id}…`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, ValueMessage
from service.local_firestore.values import STORABLE

FieldPath = tuple[str, ...]

NAME: FieldPath = ("__name__",)

MAX_ID_BYTES = 1500

_DATABASE = re.compile(r"projects/[^/]+/databases/[^/]+")
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_NUMERIC_ID = re.compile(r"__id-?\d+__")
_SEGMENT = re.compile(r"`(?:[^`\\]|\\.)*`|[^.`]+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def database_of(name: str) -> str:
    """`projects/…/databases/…` of any resource name in it."""
    match = _DATABASE.match(name)
    if match is None:
        raise invalid(f'"{name}" is not a resource name of the form projects/…/databases/…')
    return match.group()


def check_document_name(name: str, database: str) -> None:
    """Raise unless `name` may name a document of `database`."""
    prefix = database + "/documents/"
    if not name.startswith(prefix):
        raise invalid(f'Document name "{name}" is not in database "{database}".')
    segments = name[len(prefix) :].split("/")
    if len(segments) % 2:
        raise invalid(f'Document name "{name}" names a collection, not a document.')
    for segment in segments:
        _check_id(segment)


def _check_id(segment: str) -> None:
    if not segment or segment in {".", ".."}:
        raise invalid(f'Resource id "{segment}" is invalid.')
    if segment.startswith("__") and _RESERVED.fullmatch(segment) and not _NUMERIC_ID.fullmatch(segment):
        raise invalid(f'Resource id "{segment}" is invalid because it is reserved.')
    if len(segment) > MAX_ID_BYTES // 4 and len(segment.encode()) > MAX_ID_BYTES:
        raise invalid("A resource id is longer than 1500 bytes.")


def check_fields(fields: Mapping[str, ValueMessage]) -> None:
    """Raise where a field's name or the kind of its value can't be stored."""
    for name, value in fields.items():
        if not name:
            raise invalid("The property.name is the empty string.")
        kind = value.WhichOneof("value_type")
        if name.startswith("__") and name.endswith("__") and name != "__type__":
            raise invalid(f"field name {name} is reserved")
        if kind == "map_value":
            check_fields(value.map_value.fields)
        elif kind not in STORABLE:
            raise invalid(f"field {name} has no value that a document can hold")


@lru_cache(maxsize=4096)
def parse_field_path(text: str) -> FieldPath:
    """`a.b` and `` `odd.name`.b `` as segments."""
    segments: list[str] = []
    position = 0
    while True:
        match = _SEGMENT.match(text, position)
        if match is None:
            raise invalid(f'Invalid property path "{text}".')
        segment = match.group()
        segments.append(_ESCAPED.sub(r"\1", segment[1:-1]) if segment[0] == "`" else segment)
        position = match.end()
        if position == len(text):
            return tuple(segments)
        if text[position] != ".":
            raise invalid(f'Invalid property path "{text}".')
        position += 1


def field_of(document: DocumentMessage, path: FieldPath) -> ValueMessage | None:
    """The value at `path`, or None where the document has none."""
    fields = document.fields
    for segment in path[:-1]:
        if segment not in fields or fields[segment].WhichOneof("value_type") != "map_value":
            return None
        fields = fields[segment].map_value.fields
    return fields.get(path[-1])


def set_field(document: DocumentMessage, path: FieldPath, value: ValueMessage) -> None:
    """Set the value at `path`, making maps on the way; what is in the way and no map gives way to one."""
    fields = document.fields
    for segment in path[:-1]:
        if segment not in fields or fields[segment].WhichOneof("value_type") != "map_value":
            fields[segment].Clear()
            fields[segment].map_value.SetInParent()
        fields = fields[segment].map_value.fields
    fields[path[-1]].CopyFrom(value)


def delete_field(document: DocumentMessage, path: FieldPath) -> None:
    fields = document.fields
    for segment in path[:-1]:
        if segment not in fields or fields[segment].WhichOneof("value_type") != "map_value":
            return
        fields = fields[segment].map_value.fields
    fields.pop(path[-1], None)


def project(document: DocumentMessage, paths: Sequence[FieldPath]) -> DocumentMessage:
    """A copy of the document with these fields only; name and times always stay."""
    copy = type(document)(name=document.name)
    copy.create_time.CopyFrom(document.create_time)
    copy.update_time.CopyFrom(document.update_time)
    for path in paths:
        if path != NAME and (value := field_of(document, path)) is not None:
            set_field(copy, path, value)
    return copy
