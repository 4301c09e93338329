"""`GET /status` as the schema in force has it: which equality filters there are beside `status`. Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from service.api.contract import QueryParameter
from service.api.list_query import ListQuery
from service.api.operations import LISTING
from service.api.ordering import Order
from service.api.parameters import STATUS_FILTER, BatchQuery, read_list_query
from service.errors import BadParameter

MAX_BYTES = 1500
"""Of a text: Firestore's indexes hold no more of one."""

_INT64 = range(-(2**63), 2**63)
_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)

FilterType = Literal["string", "integer"]


class Listing:
    """The declared operation, and how a request for it is read."""

    def __init__(self, order: Order, filters: Mapping[str, FilterType]) -> None:
        self._order = order
        self._filters = tuple(_parameter(name, type_) for name, type_ in filters.items())
        place = LISTING.parameters.index(STATUS_FILTER) + 1
        parameters = (*LISTING.parameters[:place], *self._filters, *LISTING.parameters[place:])
        self.operation = replace(LISTING, parameters=parameters)

    def read(self, raw_query: str) -> ListQuery | BatchQuery:
        """What a request's query asks for. Raises: BadParameter."""
        return read_list_query(self.operation.query(raw_query), self._order, self._filters)


def _parameter(name: str, type_: FilterType) -> QueryParameter[Any]:
    def read_text(text: str) -> str:
        if not 1 <= len(text.encode()) <= MAX_BYTES:
            raise BadParameter(f"{name} must have 1 to {MAX_BYTES:,} bytes")
        return text

    def read_integer(text: str) -> int:
        if not _DIGITS.fullmatch(text) or int(text) not in _INT64:
            raise BadParameter(f"{name} must be a whole number of 64 bits")
        return int(text)

    description = f"Only processes of exactly this `{name}`."
    if type_ == "integer":
        schema = {"type": "integer", "format": "int64", "minimum": _INT64.start, "maximum": _INT64.stop - 1}
        return QueryParameter(name, schema, description, read_integer, default=None)
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_BYTES}
    return QueryParameter(name, schema, description, read_text, default=None)
