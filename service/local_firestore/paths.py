"""Field paths: parsing, refusing malformed ones, and finding their values."""

import re
from collections.abc import Sequence
from functools import lru_cache

from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, ValueMessage
from service.local_firestore.typed_maps import is_vector

FieldPath = tuple[str, ...]

NAME: FieldPath = ("__name__",)

MAX_PATH_BYTES = 1500

_SEGMENT = re.compile(r"[a-zA-Z_][a-zA-Z_0-9]*|`(?:[^`\\]|\\.)+`", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_RESERVED = re.compile(r"__.+__", re.DOTALL)
_SYNTAX = (
    "Unquoted property paths must match regex ([a-zA-Z_][a-zA-Z_0-9]*), "
    r"and quoted property paths must match regex (`(?:[^`\\]|(?:\\.))+`)"
)


def is_reserved(field: str) -> bool:
    return field.startswith("__") and _RESERVED.fullmatch(field) is not None


@lru_cache(maxsize=4096)
def parse_field_path(text: str) -> FieldPath:
    """`a.b` and `` `odd.name`.b `` as segments."""
    if not text:
        raise invalid("Invalid empty property path string.")
    path = tuple(_segments(text))
    if path == NAME:
        return path
    if path[:1] == NAME:
        raise invalid("the name __key__ is reserved")
    for segment in path:
        if is_reserved(segment):
            raise invalid(f"Invalid reserved name in field path {segment}")
    if len(text.encode()) > MAX_PATH_BYTES:
        raise invalid(f"property path is longer than {MAX_PATH_BYTES} bytes.")
    return path


def _segments(text: str) -> list[str]:
    segments: list[str] = []
    position = 0
    while (match := _SEGMENT.match(text, position)) is not None:
        segment = match.group()
        segments.append(_ESCAPED.sub(r"\1", segment[1:-1]) if segment[0] == "`" else segment)
        position = match.end()
        if position == len(text):
            return segments
        if text[position] != ".":
            break
        position += 1
    raise invalid(f'Invalid property path "{text}". {_SYNTAX}')


def _is_map(value: ValueMessage) -> bool:
    """No path leads into a vector, though a map carries it."""
    return value.WhichOneof("value_type") == "map_value" and not is_vector(value.map_value.fields)


def field_of(document: DocumentMessage, path: FieldPath) -> ValueMessage | None:
    """The value at `path`; None if the document has none."""
    fields = document.fields
    for segment in path[:-1]:
        if segment not in fields or not _is_map(fields[segment]):
            return None
        fields = fields[segment].map_value.fields
    return fields.get(path[-1])


def set_field(document: DocumentMessage, path: FieldPath, value: ValueMessage) -> None:
    """Set the value at `path`. Maps on the way are made; a value on the way that is no map is replaced by one."""
    fields = document.fields
    for segment in path[:-1]:
        if segment not in fields or not _is_map(fields[segment]):
            fields[segment].Clear()
            fields[segment].map_value.SetInParent()
        fields = fields[segment].map_value.fields
    fields[path[-1]].CopyFrom(value)


def delete_field(document: DocumentMessage, path: FieldPath) -> None:
    fields = document.fields
    for segment in path[:-1]:
        if segment not in fields or not _is_map(fields[segment]):
            return
        fields = fields[segment].map_value.fields
    fields.pop(path[-1], None)


def project(document: DocumentMessage, paths: Sequence[FieldPath]) -> DocumentMessage:
    """A copy of the document with only these fields; name and times always stay."""
    copy = type(document)(name=document.name)
    copy.create_time.CopyFrom(document.create_time)
    copy.update_time.CopyFrom(document.update_time)
    for path in paths:
        if path != NAME and (value := field_of(document, path)) is not None:
            set_field(copy, path, value)
    return copy
