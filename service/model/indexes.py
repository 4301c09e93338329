"""The values by which lists can be filtered: name of an index → function from a process to its key. Pure.

One line here makes an index: the model then keeps the processes in order under each key, for lists and walks. If the
function returns None for a process, the index does not contain it.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from service.api.list_query import Filters
from service.schema.compiled import FilterValue, ProcessSummary

KeyOf = Callable[[ProcessSummary], FilterValue]
Indexes = Mapping[str, KeyOf]


def indexes_of(filter_names: Sequence[str]) -> Indexes:
    """The indexes by status and by the schema's filters."""
    return {"status": attrgetter("status")} | {name: _filter_at(place) for place, name in enumerate(filter_names)}


def _filter_at(place: int) -> KeyOf:
    return lambda summary: summary.filters[place]


class Scope:
    """The schema's filters in a query, to be compared with the filter values of a process."""

    def __init__(self, indexes: Indexes, filters: Filters) -> None:
        names = [name for name in indexes if name != "status"]
        self.filters: Filters = {name: key for name, key in filters.items() if name != "status"}
        self._wanted = tuple((names.index(name), key) for name, key in self.filters.items())

    def holds(self, values: Sequence[FilterValue]) -> bool:
        """Whether a process with these values matches. No values: the values are unknown."""
        wanted = self._wanted
        return not wanted or (bool(values) and all(values[place] == key for place, key in wanted))


def fits(indexes: Indexes, summary: ProcessSummary, filters: Filters) -> bool:
    """Whether the process has all these keys."""
    return all(indexes[name](summary) == key for name, key in filters.items())
