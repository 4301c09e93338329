"""The children that a draft proposes: arrays of maps in the documents. Pure.

The proposals are comments: answers show every field of an item, so a person must decide. If the items of an array have
fields that look like secrets, the array is not proposed, but named.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.schema import draft_names

MAX_DEPTH = 3
MOST_NAMES = 6


@dataclass
class ArrayOfMaps:
    """One array of maps: the number of documents with it, and the paths of the fields in its items."""

    path: str
    documents: int = 0
    names: dict[str, None] = field(default_factory=dict)

    @property
    def secrets(self) -> list[str]:
        return [name for name in self.names if draft_names.looks_secret(name)]


def arrays_of_maps(documents: Iterable[Mapping[str, Any]]) -> list[ArrayOfMaps]:
    """The paths with an array of maps in every document that has items there."""
    found: dict[str, ArrayOfMaps] = {}
    others: set[str] = set()
    for document in documents:
        for path, items in _arrays(document, "", 1):
            if not all(isinstance(item, Mapping) for item in items):
                others.add(path)
                continue
            array = found.setdefault(path, ArrayOfMaps(path))
            array.documents += 1
            for item in items:
                array.names.update(dict.fromkeys(_names(item, "", 1)))
    return [array for path, array in found.items() if path not in others]


def proposals(arrays: Sequence[ArrayOfMaps], document_count: int, taken: Iterable[str]) -> Iterator[str]:
    """The lines of a draft that propose these children. `taken` are the keys of the answer."""
    used = set(taken)
    for array in arrays:
        if array.secrets or draft_names.looks_secret(array.path):
            continue
        last = draft_names.as_key(array.path.rpartition(".")[2])
        name = draft_names.as_key(array.path) if last in used else last
        if not name or name[0].isdigit() or name in used:
            continue
        used.add(name)
        shown = ", ".join([*array.names][:MOST_NAMES]) + (", …" if len(array.names) > MOST_NAMES else "")
        yield f"# [children.{name}]  # ?include_{name}=true; in {array.documents} of {document_count} documents"
        yield f"# from = {draft_names.quoted(array.path)}  # each item is answered whole: {shown}"
        yield ""


def _arrays(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, list[Any]]]:
    for name, value in values.items():
        path = prefix + draft_names.step(name)
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from _arrays(value, f"{path}.", depth + 1)
        elif isinstance(value, list) and value:
            yield path, value


def _names(value: Any, prefix: str, depth: int) -> Iterator[str]:
    """The paths within an item, through maps and arrays."""
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        for name, each in value.items():
            path = prefix + draft_names.step(name)
            inner = list(_names(each, f"{path}.", depth + 1))
            yield from inner or [path]
    elif isinstance(value, list):
        for each in value:
            yield from _names(each, prefix, depth)
