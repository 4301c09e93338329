"""What page and terminal know of the answers: their keys, the keys' roles, the filters, which statuses end a process.

Made from the schema in force, and sent as JSON at /ui/schema.json. It names keys of answers, and of the documents only
what a document must have to be listed: the collection and the field that lists are ordered by. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

PATH = "/ui/schema.json"

Kind = Literal["waiting", "running", "completed", "failed", "cancelled"]
"""What a status means to people; each kind has a colour."""

WAITING = r"^(pending|queue|wait|await|schedul|submit|creat|new$|init|accept|ready|paus|block|hold|held|on.?hold)"
CANCELLED = r"cancel|abort|skip|expire|stop|withdr[ae]w"
"""Patterns of statuses, in any case, that Python and JavaScript read alike."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the answers. `type` is what its value is read as, `in_list` whether lists have it."""

    name: str
    type: str
    in_list: bool


@dataclass(frozen=True, slots=True)
class FilterOffered:
    """An equality filter of lists. `key` is the key that shows the same value, None where no answer shows it."""

    name: str
    type: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Description:
    """`roles`: the key that has each role, None where none has it. `order_key`: the key that lists are sorted by.

    `children`: the names of those that the answer about one process can include.
    """

    keys: tuple[Key, ...]
    roles: Mapping[str, str | None]
    progress_of: int
    order_key: str | None
    has_days: bool
    """Whether `order_key` shows the times that start_date and end_date are compared with."""
    terminal: tuple[str, ...]
    failed: tuple[str, ...]
    filters: tuple[FilterOffered, ...]
    children: tuple[str, ...]
    has_products: bool
    path_variables: tuple[str, ...] = ()
    """The filters that name a process together with its ID, where the collection is a pattern."""
    collection: str = ""
    order_field: str = ""
    """In the documents: without it a process is in no list."""
    order_type: str = ""
    waiting: str = WAITING
    cancelled: str = CANCELLED

    def kind(self, status: object) -> Kind:
        """Of a status that ends a process: whether it ended well. Of any other: whether it waits for something."""
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
        """What a process's answer has in this role; None where nothing has it."""
        key = self.roles.get(role)
        return None if key is None else process.get(key)

    def as_json(self) -> dict[str, Any]:
        """As it is sent."""
        return asdict(self)


def read_description(body: Mapping[str, Any]) -> Description:
    """The description that was sent. Raises: ValueError, where it is none."""
    try:
        keys = tuple(Key(**key) for key in body["keys"])
        filters = tuple(FilterOffered(**each) for each in body["filters"])
        several = {name: tuple(body[name]) for name in ("terminal", "failed", "children", "path_variables")}
        return Description(**{**body, **several, "keys": keys, "filters": filters})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a description of answers: {error}") from None
