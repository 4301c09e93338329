"""The update time of each document of a result, and whether the present snapshot has sent the document. Pure.

A snapshot is one complete transmission of the result: the first load, or the load after a RESET. Beginning a new one
costs the same whatever the number of documents. The table has shards, because growing or copying one large table would
make the event loop wait.
"""

from collections import defaultdict
from collections.abc import Iterator

PARTS = 64


class SnapshotTracker:
    """ID → update time in microseconds. Its length is the number of documents that the present snapshot has sent."""

    def __init__(self) -> None:
        self._parts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        # The documents that the present snapshot has not sent yet, per part that it has touched; None outside a
        # snapshot.
        self._unsent: dict[int, dict[str, int]] | None = None
        self._sent = 0

    def __repr__(self) -> str:
        return f"<SnapshotTracker {self._sent} of {self.known_count}>"

    def __len__(self) -> int:
        return self._sent

    @property
    def known_count(self) -> int:
        """The number of documents known from any snapshot."""
        return sum(map(len, self._parts.values()))

    def known(self, document_id: str) -> int | None:
        """The update time that the latest snapshot with this document has sent."""
        return self._parts[_place(document_id)].get(document_id)

    def current(self, document_id: str) -> int | None:
        """The update time, if the present snapshot has sent the document."""
        place = _place(document_id)
        if self._unsent is not None and (place not in self._unsent or document_id in self._unsent[place]):
            return None
        return self._parts[place].get(document_id)

    def record(self, document_id: str, version: int) -> None:
        """The present snapshot has sent this version. The first string of an ID is kept and used for all versions."""
        part = self._touched(document_id)
        part[document_id] = version
        self._sent += 1

    def drop(self, document_id: str) -> None:
        """Forget the document."""
        self._touched(document_id).pop(document_id, None)

    def _touched(self, document_id: str) -> dict[str, int]:
        """The part of the table with this document. In a snapshot its documents count as not sent yet."""
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
        """Begin a new snapshot, which has sent nothing yet."""
        self._unsent = {}
        self._sent = 0

    def sweep(self) -> Iterator[list[tuple[str, int]]]:
        """End the present snapshot: drop the documents that it has not sent. Each step returns some, with their
        versions.

        After another snapshot has begun, a step does nothing.
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
    return hash(document_id) >> 32 & PARTS - 1  # the high bits, because the part's own table uses the low ones
