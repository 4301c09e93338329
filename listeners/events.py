"""The three events of a listener: Replaced, Changed, Confirmed.

Every event is a consistent point: a consumer that has applied it holds exactly what Firestore held at `read_time`.
Firestore's times (`update_time`, `read_time`) are whole microseconds since the Unix epoch, which is Firestore's
precision. `as_of` is an instant on the listener's own injected clock, in seconds: the event describes Firestore's state
at that instant or later. So `clock() - as_of` is an upper bound of its age, even if the event arrived late.

`foreign` is the number of further documents in the listener's result: documents of the collection group that do not fit
the pattern. They take places of the window, and appear in no list.

The lists of documents belong to the consumer. It removes documents while it applies them: so a large result is never in
memory twice, and is never freed in one go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One version of one document; `id` is its key (see `collection_path`).

    `fields` are those fields of the document that the listener asked for, as Python values: None, bool, int, float,
    str, bytes and, for timestamps, aware datetimes. A value of any other type (array, map, reference, geo point) can be
    any other object: consumers only need to see that it is none of these.
    """

    id: str
    update_time: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Removal:
    """A document that is no longer in the listener's result.

    `deleted` is True if the document was deleted; False if it still exists, but no longer belongs to the result (a
    window pushed it out, its type changed); None if the listener does not know which.
    """

    id: str
    deleted: bool | None


@dataclass(frozen=True, slots=True)
class Replaced:
    """The whole result. Documents that the consumer held before, and that are not in it, have vanished."""

    documents: list[Document]
    read_time: int
    as_of: float
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """The difference to the previous consistent point. An ID occurs at most once in both sequences together."""

    upserts: list[Document]
    removals: Sequence[Removal]
    read_time: int
    as_of: float
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Nothing has changed since the previous event, and the result still equalled Firestore's at `read_time`."""

    read_time: int
    as_of: float
    foreign: int = 0


Event = Replaced | Changed | Confirmed
