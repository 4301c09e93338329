"""A schema as code: compiled once at the start, then called for every version of every document. Pure.

`summarize` decodes and renders in one loop over the answer's keys. Documents come from many writers. So a value that
cannot be read becomes null, and its key is listed in `malformed`; no document can make this code raise. Only the
answer's keys are rendered.
"""

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from listeners.field_paths import FieldPath, Projection, parse_field_path
from listeners.gc_untrack import untrack
from service.api.list_query import MAX_FILTER_BYTES, Position, position_of
from service.api.ordering import Order
from service.schema.children import children_of
from service.schema.readers import MALFORMED, Reader, raw_statuses, read_integer, reader_of, rendered, status_reader
from service.schema.schema_file import SchemaFile, variable_in

FilterValue = str | int | None
"""A document's value for a filter; None if it has no value that can equal the filter's."""

MOST_SHARED = 16_384

MOST_CONFIRMATIONS = 32
"""The number of versions to remember that have one content, of 8 bytes each."""

Summarized = tuple["ProcessSummary", tuple[str, ...]]
"""A process, and the answer keys with unreadable values."""


@dataclass(slots=True)
class ProcessSummary:
    """One version of one process, ready to send. Immutable.

    `process_id` is the document's key (see `collection_path`), `version` its update time in microseconds.
    `content_version` is the version of the write that last changed `body`, as far as this replica knows.
    `confirmations` are the newest versions after it that this replica has seen with the same body. Another version in
    between can have had another body.

    `position` is the place in lists; None if the ordering field has not the order's type. `filters` are the values of
    the schema's filters, in its order. `body` is the JSON of the 200 answer. A list's row is `body` without some parts:
    each two numbers in `hidden` are the beginning and end of such a part.
    """

    process_id: str
    version: int
    status: str | None
    position: Position | None
    filters: tuple[FilterValue, ...]
    body: bytes
    hidden: tuple[int, ...]
    content_version: int
    confirmations: "array[int] | None" = None
    is_stalled: ClassVar[bool] = False
    """Whether the process has not ended and Firestore has seen no write of it for STALLED_AFTER_S."""

    @property
    def is_new_content(self) -> bool:
        """Whether this version has another body than the previous one."""
        return self.content_version == self.version

    def is_same_as(self, version: int) -> bool:
        """Whether that version of the process is known to have this body."""
        if version == self.content_version or version == self.version:
            return True
        return self.confirmations is not None and version in self.confirmations

    def known_as(self, version: int) -> int:
        """The version of this body for a client that knows `version`.

        It is never below a version that the client knows.
        """
        if self.is_same_as(version):
            return version
        return self.content_version if version <= self.content_version else self.version

    @property
    def row(self) -> bytes:
        """The process as a list shows it, as JSON."""
        body, shown, begin = self.body, [], 0
        for hidden_from, hidden_to in zip(self.hidden[::2], self.hidden[1::2], strict=True):
            shown.append(body[begin:hidden_from])
            begin = hidden_to
        return b"".join((*shown, body[begin:]))


@dataclass(slots=True)
class StalledSummary(ProcessSummary):
    """The same version of a process, which stalls.

    It is a class, because a field would take memory in every process.
    """

    is_stalled: ClassVar[bool] = True


_values_of = attrgetter(*(each.name for each in fields(ProcessSummary)))


def stalled(summary: ProcessSummary) -> StalledSummary:
    """The process, marked as stalled."""
    marked = StalledSummary(*_values_of(summary))
    untrack(marked)
    return marked


class _Run(NamedTuple):
    """Neighbouring keys of an answer, each with its path and its reader."""

    is_shown: bool
    columns: list[tuple[str, str, Reader]]


class Schema:
    """The schema, for all parts of the service that handle documents."""

    def __init__(self, file: SchemaFile) -> None:
        self.file = file
        self.order = Order(file.order.field, file.order.type)
        self.path = file.path
        self.filter_names = tuple(file.all_filters)
        self._variables = tuple(f"{{{name}}}" for name in self.path.variables)
        self._variable_keys = {answer.path: key for key, answer in file.answer.items() if variable_in(answer.path)}
        paths = {
            key: parse_field_path(answer.path or key)
            for key, answer in file.answer.items()
            if variable_in(answer.path) is None
        }
        self._status_path = paths["status"]
        self.order_path = parse_field_path(file.order.field)
        filter_paths = {name: parse_field_path(each.path or name) for name, each in file.filters.items()}
        self.filter_paths: Mapping[str, FieldPath] = filter_paths
        """The paths of filters that compare a field; the other filters are variables of the collection's path."""
        self.projection = Projection(
            (*paths.values(), *filter_paths.values(), self.order_path),
            structured={path.text for key, path in paths.items() if file.answer[key].type == "json"},
        )
        self.children = children_of(file)
        self._tuples: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._runs = self._compile_runs(paths)
        self._key_of = self.order.key_reader()
        of_fields = tuple((filter_paths[name].text, each.type) for name, each in file.filters.items())
        self._filters = (*((variable, "string") for variable in self._variables), *of_fields)

    def __repr__(self) -> str:
        return f"<Schema of {self.file.collection}: {', '.join(self.file.answer)}>"

    @property
    def status_path(self) -> str | None:
        """The status as a Firestore path; None if it is an array's element, because queries cannot use those."""
        return self._status_path.in_firestore

    def raw_statuses(self, word: str) -> list[str | int]:
        """Every value that a document can have if the answer says `word`."""
        return raw_statuses(self.file.status.names, word)

    def _compile_runs(self, paths: Mapping[str, FieldPath]) -> tuple[_Run, ...]:
        """Group neighbouring keys that lists show, or that they hide, so that each group is rendered at once. The first
        is shown.
        """
        runs = [_Run(is_shown=True, columns=[])]
        for key, answer in self.file.answer.items():
            if answer.in_list is not runs[-1].is_shown:
                runs.append(_Run(answer.in_list, []))
            read = status_reader(self.file.status.names) if key == "status" else reader_of(answer)
            path = paths[key].text if key in paths else str(answer.path)
            runs[-1].columns.append((key, path, read))
        return tuple(runs)

    def summarize(
        self, process_id: str, version: int, fields: Mapping[str, object], held: ProcessSummary | None = None
    ) -> Summarized:
        """Decode and render one document. `fields` are the projection's values. Also returns the malformed keys.

        Parts that equal those of `held`, the previous version, are taken from it, because two copies would take more
        memory.
        """
        malformed: list[str] = []
        pieces: list[bytes] = []
        hidden: list[int] = []
        status: Any = None
        length = 0
        document_id = process_id
        if self._variables:
            document_id, fields = self._with_variables(process_id, fields)
        get = fields.get
        values: dict[str, object] = {"process_id": document_id}
        for is_shown, columns in self._runs:
            for key, path, read in columns:
                value = get(path)
                if value is not None:
                    value = read(value)
                    if value is MALFORMED:
                        malformed.append(key)
                        value = None
                values[key] = value
            if status is None:
                status = values.get("status")
            piece = rendered(values)[:-1]
            if length:
                piece = b"," + piece[1:]
            if not is_shown:
                hidden += (length, length + len(piece))
            length += len(piece)
            pieces.append(piece)
            values = {}
        pieces.append(b"}")
        body = b"".join(pieces)
        position = self._position(process_id, fields, held)
        filters = self._filter_values(fields, held) if self._filters else ()
        if held is not None and held.body == body and held.version <= version:
            summary = _confirmed(held, version, position, filters)
        else:
            summary = ProcessSummary(
                process_id if held is None else held.process_id,
                version,
                sys.intern(status) if type(status) is str else status,
                position,
                filters,
                body,
                self._shared(tuple(hidden)),
                version,
            )
        untrack(summary)
        return summary, tuple(malformed)

    def identity(self, process_id: str) -> dict[str, str]:
        """The keys that identify a process in answers: the document's ID, and variables for which
        answers have a key.
        """
        if not self._variables:
            return {"process_id": process_id}
        found: dict[str, str] = {"process_id": self.path.id_of(process_id)}
        for variable, value in zip(self._variables, self.path.values_of(process_id), strict=True):
            if variable in self._variable_keys:
                found[self._variable_keys[variable]] = value
        return found

    def _with_variables(self, key: str, fields: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """The document's ID, and its values together with those of the path's variables."""
        *values, document_id = self.path.ids_of(key)
        return document_id, {**fields, **dict(zip(self._variables, values, strict=False))}  # a sample has no key

    def _position(self, process_id: str, fields: Mapping[str, object], held: ProcessSummary | None) -> Position | None:
        key = self._key_of(fields.get(self.order.field))
        if key is None:
            return None
        position = position_of(key, process_id)
        if held is not None and held.position == position:
            return held.position
        untrack(position)
        return position

    def _filter_values(self, fields: Mapping[str, object], held: ProcessSummary | None) -> tuple[FilterValue, ...]:
        values = tuple([_filter_value(fields.get(path), type_) for path, type_ in self._filters])
        return held.filters if held is not None and held.filters == values else self._shared(values)

    def _shared(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """One tuple for all summaries with equal values. This table costs 50 bytes per entry, `lru_cache` 200."""
        if len(self._tuples) >= MOST_SHARED:
            self._tuples.clear()
        return self._tuples.setdefault(values, values)


def _confirmed(
    held: ProcessSummary, version: int, position: Position | None, filters: tuple[FilterValue, ...]
) -> ProcessSummary:
    """A later version with the same body."""
    confirmations = held.confirmations
    if held.version not in (version, held.content_version):
        confirmations = (confirmations or array("q"))[1 - MOST_CONFIRMATIONS :]
        confirmations.append(held.version)
    return ProcessSummary(
        held.process_id,
        version,
        held.status,
        position,
        filters,
        held.body,
        held.hidden,
        held.content_version,
        confirmations,
    )


def _filter_value(value: object, type_: str) -> FilterValue:
    """The value for a filter. As in Firestore, strings only equal strings, and integers equal numbers."""
    if type_ == "string":
        return sys.intern(value) if type(value) is str and len(value) <= MAX_FILTER_BYTES else None
    number = read_integer(value)
    return number if isinstance(number, int) else None
