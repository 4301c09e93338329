"""Resource names: parsing, refusing malformed ones with Firestore's messages, and sorting.

Names are `projects/{project}/databases/{database}/documents/{collection}/{id}/{collection}/{id}…`.
"""

import re
from enum import StrEnum

from service.local_firestore.errors import invalid

MAX_ID_BYTES = 1500
_MAX_ELEMENTS = 100
_INT64 = range(-(2**63), 2**63)
_DATABASE_LENGTH, _ROOT_LENGTH = 4, 5
_EXCEPTION = "except as the parent of a document"

_LEVELS = ("projects", "a project id", "databases", "a database id", "documents", "a collection id", "a resource id")
_LITERALS = frozenset({"projects", "databases", "documents"})
_DATABASE = re.compile(r"projects/[^/]+/databases/[^/]+")
_PLAIN_DOCUMENT = re.compile(r"projects/[^/]+/databases/[^/]+/documents(?:/(?!__|\.)[^/]+/(?!__|\.)[^/]+)+")
_RESERVED = re.compile(r"__.+__", re.DOTALL)
_NUMERIC_ID = re.compile(r"__id(-?[1-9][0-9]*)__")


class Role(StrEnum):
    """What a request calls a resource name, which decides where the name has to end."""

    DATABASE = "Database name"
    PARENT = "Document parent name"
    DOCUMENT = "Document name"
    REFERENCE = "Resource name"


def database_of(name: str) -> str:
    """`projects/…/databases/…`, from any resource name in the database."""
    match = _DATABASE.match(name)
    if match is None:
        raise invalid(_fault(name, Role.DATABASE) or name)
    return match.group()


def check_database_name(name: str) -> str:
    """The name itself. Raises unless it is a database's."""
    if (fault := _fault(name, Role.DATABASE)) is not None:
        raise invalid(fault)
    return name


def check_parent(name: str) -> str:
    """The name itself. Raises unless collections can be below it."""
    _check(name, Role.PARENT)
    return name


def check_document_name(name: str, database: str | None = None) -> str:
    """The name itself. Raises unless it can be a document's; if `database` is given, it must be in that database."""
    _check(name, Role.DOCUMENT)
    if database is not None:
        check_is_in(name, database)
    return name


def check_reference(name: str) -> None:
    """Raise unless a value can refer to this name."""
    _check(name, Role.REFERENCE)
    check_key_size(name)


def check_is_in(name: str, database: str) -> None:
    if database_of(name) != database:
        raise invalid(
            f"The request was for database '{database}' but was attempting to access database '{database_of(name)}'"
        )


def check_key_size(name: str) -> None:
    """Raise if a document's name is longer than Firestore stores. A read of such a document just finds nothing."""
    if len(name) * 4 <= MAX_ID_BYTES and name.count("/") <= _MAX_ELEMENTS:
        return
    ids = ids_of(name)
    if len(ids) > 2 * _MAX_ELEMENTS:
        raise invalid(f"Key path is too long. Cannot exceed {_MAX_ELEMENTS} elements.")
    for index, segment in enumerate(ids):
        if len(segment.encode()) > MAX_ID_BYTES:
            part = "name" if index % 2 else "kind"
            raise invalid(f"The key path element {part} is longer than {MAX_ID_BYTES} bytes.")


def check_collection_id(collection_id: str) -> str:
    """The ID itself. Raise unless it can be a collection's."""
    if "/" in collection_id:
        raise invalid(f'Collection id "{collection_id}" is invalid because it contains "/".')
    if collection_id in {".", ".."} or _RESERVED.fullmatch(collection_id):
        raise invalid(f'Collection id "{collection_id}" is invalid because it is reserved.')
    return collection_id


def check_document_id(document_id: str) -> str:
    """The ID itself. Raise unless it can be a document's."""
    if "/" in document_id:
        raise invalid(f'Resource id "{document_id}" is invalid because it contains "/".')
    if document_id in {".", ".."}:
        raise invalid(f'Resource id "{document_id}" is invalid because it is reserved.')
    if _RESERVED.fullmatch(document_id):
        number = _NUMERIC_ID.fullmatch(document_id)
        if number is None:
            raise invalid(f'Resource id "{document_id}" is invalid because it is reserved.')
        if int(number.group(1)) not in _INT64:
            raise invalid(f'Resource id "{document_id}" is invalid because it is not a 64 bit integer.')
    return document_id


def ids_of(name: str) -> list[str]:
    """Collection and document IDs in turn, from the top."""
    return name.split("/")[5:]


def _check(name: str, role: Role) -> None:
    if _PLAIN_DOCUMENT.fullmatch(name):
        return
    if (fault := _fault(name, role)) is not None:
        raise invalid(fault)
    for index, segment in enumerate(ids_of(name)):
        _ = check_document_id(segment) if index % 2 else check_collection_id(segment)


def _fault(name: str, role: Role) -> str | None:
    """The fault in the form of a name, with Firestore's message; None if there is none."""
    segments = name.split("/")
    position = 0
    for index, segment in enumerate(segments):
        if role is Role.DATABASE and index >= _DATABASE_LENGTH and segments[index:] != [""]:
            return f'{role} "{name}" has extra characters at index {position - 1}.'
        is_last = index == len(segments) - 1
        if (fault := _segment_fault(segment, index, position, role, is_last=is_last)) is not None:
            return f'{role} "{name}" {fault}'
        position += len(segment) + 1
    length = len(segments)
    if role is Role.DATABASE:
        is_whole = length == _DATABASE_LENGTH
    else:
        is_whole = length % 2 == 1 and length > (_ROOT_LENGTH - 1 if role is Role.PARENT else _ROOT_LENGTH)
    if is_whole:
        return None
    if length == _ROOT_LENGTH:
        return f'{role} "{name}" is invalid: Omit "/documents" when referencing a database ({_EXCEPTION}).'
    return f'{role} "{name}" lacks "/" at index {len(name)}.'


def _segment_fault(segment: str, index: int, position: int, role: Role, *, is_last: bool) -> str | None:
    level = _LEVELS[index if index < len(_LEVELS) else 6 - index % 2]
    if is_last and not segment and index == _DATABASE_LENGTH:
        return 'has invalid trailing "/".'
    if level in _LITERALS:
        return None if segment == level else f'lacks "{level}" at index {position}.'
    if segment in {".", ".."}:
        return f'contains {level} "{segment}" at index {position}.'
    if segment:
        return None
    if not is_last:
        return f"lacks {level} at index {position}."
    if index == _ROOT_LENGTH and role is Role.PARENT:
        return 'is invalid: Omit trailing "/".'
    return 'has invalid trailing "/".'


def name_key(name: str) -> str:
    """A text that compares as Firestore compares names: by segment; numeric IDs by number, before all others.

    NUL bytes are escaped, so that two of them can end a segment, and a third and fourth mark a number.
    """
    if "\0" in name:
        name = name.replace("\0", "\0\1")
    if "/__id" in name:
        name = "/".join(map(_segment_key, name.split("/")))
    return name.replace("/", "\0\0")


def _segment_key(segment: str) -> str:
    number = _NUMERIC_ID.fullmatch(segment)
    if number is None or int(number.group(1)) not in _INT64:
        return segment
    return f"\0\0{int(number.group(1)) + 2**63:020d}"
