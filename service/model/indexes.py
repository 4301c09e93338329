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


def fits(indexes: Indexes, summary: ProcessSummary, filters: Filters) -> bool:
    """Whether the process has all of these keys."""
    return all(indexes[name](summary) == key for name, key in filters.items())
