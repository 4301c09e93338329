"""The reads as the schema in force has them: equality filters beside `status`, and the children that it names. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from service.api.contract import Operation, Parameter, Query, QueryParameter
from service.api.list_query import MAX_FILTER_BYTES, Filters, ListQuery
from service.api.operations import EVENTS, LISTING, STATS, STATUS
from service.api.ordering import Order
from service.api.parameters import (
    BY_MINUTE,
    PROCESS_ID,
    STATUS_FILTER,
    BatchQuery,
    include_parameter,
    read_bounds,
    read_filters,
    read_list_query,
)
from service.errors import BadParameter

_INT64 = range(-(2**63), 2**63)
_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_ORDER_FIELD = "`start_time`"
"""In the declarations: the default schema's."""

FilterType = Literal["string", "integer"]


class Listing:
    """The declared operations, and how requests for them are read."""

    def __init__(
        self, order: Order, filters: Mapping[str, FilterType], children: Iterable[str] = ("products",)
    ) -> None:
        self._order = order
        self._filters = tuple(_parameter(name, type_) for name, type_ in filters.items())
        self.operation = _with_order(self._with_filters(LISTING), order)
        self.stats = _with_order(self._with_filters(STATS), order)
        self.events = self._with_filters(EVENTS)
        self._children = {child: include_parameter(child) for child in children}
        self.status = _with_parameters(STATUS, PROCESS_ID, self._children.values())

    def read(self, raw_query: str) -> ListQuery | BatchQuery:
        """What a request for a list asks for. Raises: BadParameter."""
        return read_list_query(self.operation.query(raw_query), self._order, self._filters)

    def read_stats(self, raw_query: str) -> tuple[ListQuery, int | None]:
        """Which processes a request for `/stats` asks for, and how many single minutes. Raises: BadParameter."""
        query = self.stats.query(raw_query)
        return read_bounds(query, self._order, self._filters), BY_MINUTE.of(query)

    def read_events(self, raw_query: str) -> Filters:
        """Which processes a request for `/events` asks for. Raises: BadParameter."""
        return read_filters(self.events.query(raw_query), [STATUS_FILTER, *self._filters])

    def read_children(self, query: Query) -> tuple[str, ...]:
        """The children that a request for one process includes, in the schema's order. Raises: BadParameter."""
        return tuple([child for child, parameter in self._children.items() if parameter.of(query)])

    def _with_filters(self, operation: Operation) -> Operation:
        return _with_parameters(operation, STATUS_FILTER, self._filters)


def _with_parameters(operation: Operation, behind: Parameter[Any], more: Iterable[Parameter[Any]]) -> Operation:
    place = operation.parameters.index(behind) + 1
    return replace(operation, parameters=(*operation.parameters[:place], *more, *operation.parameters[place:]))


def _with_order(operation: Operation, order: Order) -> Operation:
    """Its texts name the field that lists are ordered by."""
    field = f"`{order.field}`"
    parameters = tuple(
        replace(each, description=each.description.replace(_ORDER_FIELD, field)) for each in operation.parameters
    )
    return replace(operation, description=operation.description.replace(_ORDER_FIELD, field), parameters=parameters)


def _parameter(name: str, type_: FilterType) -> QueryParameter[Any]:
    def read_text(text: str) -> str:
        if not 1 <= len(text.encode()) <= MAX_FILTER_BYTES:
            raise BadParameter(f"{name} must have 1 to {MAX_FILTER_BYTES:,} bytes")
        return text

    def read_integer(text: str) -> int:
        if not _DIGITS.fullmatch(text) or int(text) not in _INT64:
            raise BadParameter(f"{name} must be a whole number of 64 bits")
        return int(text)

    description = f"Only processes of exactly this `{name}`."
    if type_ == "integer":
        schema = {"type": "integer", "format": "int64", "minimum": _INT64.start, "maximum": _INT64.stop - 1}
        return QueryParameter(name, schema, description, read_integer, default=None)
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_FILTER_BYTES}
    return QueryParameter(name, schema, description, read_text, default=None)
