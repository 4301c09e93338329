"""The operations as the schema in force extends them: with its filters, its children, and the variables that identify a
process together with its ID if the collection is a pattern. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from listeners.collection_path import CollectionPath
from service.api.caller import SEES_EVERYTHING, Caller
from service.api.contract import Operation, Parameter, Query, QueryParameter
from service.api.list_query import MAX_FILTER_BYTES, Filters, ListQuery, is_process_id
from service.api.operations import EVENTS, LISTING, PROCESS_EVENTS, STATS, STATUS
from service.api.ordering import Order
from service.api.parameters import (
    BY_MINUTE,
    DOCUMENT_ID,
    PROCESS_ID,
    PROCESS_IDS,
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
"""The ordering field in the declarations, which are those of the default schema."""

FilterType = Literal["string", "integer"]

_PLAIN = CollectionPath("processes")
"""Any plain collection: no request depends on its name."""


class Listing:
    """The declared operations, and how requests for them are read."""

    def __init__(
        self,
        order: Order,
        filters: Mapping[str, FilterType],
        children: Iterable[str] = ("products",),
        *,
        path: CollectionPath = _PLAIN,
        owner: str | None = None,
    ) -> None:
        """`filters` compare fields; the variables of `path` are filters too. `owner` is the schema's owner filter."""
        self._order = order
        self.path = path
        self._owner = owner
        self._variables = tuple(_variable(name, path, is_required=name != owner) for name in path.variables)
        lists = tuple(replace(each, required=False) for each in self._variables)
        self._filters = (*lists, *(_parameter(name, type_) for name, type_ in filters.items()))
        self.operation = _with_order(self._with_filters(LISTING), order)
        self.stats = _with_order(self._with_filters(STATS), order)
        self.events = self._with_filters(EVENTS)
        self._children = {child: include_parameter(child) for child in children}
        self.status = self._with_variables(_with_parameters(STATUS, PROCESS_ID, self._children.values()))
        self.process_events = self._with_variables(PROCESS_EVENTS)

    def variables(self, query: Query, caller: Caller) -> dict[str, str]:
        """The path's variables from the query. If a variable is the owner, the caller's owner can replace it. Raises:
        BadParameter.
        """
        found: dict[str, str] = {}
        for each in self._variables:
            value = each.of(query)
            if value is None and each.name == self._owner and is_process_id(str(caller.owner or "")):
                value = str(caller.owner)
            if value is None:
                raise BadParameter(f"{each.name} must be given: an ID alone names no process of {self.path.text}")
            found[each.name] = value
        return found

    def key(self, process_id: str, query: Query, caller: Caller) -> str:
        """The key of the requested process. Raises: BadParameter."""
        return self.path.key(self.variables(query, caller), process_id) if self._variables else process_id

    def read(self, raw_query: str, caller: Caller = SEES_EVERYTHING) -> ListQuery | BatchQuery:
        """The query of a request for a list. Raises: BadParameter."""
        query = self.operation.query(raw_query)
        if not self._variables:
            return read_list_query(query, self._order, self._filters)
        if PROCESS_IDS.name not in query:
            return read_list_query(query, self._order, self._filters, self._is_key)
        others = {name: values for name, values in query.items() if name not in self.path.variables}
        asked, variables = read_list_query(others, self._order), self.variables(query, caller)
        assert isinstance(asked, BatchQuery)  # noqa: S101 - it names processes
        return BatchQuery(tuple(self.path.key(variables, process_id) for process_id in asked.process_ids))

    def _is_key(self, text: str, filters: Filters) -> bool:
        """Whether a page token with this key can belong to a list with these filters."""
        if not self.path.is_key(text):
            return False
        variables = dict(zip(self.path.variables, self.path.values_of(text), strict=True))
        ids = [self.path.id_of(text), *variables.values()]
        return all(map(is_process_id, ids)) and all(
            filters.get(name, value) == value for name, value in variables.items()
        )

    def read_stats(self, raw_query: str) -> tuple[ListQuery, int | None]:
        """The query of a request for `/stats`, and its number of minutes. Raises: BadParameter."""
        query = self.stats.query(raw_query)
        return read_bounds(query, self._order, self._filters), BY_MINUTE.of(query)

    def read_events(self, raw_query: str) -> Filters:
        """The filters of a request for `/events`. Raises: BadParameter."""
        return read_filters(self.events.query(raw_query), [STATUS_FILTER, *self._filters])

    def read_children(self, query: Query) -> tuple[str, ...]:
        """The children that a request for one process includes, in the schema's order. Raises: BadParameter."""
        return tuple([child for child, parameter in self._children.items() if parameter.of(query)])

    def _with_variables(self, operation: Operation) -> Operation:
        return replace(operation, parameters=(*operation.parameters, *self._variables))

    def _with_filters(self, operation: Operation) -> Operation:
        return _with_parameters(operation, STATUS_FILTER, self._filters)


def _with_parameters(operation: Operation, behind: Parameter[Any], more: Iterable[Parameter[Any]]) -> Operation:
    place = operation.parameters.index(behind) + 1
    return replace(operation, parameters=(*operation.parameters[:place], *more, *operation.parameters[place:]))


def _with_order(operation: Operation, order: Order) -> Operation:
    """The operation, with texts that name the field by which lists are ordered."""
    field = f"`{order.field}`"
    parameters = tuple(
        replace(each, description=each.description.replace(_ORDER_FIELD, field)) for each in operation.parameters
    )
    return replace(operation, description=operation.description.replace(_ORDER_FIELD, field), parameters=parameters)


def _variable(name: str, path: CollectionPath, *, is_required: bool) -> QueryParameter[str | None]:
    def read(text: str) -> str:
        if not is_process_id(text):
            raise BadParameter(f"{name} can't be the ID of a document")
        return text

    description = f"The value of `{{{name}}}` in `{path.text}`, the path of the process's document."
    return QueryParameter(name, DOCUMENT_ID, description, read, default=None, required=is_required)


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
