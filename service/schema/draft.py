"""Drafts a schema for a collection from some of its documents, for a person to correct. Pure.

The guesses come from names and values of fields: the status and its terminal words, the ordering field and its type,
times, progress, counts, error, owner. A field that looks like a secret is left out and named. The draft is valid TOML
that `parse_schema` accepts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from listeners.collection_path import collection_path
from listeners.window import OrderType
from service.schema.draft_children import arrays_of_maps, proposals
from service.schema.draft_names import as_key, looks_secret, quoted, step
from service.schema.readers import MALFORMED, read_time

MAX_DEPTH = 3
MAX_STATUSES = 20
_STATUS = (r"^(status|state)$", r"(status|state)$", r"^(phase|stage)$")
_CREATED = (
    r"^(created|create)",
    r"^(submitted|queued|enqueued|requested|inserted)",
    r"^start",
    r"^(time|timestamp|at)$",
)
_STARTED = (r"^start", *_CREATED)
_ENDED = (r"^(end|ended|finished|completed|done)(_?(at|time|date|on))?$", r"^(end|finish|complet)")
_UPDATED = (r"^(last_?)?(updated|modified|changed)", r"^update")
_PROGRESS = (r"^(progress|percent|percentage|pct)$", r"(progress|percent)$")
_PROCESSED = (r"^(processed|done)$", r"(processed|done|completed)(_?count)?$")
_FAILED = (r"^failed$", r"(failed|failures|errors)(_?count)?$")
_TOTAL = (r"^total$", r"total(_?count)?$")
_ERROR = (r"^error$", r"^error_?message$", r"^(message|detail|reason)$", r"error|failure")
_OWNER = (r"^(uid|owner|owner_?id|user_?id|created_?by)$", r"^(tenant|tenant_?id|account_?id|org_?id|team_?id)$")
_KEYS = ("status", "start_time", "end_time", "last_updated", "progress", "processed", "failed", "total", "error")
"""The keys that a draft can have without a person's help."""
_TERMINAL = re.compile(
    r"^(done|complete|success|succe|finish|fail|error|cancel|abort|crash|ready|reject|expire|skip|timed|ended|dead|clos)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One path and its values in the documents, without absent fields and null."""

    path: str
    name: str
    values: tuple[Any, ...]

    @property
    def is_text(self) -> bool:
        return all(isinstance(value, str) for value in self.values)

    @property
    def is_integer(self) -> bool:
        return all(isinstance(value, int) and not isinstance(value, bool) for value in self.values)

    @property
    def is_number(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def time_unit(self) -> str | None:
        """The unit if every value is a time as a number: `s` or `ms`; None if the values are no such times."""
        numbers = [value for value in self.values if isinstance(value, int | float) and not isinstance(value, bool)]
        others = [value for value in self.values if not isinstance(value, int | float)]
        if any(read_time(value) is MALFORMED for value in others) or len(numbers) + len(others) != len(self.values):
            return None
        sizes = {_unit(number) for number in numbers if number != 0}
        if not sizes:
            return "s" if others else None
        return sizes.pop() if len(sizes) == 1 else None


def _unit(number: float) -> str | None:
    if 1e8 < number < 1e11:
        return "s"
    return "ms" if 1e11 < number < 1e14 else None


class Draft:
    """The guesses for one collection."""

    def __init__(self, collection: str, documents: Sequence[Mapping[str, Any]]) -> None:
        self.collection = collection
        self.document_count = len(documents)
        self.arrays = arrays_of_maps(documents)
        fields = _fields(documents)
        self.secrets = [field for field in fields if looks_secret(field.path)]
        self.fields = [field for field in fields if not looks_secret(field.path)]
        self.status = self._status()
        times = [field for field in self.fields if field.time_unit is not None and field is not self.status]
        self.order = _best([field for field in times if self._order_type(field) is not None], _CREATED)
        self.started = _best(times, _STARTED)
        self.ended = _best(times, _ENDED)
        self.updated = _best(times, _UPDATED)

    def _status(self) -> Field | None:
        words = [field for field in self.fields if (field.is_text or field.is_integer) and field.time_unit is None]
        few = [field for field in words if len(set(field.values)) <= MAX_STATUSES]
        return _best(few, _STATUS)

    def _order_type(self, field: Field) -> OrderType | None:
        """The type of most of its values. None for an array's element, which cannot order lists."""
        if "[" in field.path:
            return None
        texts = sum(isinstance(value, str) for value in field.values)
        times = sum(isinstance(value, datetime) for value in field.values)
        numbers = len(field.values) - texts - times
        most = max(texts, times, numbers)
        if most == times:
            return "timestamp"
        return "string" if most == texts else "milliseconds" if field.time_unit == "ms" else "seconds"

    def toml(self) -> str:
        """The draft. Its comments say what was found, and what a person must check."""
        if self.status is None:
            return f"# No field of {quoted(self.collection)} looks like a status.\n[answer]\n# status = …\n"
        parts = (
            self._head,
            self._status_lines,
            self._answer,
            self._filters,
            self._children,
            self._roles,
            self._left_out,
        )
        return "\n".join(line for part in parts for line in part()) + "\n"

    def _head(self) -> Iterator[str]:
        yield f"# Drafted from {self.document_count} documents. Correct it, then set SCHEMA_FILE to it."
        yield f"collection = {quoted(self.collection)}"
        yield ""
        if self.order is None:
            yield "# No field has times that lists could be ordered by."
            return
        yield f"[order]  # in {len(self.order.values)} of {self.document_count} documents"
        yield f"field = {quoted(self.order.path)}"
        yield f"type = {quoted(str(self._order_type(self.order)))}"
        yield ""

    def _status_lines(self) -> Iterator[str]:
        assert self.status is not None  # noqa: S101 - toml has asked
        seen = sorted({str(value) for value in self.status.values})
        terminal = [word for word in seen if looks_terminal(word)]
        yield f"[status]  # seen: {', '.join(seen)}"
        yield f"terminal = [{', '.join(map(quoted, terminal))}]"
        if self.status.is_integer:
            names = ", ".join(f"{word} = {quoted(word)}" for word in seen)
            yield f"names = {{ {names} }}  # say what they mean, and which are terminal"
        yield ""

    def _answer(self) -> Iterator[str]:
        assert self.status is not None  # noqa: S101 - toml has asked
        yield "[answer]  # no other field ever leaves the service"
        yield f"status = {quoted(self.status.path)}"
        for name in collection_path(self.collection).variables:
            yield f"{name} = {quoted(f'{{{name}}}')}  # a variable of the path; it is a filter too"
        used = [self.status]
        for key, time in (("start_time", self.started), ("end_time", self.ended), ("last_updated", self.updated)):
            if time is not None:
                yield f"{key} = {_time(time)}"
                used.append(time)
        for key, patterns, kind in (
            ("progress", _PROGRESS, "number"),
            ("processed", _PROCESSED, "integer"),
            ("failed", _FAILED, "integer"),
            ("total", _TOTAL, "integer"),
            ("error", _ERROR, "string"),
        ):
            found = _best([field for field in self.fields if field not in used and _is(field, kind)], patterns)
            if found is not None:
                used.append(found)
                yield f"{key} = {_read_as(found, kind)}"
        for field in self.fields:
            if field not in used:
                yield f"# {as_key(field.path)} = {_declaration(field)}"
        yield ""

    def _filters(self) -> Iterator[str]:
        owner = _best([field for field in self.fields if field.is_text and "[" not in field.path], _OWNER)
        if owner is not None:
            yield "[filters]  # GET /status?owner=…"
            yield f"owner = {quoted(owner.path)}"
            yield ""

    def _children(self) -> Iterator[str]:
        taken = {"process_id", *_KEYS, *(as_key(field.path) for field in self.fields)}
        yield from proposals(self.arrays, self.document_count, taken)

    def _roles(self) -> Iterator[str]:
        progress = _best([field for field in self.fields if field.is_number], _PROGRESS)
        if progress is not None and max(progress.values) <= 1:
            yield "[roles]"
            yield "progress_of = 1  # no value is above 1"
            yield ""

    def _left_out(self) -> Iterator[str]:
        arrays = [
            f"{array.path}, whose items have {', '.join(array.secrets)}" for array in self.arrays if array.secrets
        ]
        if self.secrets or arrays:
            yield "# Left out, because they look like secrets or personal data:"
            yield from (f"#   {path}" for path in (*(field.path for field in self.secrets), *arrays))


def _fields(documents: Sequence[Mapping[str, Any]]) -> list[Field]:
    found: dict[str, list[Any]] = {}
    for document in documents:
        for path, value in _flat(document, "", 1):
            found.setdefault(path, []).append(value)
    return [
        Field(path, re.split(r"[.\]]", path)[-1].strip("`"), tuple(values)) for path, values in found.items() if values
    ]


def _flat(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = prefix + step(name)
        if isinstance(value, Mapping):
            if depth < MAX_DEPTH:
                yield from _flat(value, f"{path}.", depth + 1)
        elif isinstance(value, list):
            if value and isinstance(value[-1], Mapping) and depth < MAX_DEPTH:
                yield from _flat(value[-1], f"{path}[-1].", depth + 1)
        elif isinstance(value, str | int | float | datetime):
            yield path, value


def looks_terminal(word: str) -> bool:
    """Whether a status sounds like the end of a process."""
    return _TERMINAL.match(word) is not None


def _best(fields: Iterable[Field], patterns: Sequence[str]) -> Field | None:
    """The best field for the first pattern that fits any name: it is in the most documents, and least deep."""
    fields = list(fields)
    for pattern in patterns:
        fitting = [field for field in fields if re.search(pattern, field.name, re.IGNORECASE)]
        if fitting:
            return max(fitting, key=lambda field: (len(field.values), -field.path.count(".")))
    return None


def _is(field: Field, kind: str) -> bool:
    return {"number": field.is_number, "integer": field.is_integer, "string": field.is_text}[kind]


def _time(field: Field) -> str:
    options = [f"from = {quoted(field.path)}", 'as = "time"']
    if field.time_unit == "ms":
        options.append('unit = "ms"')
    if 0 in field.values:
        options.append("zero_is_null = true")
    return f"{{ {', '.join(options)} }}"


def _declaration(field: Field) -> str:
    if field.time_unit is not None:
        return _time(field)
    if all(isinstance(value, bool) for value in field.values):
        return _read_as(field, "boolean")
    return _read_as(field, "integer" if field.is_integer else "number" if field.is_number else "string")


def _read_as(field: Field, kind: str) -> str:
    return quoted(field.path) if kind == "string" else f"{{ from = {quoted(field.path)}, as = {quoted(kind)} }}"
