"""Which documents belong to a collection, or to a collection group, and the key of each document. Pure.

`jobs` is a plain collection: the key of a document is its ID. `users/{uid}/jobs` is a pattern: it means the documents
of the collection group `jobs` whose path fits the pattern. Their key is one text, made from the IDs of the variables
and the ID of the document. Keys of a collection compare as Firestore compares the names of its documents: by ID, and
numeric IDs (`__id7__`) by number, before all others. Only this module makes keys and takes them apart.

In the key of a group NUL ends each ID but the last. Within an ID, NUL and the character after it are escaped. A number
is a NUL and twenty digits. So keys keep the order of the IDs. A document of the group that does not fit the pattern is
*foreign*: its key is a slash and its path.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

_END, _ESCAPE = "\0", "\1"
_FOREIGN = "/"
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_PLAIN_ID = r"(?!__id)[^/\x00\x01]+"
_NUMERIC_ID = re.compile(r"__id(-?[1-9][0-9]{0,18})__", re.ASCII)
_SCANNED = re.compile(r"(\x00\d{20}|(?:[^\x00\x01]|\x01[\x00\x01])+)(?:\x00|\Z)", re.ASCII)
_INT64 = range(-(2**63), 2**63)
_LEAST = 2**63


class WrongCollection(ValueError):
    """The text is neither a collection nor a pattern; the message says why."""


class CollectionPath:
    """A collection as the schema file names it. `root` is the beginning of its documents' paths."""

    def __init__(self, text: str, root: str = "") -> None:
        """Raises: WrongCollection."""
        self.text = text
        segments = text.split("/")
        self.variables = _variables_of(segments)
        self.is_group = bool(self.variables)
        if not self.is_group and len(segments) > 1:
            raise WrongCollection(f"{text!r} has no variable; name a top-level collection, or write users/{{uid}}/jobs")
        self.id = segments[-1]
        """The ID of the collection, or of the collection group."""
        self.top = segments[0]
        """The top-level collection in which all documents are."""
        self._root = root
        self._prefix = f"{root}{text}/"
        self._levels = [(_VARIABLE.fullmatch(segment) is not None, segment) for segment in segments]
        pattern = "/".join(f"({_PLAIN_ID})" if is_variable else re.escape(each) for is_variable, each in self._levels)
        self._usual = re.compile(f"{re.escape(root)}{pattern}/({_PLAIN_ID})")

    def __repr__(self) -> str:
        return f"<CollectionPath {self.text}>"

    # -- names and keys

    def key_of(self, name: str) -> str | None:
        """The key of a document, foreign or not; None for a document of another collection."""
        if not self.is_group:
            return name[len(self._prefix) :] if name.startswith(self._prefix) else None
        usual = self._usual.fullmatch(name)
        return _END.join(usual.groups()) if usual is not None else self._unusual_key_of(name)

    def _unusual_key_of(self, name: str) -> str | None:
        segments = name.removeprefix(self._root).split("/")
        if not name.startswith(self._root) or len(segments) % 2 or segments[-2] != self.id:
            return None
        fits = len(segments) == len(self._levels) + 1 and all(
            is_variable or segment == wanted
            for segment, (is_variable, wanted) in zip(segments, self._levels, strict=False)
        )
        if not fits:
            return _FOREIGN + "/".join(segments)
        ids = [segment for segment, (is_variable, _) in zip(segments, self._levels, strict=False) if is_variable]
        return self._joined([*ids, segments[-1]])

    def name_of(self, key: str) -> str:
        """The name of the document with this key. The key must not be foreign."""
        if not self.is_group:
            return self._prefix + key
        *ids, document_id = self._ids(key)
        return f"{self._parent(ids)}{self.id}/{document_id}"

    def parent_of(self, variables: Mapping[str, str | int]) -> str:
        """The name of the document (or the root) above the collection with these variables.

        All variables must be given.
        """
        return self._parent([str(variables[name]) for name in self.variables]).rstrip("/")

    def _parent(self, ids: Sequence[str]) -> str:
        remaining = iter(ids)
        above = [next(remaining) if is_variable else segment for is_variable, segment in self._levels[:-1]]
        return self._root + "".join(f"{segment}/" for segment in above)

    # -- keys and IDs

    def key(self, variables: Mapping[str, str], document_id: str) -> str:
        """The key of a document with these variables; a plain collection has no variables."""
        if not self.is_group:
            return document_id
        return self._joined([*(variables[name] for name in self.variables), document_id])

    def beginning(self, variables: Mapping[str, str]) -> str:
        """The common beginning of all keys with these variables; see `key_behind`."""
        return "".join(f"{_encoded(variables[name])}{_END}" for name in self.variables)

    def key_behind(self, beginning: str, document_id: str) -> str:
        """The key of a document, from `beginning` of its variables and its ID."""
        return beginning + _encoded(document_id) if self.is_group else document_id

    def key_below_one(self, document_id: str) -> str:
        """The key of the document whose ID and whose only variable are both this ID."""
        return self.key(dict.fromkeys(self.variables, document_id), document_id)

    def id_of(self, key: str) -> str:
        """The ID of the document with this key."""
        return self.ids_of(key)[-1] if self.is_group else key

    def values_of(self, key: str) -> Sequence[str]:
        """The variables of the document with this key, in the order of the pattern."""
        return self.ids_of(key)[:-1] if self.is_group else ()

    def ids_of(self, key: str) -> list[str]:
        """The variables, then the ID itself, of a document of a group."""
        return self._ids(key) or [key]

    def is_key(self, text: str) -> bool:
        """Whether a text has the form of a key. Its IDs are not checked."""
        if not self.is_group:
            return True
        ids = self._ids(text)
        return len(ids) == len(self.variables) + 1 and all(ids) and self._joined(ids) == text

    def _joined(self, ids: Sequence[str]) -> str:
        return _END.join(map(_encoded, ids))

    def _ids(self, key: str) -> list[str]:
        """The IDs of the variables, then that of the document."""
        ids = key.split(_END)
        if len(ids) == len(self.variables) + 1 and _ESCAPE not in key:
            return ids
        return _scanned(key)


def is_foreign(key: str) -> bool:
    """Whether the document does not fit the pattern. The listener counts such documents, but no answer shows them."""
    return key.startswith(_FOREIGN)


def readable(key: str) -> str:
    """The key as a text for logs."""
    return key.replace(_END, "/")


@lru_cache(maxsize=64)
def collection_path(text: str, root: str = "") -> CollectionPath:
    """The collection path of this text: for the same text always the same object. Raises: WrongCollection."""
    return CollectionPath(text, root)


def _variables_of(segments: Sequence[str]) -> tuple[str, ...]:
    text = "/".join(segments)
    if len(segments) % 2 == 0:
        raise WrongCollection(f"{text!r} names documents; it must end with the name of a collection")
    variables: list[str] = []
    for place, segment in enumerate(segments):
        variable = _VARIABLE.fullmatch(segment)
        if variable is None:
            _check_segment(text, segment)
            continue
        name = variable[1]
        if place % 2 == 0:
            raise WrongCollection(f"{text!r} has {segment} where a collection's name is expected")
        if not _VARIABLE_NAME.fullmatch(name):
            raise WrongCollection(f"{text!r} has {segment}: a variable's name is 1 to 64 letters, digits, underscores")
        if name in variables:
            raise WrongCollection(f"{text!r} has {segment} twice")
        variables.append(name)
    return tuple(variables)


def _check_segment(text: str, segment: str) -> None:
    if not segment:
        raise WrongCollection(f"{text!r} has an empty name between its slashes" if "/" in text else "is empty")
    if "{" in segment or "}" in segment:
        raise WrongCollection(f"{text!r}: {segment!r} is neither a name nor a variable, like {{uid}}")
    if segment in (".", "..") or _RESERVED.fullmatch(segment):
        raise WrongCollection(f"{text!r}: no name is '.', '..' or of the form '__…__'")


def _encoded(segment: str) -> str:
    if segment.startswith("__id"):
        number = _NUMERIC_ID.fullmatch(segment)
        if number is not None and int(number[1]) in _INT64:
            return f"{_END}{int(number[1]) + _LEAST:020d}"
    if _END in segment or _ESCAPE in segment:
        return segment.replace(_ESCAPE, _ESCAPE + _ESCAPE).replace(_END, _ESCAPE + _END)
    return segment


def _scanned(key: str) -> list[str]:
    """The IDs in a key that has escapes or numbers; fewer IDs than expected if the text is no key."""
    ids: list[str] = []
    place = 0
    while found := _SCANNED.match(key, place):
        ids.append(_decoded(found[1]))
        place = found.end()
    return ids


def _decoded(encoded: str) -> str:
    if encoded.startswith(_END):
        return f"__id{int(encoded[1:]) - _LEAST}__"
    return re.sub(r"\x01([\x00\x01])", r"\1", encoded) if _ESCAPE in encoded else encoded
