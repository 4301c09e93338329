"""Replaced, Changed, Confirmed: all a listener can say.

Every event is a consistent point: applied as a whole, it leaves its consumer holding exactly what Firestore
held at `read_time`. Times of Firestore's (`update_time`, `read_time`) are whole microseconds since the Unix
epoch, which is their precision in Firestore. `as_of` is on the listener's own injected clock, in seconds: what
the event describes was Firestore's state at that instant or later, so `clock() - as_of` is a bound on its age
that holds however long the event took to arrive.

`foreign` is how many further documents are in the listener's result: of the collection group, but not of the pattern.
They take places of the window, and are in no list.

The documents' list is the consumer's own, which takes them out of it as it goes: a large result is then never held
twice, and never freed in one go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One version of one document; `id` is its key (see `collection_path`).

    `fields` holds the fields the listener was asked for, those the document has, as Python values: None, bool,
    int, float, str, bytes and, for timestamps, aware datetimes. A value of any other type (array, map,
    reference, geo point) can be any other object: consumers only need to see that it is none of these.
    """

    id: str
    update_time: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Removal:
    """A document that is no longer in the listener's result.

    `deleted` is True where Firestore said that it is gone, False where it left the result but still exists
    (a window pushed it out, its type changed), None where the listener does not know which.
    """

    id: str
    deleted: bool | None


@dataclass(frozen=True, slots=True)
class Replaced:
    """The whole result; whatever the consumer held before and is not in it has vanished."""

    documents: list[Document]
    read_time: int
    as_of: float
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """The difference to the consistent point before. An ID occurs at most once in both sequences together."""

    upserts: list[Document]
    removals: Sequence[Removal]
    read_time: int
    as_of: float
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Nothing changed; the result is what it was, and was still Firestore's at `read_time`."""

    read_time: int
    as_of: float
    foreign: int = 0


Event = Replaced | Changed | Confirmed
