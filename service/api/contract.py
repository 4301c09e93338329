"""The parts of a route's declaration: its parameters, its responses, and how requests are read. Pure.

One declaration serves both sides: handlers read requests with it, and /openapi.json is rendered from it. So every
parameter that handlers read is documented. A request with an undeclared parameter is refused, and the error names it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from service.errors import BadParameter

Schema = Mapping[str, Any]
"""A JSON Schema, as OpenAPI 3.1 takes it."""

Query = Mapping[str, list[str]]
"""The parameters of a request's query, each with its values in order."""

T = TypeVar("T")

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Headers(Protocol):
    """The headers of a request. Names match in any case."""

    def getall(self, key: str, default: None, /) -> list[str] | None:
        """The values of all header lines with this name."""


@dataclass(frozen=True)
class Parameter(Generic[T]):
    """A parameter: its documentation, and the function that reads its text. `read` raises a BadParameter that names it.

    `example` is a valid value, for parameters whose schema alone does not show one. `required`: requests without it are
    refused.
    """

    name: str
    schema: Schema
    description: str
    read: Callable[[str], T]
    location: ClassVar[str]
    example: str | int | list[str] | None = field(default=None, kw_only=True)
    required: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class PathParameter(Parameter[T]):
    """A segment of the path. `read` gets the percent-encoded text of the request."""

    location = "path"


@dataclass(frozen=True)
class QueryParameter(Parameter[T]):
    """A query parameter that can be given once; `default` is the value if it is absent."""

    default: T
    location = "query"

    def of(self, query: Query) -> T:
        """The value in this query. Raises: BadParameter."""
        values = query.get(self.name)
        if values is None:
            return self.default
        if len(values) > 1:
            raise BadParameter(f"{self.name} can be given only once")
        return self.read(values[0])


@dataclass(frozen=True)
class RepeatedParameter(Parameter[T]):
    """A query parameter that can be given up to `most` times; `read` gets each value."""

    most: int
    location = "query"

    def of(self, query: Query) -> tuple[T, ...]:
        """The values in this query. Raises: BadParameter."""
        values = query.get(self.name, [])
        if len(values) > self.most:
            raise BadParameter(f"{self.name} can be given at most {self.most} times")
        return tuple(self.read(value) for value in values)


@dataclass(frozen=True)
class HeaderParameter(Parameter[T]):
    """A request header. Several lines are one list (RFC 9110, 5.3)."""

    default: T
    location = "header"

    def of(self, headers: Headers) -> T:
        """The value in these headers. Raises: BadParameter."""
        lines = headers.getall(self.name, None)
        return self.default if lines is None else self.read(", ".join(lines))


@dataclass(frozen=True)
class Header:
    """A header of a response. `always`: every response of its kind has it."""

    name: str
    schema: Schema
    description: str
    always: bool = True


@dataclass(frozen=True)
class Response:
    """A response. `content` maps content types to the schema of the body; it is empty if there is no body.

    An object or a union is a reference to one of bodies.SCHEMAS, so that generated clients have a type with its name.
    """

    description: str
    headers: tuple[Header, ...] = ()
    content: Mapping[str, Schema] = field(default_factory=dict)
    links: Schema = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A GET request, and also HEAD unless it is a stream. `tag` is its group in the documentation."""

    name: str
    path: str
    summary: str
    description: str
    responses: Mapping[int, Response]
    parameters: tuple[Parameter[Any], ...] = ()
    has_head: bool = True
    tag: str = field(kw_only=True)

    @cached_property
    def query_names(self) -> tuple[str, ...]:
        """The names of its query parameters."""
        return tuple(parameter.name for parameter in self.parameters if parameter.location == "query")

    def query(self, raw_query: str) -> Query:
        """Parse a query. Raises: BadParameter for an undeclared parameter."""
        return read_query(raw_query, self.query_names)


def read_query(raw_query: str, allowed: Collection[str]) -> Query:
    """Parse a query. Raises: BadParameter for a parameter that is not `allowed`."""
    parameters: dict[str, list[str]] = {}
    for pair in raw_query.split("&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name = decode(raw_name, "a parameter's name")
        if name not in allowed:
            raise BadParameter(f"unknown parameter {name[:64]!r}; known here: {', '.join(allowed) or 'none'}")
        parameters.setdefault(name, []).append(decode(raw_value, name))
    return parameters


def decode(text: str, name: str) -> str:
    """Decode percent-encoded text. Raises: BadParameter, which calls it `name`."""
    if _BROKEN_ESCAPE.search(text):
        raise BadParameter(f"{name} holds a % that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeError:
        raise BadParameter(f"{name} is not UTF-8") from None
