"""The schema file: TOML that says how one collection's documents become answers.

`read_schema_file` returns the validated file, or raises WrongSchema with one line per fault, which names the table and
the key. This module knows neither documents nor HTTP; `service.schema.compiled` turns a schema into code.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)

from listeners.collection_path import CollectionPath, WrongCollection, collection_path
from listeners.field_paths import WrongPath, parse_field_path
from listeners.window import OrderType
from service.api.operations import OPERATIONS

ValueType = Literal["string", "time", "integer", "number", "boolean", "json"]
Unit = Literal["s", "ms"]

DEFAULT_COLLECTION = "webServiceLogs"
_COLLECTION = re.compile(r"[^/{}]+")
MAX_CHILD_LIMIT = 1000
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_NUMERIC_TYPES = frozenset({"time", "integer", "number"})
_RESERVED_FILTERS = frozenset({"stalled"}.union(*(operation.query_names for operation in OPERATIONS)))
_BAD_ENDS = re.compile(r"fail|error|abort|crash|dead|timed?_?out|reject", re.IGNORECASE)


class WrongSchema(Exception):
    """A schema file that cannot be used. `faults` has one line per fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


def _path(text: str) -> str:
    try:
        parse_field_path(text)
    except WrongPath as wrong:
        raise ValueError(str(wrong)) from None
    return text


def variable_in(path: str | None) -> str | None:
    """The variable if the path is one, such as `{uid}`; None for the path of a field."""
    found = None if path is None else _VARIABLE.fullmatch(path)
    return None if found is None else found[1]


def _path_or_variable(text: str) -> str:
    return text if variable_in(text) is not None else _path(text)


def _queryable_path(text: str) -> str:
    if parse_field_path(_path(text)).in_firestore is None:
        raise ValueError(f"{text!r} has an array's index, by which Firestore can't query")
    return text


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError(f"{text!r} must be 1 to 64 letters, digits and underscores, not beginning with a digit")
    return text


PathText = Annotated[str, AfterValidator(_path)]
PathOrVariable = Annotated[str, AfterValidator(_path_or_variable)]
QueryablePath = Annotated[str, AfterValidator(_queryable_path)]
Key = Annotated[str, AfterValidator(_key)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(_Table):
    """The field that orders lists, newest first, and that `start_date` and `end_date` are compared with."""

    field: QueryablePath = "start_time"
    type: OrderType = "timestamp"


class Status(_Table):
    """The terminal statuses, in the words of the answers, and the words for the documents' values."""

    terminal: tuple[str, ...] = ("completed", "failed", "cancelled")
    failed: tuple[str, ...] | None = None
    names: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _failed_are_terminal(self) -> Self:
        others = [status for status in self.failed or () if status not in self.terminal]
        if others:
            raise ValueError(f"failed: {', '.join(map(repr, others))} must be in terminal too")
        return self

    @property
    def ended_badly(self) -> frozenset[str]:
        """The terminal statuses that mean failure: `failed`, or those that contain words like failed and error."""
        if self.failed is not None:
            return frozenset(self.failed)
        return frozenset(status for status in self.terminal if _BAD_ENDS.search(status))


class Answer(_Table):
    """One key of an answer: the path of its value, and the type as which it is read."""

    path: PathOrVariable | None = Field(None, alias="from")
    type: ValueType = Field("string", alias="as")
    unit: Unit | None = None
    zero_is_null: StrictBool = False
    in_list: StrictBool = True

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.unit is not None and self.type != "time":
            raise ValueError('unit goes with as = "time"')
        if variable_in(self.path) is not None and self.type != "string":
            raise ValueError(f"{self.path} is text; leave `as` out")
        if self.zero_is_null and self.type not in _NUMERIC_TYPES:
            raise ValueError('zero_is_null goes with as = "time", "integer" or "number"')
        return self


class Filter(_Table):
    """One equality filter of lists. Model and Firestore give the same answers with it."""

    path: QueryablePath | None = Field(None, alias="from")
    type: Literal["string", "integer"] = Field("string", alias="as")


def _collection_id(text: str) -> str:
    if not _COLLECTION.fullmatch(text) or text in (".", "..") or re.fullmatch("__.*__", text):
        raise ValueError(f"{text!r} is no name of a collection")
    return text


class Children(_Table):
    """Further maps of a process: those of an array in its document or, if that is absent, of a subcollection.

    Without both `from` and `subcollection`, both have the name of the children.
    """

    path: PathText | None = Field(None, alias="from")
    subcollection: Annotated[str, AfterValidator(_collection_id)] | None = None
    order_by: QueryablePath | None = None
    limit: StrictInt = Field(MAX_CHILD_LIMIT, ge=1, le=MAX_CHILD_LIMIT)


class Access(_Table):
    """The owner of a process: the name of a filter."""

    owner: str | None = None


class Roles(_Table):
    """The answer keys that page, terminal and statistics use. None: no key has this role."""

    started: str | None = None
    ended: str | None = None
    updated: str | None = None
    progress: str | None = None
    progress_of: Literal[1, 100] = 100
    processed: str | None = None
    failed: str | None = None
    total: str | None = None
    error: str | None = None


_DEFAULT_KEYS: Mapping[str, tuple[str, ...]] = {
    "started": ("start_time",),
    "ended": ("end_time",),
    "updated": ("last_updated",),
    "progress": ("progress",),
    **{role: (role, f"products_{role}") for role in ("processed", "failed")},
    "total": ("total",),
    "error": ("error",),
}


def _spelled_out(value: Any) -> Any:
    """A path alone as a table with `from`."""
    if not isinstance(value, Mapping):
        return value
    return {key: {"from": each} if isinstance(each, str) else each for key, each in value.items()}


class SchemaFile(_Table):
    """A whole schema file. Roles name keys that exist."""

    collection: str | None = None
    order: Order = Order()
    status: Status = Status()
    answer: Mapping[Key, Answer]
    filters: Mapping[Key, Filter] = Field(default_factory=dict)
    children: Mapping[Key, Children] = Field(default_factory=dict)
    access: Access = Access()
    roles: Roles = Roles()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {**data, **{name: _spelled_out(data[name]) for name in ("answer", "filters") if name in data}}

    @model_validator(mode="after")
    def _tables_fit(self) -> Self:
        faults = [*self._answer_faults(), *self._role_faults(), *self._faults_with_collection()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _answer_faults(self) -> Iterable[str]:
        status = self.answer.get("status")
        if status is None:
            yield "answer.status: is missing"
        elif status.type != "string" or not status.in_list or variable_in(status.path) is not None:
            yield "answer.status: is text in every answer and list; write the path alone"
        if "process_id" in self.answer:
            yield "answer.process_id: is always the document ID; leave it out"
        for name in self.children:
            if name == "process_id" or name in self.answer:
                yield f"children.{name}: answer has a key of this name"

    def _faults_with_collection(self) -> Iterable[str]:
        """Faults in combination with the collection, which settings can override."""
        try:
            variables = self.path.variables
        except WrongCollection as wrong:
            yield f"collection: {wrong}"
            return
        for name in variables:
            if name in self.filters:
                yield f"filters.{name}: {{{name}}} of the collection is a filter of that name already; leave it out"
            elif name.startswith("include_") or name in _RESERVED_FILTERS:
                yield f"collection: {{{name}}} has the name of a parameter of its own; call it otherwise"
        for key, answer in self.answer.items():
            variable = variable_in(answer.path)
            if variable is not None and variable not in variables:
                yield f"answer.{key}: the collection {self.path.text} has no {{{variable}}}"
        yield from self._filter_faults(variables)

    def _filter_faults(self, variables: Sequence[str]) -> Iterable[str]:
        for name in self.filters:
            if name.startswith("include_"):
                yield f"filters.{name}: names that begin with include_ are those of children"
            elif name in _RESERVED_FILTERS:
                yield f"filters.{name}: is a parameter of its own"
        if self.access.owner is not None and self.access.owner not in (*self.filters, *variables):
            yield f"access.owner: {self.access.owner!r} is not one of the filters"

    def _role_faults(self) -> Iterable[str]:
        for role in _DEFAULT_KEYS:
            key = getattr(self.roles, role)
            if key is not None and key not in self.answer:
                yield f"roles.{role}: {key!r} is not a key of the answer"

    def overridden(
        self, *, collection: str | None, order_type: OrderType | None, terminal: Sequence[str] | None
    ) -> "SchemaFile":
        """The schema with the values that are not None in place of the file's. Raises: WrongSchema."""
        if collection not in (None, self.collection) and self.path.is_group:
            raise WrongSchema(
                [f"collection: FIRESTORE_COLLECTION can't take the place of the pattern {self.path.text}"]
            )
        order, status = self.order, self.status
        if order_type is not None:
            order = order.model_copy(update={"type": order_type})
        if terminal is not None:
            failed = None if status.failed is None else tuple(word for word in status.failed if word in terminal)
            status = status.model_copy(update={"terminal": tuple(terminal), "failed": failed})
        collection = collection or self.collection
        file = self.model_copy(update={"collection": collection, "order": order, "status": status})
        if faults := tuple(file._faults_with_collection()):
            raise WrongSchema(faults)
        return file

    @property
    def path(self) -> CollectionPath:
        """The collection. Raises: WrongCollection, if the file is not validated yet."""
        return collection_path(DEFAULT_COLLECTION if self.collection is None else self.collection)

    @property
    def all_filters(self) -> Mapping[str, Filter]:
        """The variables of the collection's path, then the filters."""
        return {name: Filter() for name in self.path.variables} | dict(self.filters)

    def role(self, name: str) -> str | None:
        """The answer key with this role: `started`, `ended`, `updated`, `progress` …"""
        named: str | None = getattr(self.roles, name)
        if named is not None:
            return named
        return next((key for key in _DEFAULT_KEYS[name] if key in self.answer), None)


def parse_schema(text: str) -> SchemaFile:
    """Read a schema from TOML. Raises: WrongSchema."""
    try:
        return SchemaFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise WrongSchema([f"not TOML: {error}"]) from None
    except ValidationError as error:
        raise WrongSchema(_faults(error)) from None


def read_schema_file(path: Path) -> SchemaFile:
    """Read a schema file. Raises: WrongSchema, also if the file cannot be read; each fault begins
    with the file's name.
    """
    try:
        return parse_schema(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSchema([f"{path}: can't be read: {error}"]) from None
    except WrongSchema as wrong:
        raise WrongSchema(f"{path}: {fault}" for fault in wrong.faults) from None


def default_schema() -> SchemaFile:
    """The schema that is used if no file is named."""
    return parse_schema(resources.files(__package__).joinpath("default.toml").read_text())


def _faults(error: ValidationError) -> Iterable[str]:
    for fault in error.errors():
        place = ".".join(str(step) for step in fault["loc"] if step != "[key]")
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown key"
        for line in message.splitlines():
            yield f"{place}: {line}" if place else line
