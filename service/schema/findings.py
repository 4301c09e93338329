"""Findings about a collection and its schema, from some of its documents. Pure.

Each finding is one line: what was checked, what was found and, if that is wrong, what to do. `process-status check`
prints them.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.schema.compiled import Schema
from service.schema.draft import looks_terminal
from service.schema.readers import MALFORMED, reader_of, status_reader
from service.schema.schema_file import variable_in


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do; "" if nothing is wrong."""

    subject: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{'wrong' if self.advice else 'ok':5}  {self.subject}: {self.found}"
        return f"{line}; {self.advice}" if self.advice else line


def of_fields(schema: Schema, documents: Sequence[Mapping[str, object]]) -> Iterator[Finding]:
    """A finding for each key of the answer. `documents` hold the projection's values."""
    for key, answer in schema.file.answer.items():
        path = answer.path or key
        if variable_in(path) is not None:
            continue  # every path has it
        values = [document[path] for document in documents if document.get(path) is not None]
        read = status_reader(schema.file.status.names) if key == "status" else reader_of(answer)
        unreadable = [value for value in values if read(value) is MALFORMED]
        found = f"{path} is in {len(values)} of {len(documents)} documents{_types(values)}"
        advice = ""
        if not values:
            advice = f"correct its path in [answer] of the schema, or take {key} out"
        elif unreadable:
            advice = f"{len(unreadable)} can't be read as {answer.type} and are answered as null; set `as` to fit"
        yield Finding(f"answer.{key}", found, advice)


def of_filters(schema: Schema, documents: Sequence[Mapping[str, object]]) -> Iterator[Finding]:
    """A finding for each filter."""
    for name, path in schema.filter_paths.items():
        count = sum(document.get(path.text) is not None for document in documents)
        found = f"{path.text} is in {count} of {len(documents)} documents"
        yield Finding(f"filters.{name}", found, "" if count else "correct its path in [filters] of the schema")


def of_order(schema: Schema, documents: Sequence[Mapping[str, object]]) -> Finding:
    """Whether the documents can be listed."""
    key_of, field = schema.order.key_reader(), schema.order.field
    values = [document.get(field) for document in documents]
    listed = sum(key_of(value) is not None for value in values)
    found = f"{field} is a {schema.order.type} in {listed} of {len(documents)} documents{_types(values)}"
    if listed == len(documents):
        return Finding("order", found)
    if listed:
        return Finding("order", found, "the others are in no list and are served by ID only; write the field in them")
    return Finding("order", found, "no list will hold any; correct [order] field or type (START_TIME_TYPE)")


def of_statuses(schema: Schema, statuses: Iterable[str]) -> Finding:
    """Whether the terminal statuses of the schema are words that the documents use."""
    seen, terminal = Counter(statuses), schema.file.status.terminal
    words = ", ".join(f"{word} ({count})" for word, count in seen.most_common())
    found = f"seen {words or 'none'}; terminal {', '.join(terminal)}"
    unnamed = sorted(word for word in seen if word not in terminal and looks_terminal(word))
    advice = f"add {', '.join(unnamed)} to [status] terminal (TERMINAL_STATUSES), if they end a process"
    return Finding("status", found, advice if unnamed else "")


def similar_name(collection: str, others: Iterable[str]) -> str | None:
    """The other collection with the most similar name, if one is similar."""
    return next(iter(difflib.get_close_matches(collection, list(others), n=1, cutoff=0.6)), None)


def of_emptiness(collection: str, others: Iterable[str]) -> Finding:
    """For a collection without documents; `others` have some. For a pattern, its first name is compared."""
    similar = similar_name(collection.partition("/")[0], others)
    advice = "write a document, or correct FIRESTORE_COLLECTION"
    if similar is not None:
        advice = f"did you mean {similar}? Set FIRESTORE_COLLECTION"
    return Finding("collection", f"{collection} has no documents", advice)


def _types(values: Sequence[object]) -> str:
    names = Counter(_type(value) for value in values if value is not None)
    return f" ({', '.join(f'{count} {name}' for name, count in names.most_common())})" if names else ""


def _type(value: object) -> str:
    if isinstance(value, datetime):
        return "timestamp"
    names = {bool: "boolean", int: "integer", float: "double", str: "string", bytes: "bytes"}
    return names.get(type(value), "map, array or reference")
