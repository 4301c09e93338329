"""The update time of each document of a result as it was told last, and whether the present round has told it. Pure.

A round is one telling of the whole result. To begin another costs the same whatever is held. The table is in many
parts: one of 100,000 would take 5 ms to grow or to copy, for which the event loop would wait.
"""

from collections import defaultdict
from collections.abc import Iterator

PARTS = 64


class ToldVersions:
    """ID → update time in microseconds. Its length is what the present round has told."""

    def __init__(self) -> None:
        self._parts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._untold: dict[int, dict[str, int]] | None = None  # of each part that the round has touched; None: nothing
        self._told = 0

    def __repr__(self) -> str:
        return f"<ToldVersions {self._told} of {self.known_count}>"

    def __len__(self) -> int:
        return self._told

    @property
    def known_count(self) -> int:
        """Of all rounds."""
        return sum(map(len, self._parts.values()))

    def known(self, document_id: str) -> int | None:
        """What any round has told."""
        return self._parts[_place(document_id)].get(document_id)

    def told(self, document_id: str) -> int | None:
        """What the present round has told."""
        place = _place(document_id)
        if self._untold is not None and (place not in self._untold or document_id in self._untold[place]):
            return None
        return self._parts[place].get(document_id)

    def tell(self, document_id: str, version: int) -> None:
        """Where it is known already, the ID that it was told with first is kept: one string for all who hold it."""
        part = self._touched(document_id)
        part[document_id] = version
        self._told += 1

    def drop(self, document_id: str) -> None:
        """It is no longer known, where it was."""
        self._touched(document_id).pop(document_id, None)

    def _touched(self, document_id: str) -> dict[str, int]:
        """Its part, in which it counts as not told."""
        place = _place(document_id)
        part = self._parts[place]
        if self._untold is None:
            self._told -= document_id in part
        else:
            if place not in self._untold:
                self._untold[place] = part.copy()
            self._told -= self._untold[place].pop(document_id, None) is None and document_id in part
        return part

    def begin_round(self) -> None:
        """Nothing has been told in this one."""
        self._untold = {}
        self._told = 0

    def drop_untold(self) -> Iterator[list[tuple[str, int]]]:
        """End this round: what it has not told is known no longer. A step returns some of that, with its version.

        Of the round at the time of the call: once another has begun, a step does nothing.
        """
        return iter(()) if self._untold is None else self._drop(self._untold)

    def _drop(self, untold: dict[int, dict[str, int]]) -> Iterator[list[tuple[str, int]]]:
        for place, part in tuple(self._parts.items()):
            if self._untold is not untold:
                return
            gone = list(untold.get(place, part).items())
            for document_id, _ in gone:
                del part[document_id]
            yield gone
        if self._untold is untold:
            self._untold = None


def _place(document_id: str) -> int:
    return hash(document_id) >> 32 & PARTS - 1  # high bits: the part's own table goes by the low ones
