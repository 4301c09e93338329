"""Which processes a caller sees: those with the caller's owner value. Pure.

The owner of a process is its value of one filter of the schema. A process without a readable value has no owner: only
callers with access to all processes see it.
"""

from service.api.caller import Caller
from service.api.list_query import MAX_FILTER_BYTES, Filters
from service.schema.compiled import ProcessSummary, Schema

_INT64 = range(-(2**63), 2**63)
_NOBODY = "\0" * (MAX_FILTER_BYTES + 1)
_NO_NUMBER = 2**63
"""Owners that no process has, because no filter value is so long or so great. They have the filter's type, like all
keys of an index."""


class Sight:
    """Compares owners; no other code does."""

    def __init__(self, schema: Schema) -> None:
        name = schema.file.access.owner
        self._filter = "status" if name is None else name  # without owners any filter can serve to match no process
        self._place = None if name is None else schema.filter_names.index(name)
        self._is_text = name is None or schema.file.all_filters[name].type == "string"
        self._nobody = _NOBODY if self._is_text else _NO_NUMBER

    def shows(self, caller: Caller, summary: ProcessSummary | None) -> bool:
        """Whether the process exists and the caller sees it."""
        if summary is None or caller.owner is None:
            return summary is not None
        return self._place is not None and summary.filters[self._place] == self._owner_of(caller)

    def within(self, filters: Filters, caller: Caller) -> Filters:
        """The filters of a list, limited to what the caller sees. If they name another owner, they match nothing."""
        if caller.owner is None:
            return filters
        owner = self._owner_of(caller)
        is_own = self._place is not None and filters.get(self._filter, owner) == owner
        return {**filters, self._filter: owner if is_own else self._nobody}

    def _owner_of(self, caller: Caller) -> str | int:
        """The caller's owner value in the type of the filter: a text or a whole number."""
        owner = caller.owner
        if type(owner) is str and self._is_text and 0 < len(owner.encode()) <= MAX_FILTER_BYTES:
            return owner
        return owner if type(owner) is int and not self._is_text and owner in _INT64 else self._nobody


def fits_nothing(filters: Filters) -> bool:
    """Whether no process can match these filters."""
    return any(value in (_NOBODY, _NO_NUMBER) for value in filters.values())
