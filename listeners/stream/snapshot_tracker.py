"""The update time of each document of a result, and whether the present snapshot has sent it. Pure.

A snapshot is one complete transmission of the result: the first load, or what follows a RESET. Beginning another costs
the same whatever is held. The table is sharded, because the event loop would wait while a single large table grows or
is copied.
"""

from collections import defaultdict
from collections.abc import Iterator

PARTS = 64


class SnapshotTracker:
    """ID → update time in microseconds. Its length is the number of documents that the present snapshot has sent."""

    def __init__(self) -> None:
        self._parts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        # What the present snapshot has not sent yet, for each part that it has touched; None outside of a snapshot.
        self._unsent: dict[int, dict[str, int]] | None = None
        self._sent = 0

    def __repr__(self) -> str:
        return f"<SnapshotTracker {self._sent} of {self.known_count}>"

    def __len__(self) -> int:
        return self._sent

    @property
    def known_count(self) -> int:
        """How many documents of any snapshot are known."""
        return sum(map(len, self._parts.values()))

    def known(self, document_id: str) -> int | None:
        """The update time in whichever snapshot sent it last."""
        return self._parts[_place(document_id)].get(document_id)

    def current(self, document_id: str) -> int | None:
        """The update time, where the present snapshot has sent the document."""
        place = _place(document_id)
        if self._unsent is not None and (place not in self._unsent or document_id in self._unsent[place]):
            return None
        return self._parts[place].get(document_id)

    def record(self, document_id: str, version: int) -> None:
        """The present snapshot has sent this version. Of an ID the first string is kept: one for all."""
        part = self._touched(document_id)
        part[document_id] = version
        self._sent += 1

    def drop(self, document_id: str) -> None:
        """The document is no longer known."""
        self._touched(document_id).pop(document_id, None)

    def _touched(self, document_id: str) -> dict[str, int]:
        """The document's part, in which it counts as not sent."""
        place = _place(document_id)
        part = self._parts[place]
        if self._unsent is None:
            self._sent -= document_id in part
        else:
            if place not in self._unsent:
                self._unsent[place] = part.copy()
            self._sent -= self._unsent[place].pop(document_id, None) is None and document_id in part
        return part

    def begin(self) -> None:
        """A new snapshot, which has sent nothing."""
        self._unsent = {}
        self._sent = 0

    def sweep(self) -> Iterator[list[tuple[str, int]]]:
        """End the present snapshot: drop what it has not sent. Each step returns some, with their versions.

        Once another snapshot has begun, a step does nothing.
        """
        return iter(()) if self._unsent is None else self._sweep(self._unsent)

    def _sweep(self, unsent: dict[int, dict[str, int]]) -> Iterator[list[tuple[str, int]]]:
        for place, part in tuple(self._parts.items()):
            if self._unsent is not unsent:
                return
            gone = list(unsent.get(place, part).items())
            for document_id, _ in gone:
                del part[document_id]
            yield gone
        if self._unsent is unsent:
            self._unsent = None


def _place(document_id: str) -> int:
    return hash(document_id) >> 32 & PARTS - 1  # high bits: the part's own table goes by the low ones
