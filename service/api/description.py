"""The description of answers for page and terminal: keys, their roles, filters, and the statuses that end a process.

It comes from the schema in force, and is sent as JSON at /ui/schema.json. It names keys of answers. Of the documents it
names only what lists need: the collection, and the field that orders lists. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

PATH = "/ui/schema.json"

Kind = Literal["waiting", "running", "completed", "failed", "cancelled"]
"""The meaning of a status; each kind has a colour."""

WAITING = r"^(pending|queue|wait|await|schedul|submit|creat|new$|init|accept|ready|paus|block|hold|held|on.?hold)"
CANCELLED = r"cancel|abort|skip|expire|stop|withdr[ae]w"
"""Regular expressions that match statuses in any case, with the same meaning in Python and JavaScript."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the answers. `type` is the type as which its value is read; `in_list`: whether lists have the key."""

    name: str
    type: str
    in_list: bool


@dataclass(frozen=True, slots=True)
class FilterOffered:
    """An equality filter of lists. `key` is the key that shows the same value; None if no answer shows it."""

    name: str
    type: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Description:
    """`roles`: the key with each role, or None. `order_key`: the key that orders lists.

    `children`: the names of the children that the answer about one process can include.
    """

    keys: tuple[Key, ...]
    roles: Mapping[str, str | None]
    progress_of: int
    order_key: str | None
    has_days: bool
    """Whether `order_key` shows the times with which start_date and end_date are compared."""
    terminal: tuple[str, ...]
    failed: tuple[str, ...]
    filters: tuple[FilterOffered, ...]
    children: tuple[str, ...]
    has_products: bool
    path_variables: tuple[str, ...] = ()
    """The filters that identify a process together with its ID, if the collection is a pattern."""
    collection: str = ""
    order_field: str = ""
    """The field in the documents: a process without it is in no list."""
    order_type: str = ""
    waiting: str = WAITING
    cancelled: str = CANCELLED

    def kind(self, status: object) -> Kind:
        """The kind of a status: whether a terminal status is a good end, and whether another one means waiting."""
        word = str(status)
        if word in self.terminal:
            if word in self.failed:
                return "failed"
            return "cancelled" if re.search(self.cancelled, word, re.IGNORECASE) else "completed"
        return "waiting" if re.search(self.waiting, word, re.IGNORECASE) else "running"

    def is_terminal(self, status: object) -> bool:
        """Whether this status ends a process."""
        return status in self.terminal

    def value(self, process: Mapping[str, Any], role: str) -> Any:
        """The value with this role in the answer about a process; None if there is none."""
        key = self.roles.get(role)
        return None if key is None else process.get(key)

    def as_json(self) -> dict[str, Any]:
        """The description in the form in which it is sent."""
        return asdict(self)


def read_description(body: Mapping[str, Any]) -> Description:
    """The description that was sent. Raises: ValueError if it is none."""
    try:
        keys = tuple(Key(**key) for key in body["keys"])
        filters = tuple(FilterOffered(**each) for each in body["filters"])
        several = {name: tuple(body[name]) for name in ("terminal", "failed", "children", "path_variables")}
        return Description(**{**body, **several, "keys": keys, "filters": filters})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a description of answers: {error}") from None
