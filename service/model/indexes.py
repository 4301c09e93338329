"""By which values lists can be filtered: name → function from a process to its key. Pure.

An index is one line here: the model keeps the processes in order under each key, and lists and walks come from any of
them. A process whose key is None is under none.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from service.api.list_query import Filters
from service.schema.compiled import FilterValue, ProcessSummary

KeyOf = Callable[[ProcessSummary], FilterValue]
Indexes = Mapping[str, KeyOf]


def indexes_of(filter_names: Sequence[str]) -> Indexes:
    """The status, and the schema's filters."""
    return {"status": attrgetter("status")} | {name: _filter_at(place) for place, name in enumerate(filter_names)}


def _filter_at(place: int) -> KeyOf:
    return lambda summary: summary.filters[place]


class Scope:
    """Those of a question's filters that are the schema's, to be compared with the filter values of a process."""

    def __init__(self, indexes: Indexes, filters: Filters) -> None:
        names = [name for name in indexes if name != "status"]
        self.filters: Filters = {name: key for name, key in filters.items() if name != "status"}
        self._wanted = tuple((names.index(name), key) for name, key in self.filters.items())

    def holds(self, values: Sequence[FilterValue]) -> bool:
        """Whether a process with these values is asked for. No values: nothing is known of it."""
        wanted = self._wanted
        return not wanted or (bool(values) and all(values[place] == key for place, key in wanted))


def fits(indexes: Indexes, summary: ProcessSummary, filters: Filters) -> bool:
    """Whether the process has all of these keys."""
    return all(indexes[name](summary) == key for name, key in filters.items())
