"""What Firestore held and when: the oracle that every answer is compared with. Pure.

Times are whole microseconds since the epoch, from one machine's one clock. A version holds from its commit time up to
the next one's. What the service should have rendered is rendered here again, on purpose by other code than its own.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

FOREVER = 2**62
STATUSES = ("running", "completed", "failed", "cancelled")


class Written(NamedTuple):
    """One commit to one process. `sequence` is its unique count, 0 where the process was deleted.

    `is_hidden`: Firestore told its listeners that all is well, but not of this.
    """

    time_us: int
    process_id: str
    sequence: int
    status: str = ""
    start_us: int = 0
    is_hidden: bool = False

    def fields(self) -> dict[str, object]:
        """What is written to Firestore."""
        return {
            "status": self.status,
            "start_time": _moment(self.start_us),
            "end_time": None if self.status == "running" else _moment(self.start_us + 60_000_000),
            "csv_url": f"https://example.com/{self.process_id}.csv",
            "products_processed": self.sequence,
            "products_failed": self.sequence % 7,
            "products": [{"number": self.sequence}],
        }


@dataclass(slots=True, eq=False)
class Version:
    """What a process was from `from_us` until `until_us`. `lied_until_us`: as the model may believe, having been
    told nothing of the next version."""

    written: Written
    until_us: int = FOREVER
    lied_until_us: int = 0
    _body: bytes = b""

    @property
    def from_us(self) -> int:
        return self.written.time_us

    @property
    def exists(self) -> bool:
        return self.written.sequence > 0

    def was_state(self, from_us: int, until_us: int, *, believing_lies: bool = False) -> bool:
        """Whether it was Firestore's at some instant between the two."""
        end_us = max(self.until_us, self.lied_until_us) if believing_lies else self.until_us
        return self.from_us <= until_us and end_us > from_us

    def body(self, *, with_products: bool = False) -> bytes:
        """The 200 answer."""
        if not self._body:
            self._body = json.dumps(_rendered(self.written), separators=(",", ":")).encode()
        return (
            self._body[:-1] + b',"products":[{"number":%d}]}' % self.written.sequence if with_products else self._body
        )

    def row(self) -> str:
        """The process as a list shows it."""
        row = _rendered(self.written)
        del row["csv_url"]
        return json.dumps(row, separators=(",", ":"))


class Query(NamedTuple):
    """A list as a client asks for it."""

    limit: int
    status: str | None = None
    lower_us: int | None = None
    upper_us: int | None = None
    after: tuple[int, str] | None = None


Rows = tuple[tuple[Version, ...], bool]
"""The rows of a page, and whether another follows."""


class History:
    """All versions of all processes. What was hidden from listeners may be believed for `believed_us`."""

    def __init__(self, believed_us: int) -> None:
        self._believed_us = believed_us
        self.versions: dict[str, list[Version]] = {}
        self.by_sequence: dict[int, Version] = {}
        self.by_version: dict[tuple[str, int], Version] = {}
        self._times: dict[str, list[int]] = {}
        self._commits: list[int] = []
        self._pages: dict[tuple[Query, int, bool], Rows] = {}

    def add(self, writes: Iterable[Written]) -> None:
        """Commits, in their order."""
        for written in writes:
            version = Version(written)
            known = self.versions.setdefault(written.process_id, [])
            if known:
                known[-1].until_us = written.time_us
                known[-1].lied_until_us = written.time_us + self._believed_us if written.is_hidden else 0
            known.append(version)
            self._times.setdefault(written.process_id, []).append(written.time_us)
            self._commits.append(written.time_us)
            if version.exists:
                self.by_sequence[written.sequence] = version
                self.by_version[written.process_id, written.time_us] = version

    def at(self, process_id: str, instant_us: int, *, believing_lies: bool = False) -> Version | None:
        """The version of then; None where there never had been one."""
        place = bisect_right(self._times.get(process_id, []), instant_us) - 1
        if place < 0:
            return None
        known = self.versions[process_id]
        if believing_lies and place and known[place - 1].lied_until_us > instant_us:
            place -= 1
        return known[place]

    def was_absent(self, process_id: str, from_us: int, until_us: int, *, believing_lies: bool = False) -> bool:
        """Whether there was no such document at some instant between the two."""
        known = self.versions.get(process_id)
        if not known or from_us < known[0].from_us:
            return True
        near = known[max(0, bisect_right(self._times[process_id], from_us) - 2) :]
        return any(
            not version.exists and version.was_state(from_us, until_us, believing_lies=believing_lies)
            for version in near
        )

    def page(self, query: Query, instant_us: int, *, believing_lies: bool = False) -> Rows:
        """Firestore's answer to the query at that instant."""
        key = (query, bisect_right(self._commits, instant_us), believing_lies)
        page = self._pages.get(key)
        if page is None:
            if len(self._pages) > 50_000:
                self._pages.clear()
            page = self._pages[key] = self._page(query, instant_us, believing_lies)
        return page

    def _page(self, query: Query, instant_us: int, believing_lies: bool) -> Rows:
        found = []
        for process_id in self.versions:
            version = self.at(process_id, instant_us, believing_lies=believing_lies)
            if version is not None and version.exists and _matches(query, version.written):
                found.append(version)
        found.sort(key=lambda version: (version.written.start_us, version.written.process_id), reverse=True)
        return tuple(found[: query.limit]), len(found) > query.limit

    def instants(self, from_us: int, until_us: int) -> Iterator[int]:
        """One instant of every state between the two, the latest first."""
        first, end = bisect_right(self._commits, from_us), bisect_right(self._commits, until_us)
        yield from reversed(self._commits[first:end])
        yield from_us


def rendered_page(rows: tuple[Version, ...]) -> bytes:
    """The beginning of a list's body, up to its page token."""
    return f'{{"processes":[{",".join(version.row() for version in rows)}],"count":{len(rows)},'.encode()


def _matches(query: Query, written: Written) -> bool:
    if query.status is not None and written.status != query.status:
        return False
    if query.lower_us is not None and written.start_us < query.lower_us:
        return False
    if query.upper_us is not None and written.start_us > query.upper_us:
        return False
    return query.after is None or (written.start_us, written.process_id) < query.after


def _rendered(written: Written) -> dict[str, object]:
    ended = written.status != "running"
    return {
        "process_id": written.process_id,
        "status": written.status,
        "start_time": rendered_time(written.start_us),
        "end_time": rendered_time(written.start_us + 60_000_000) if ended else None,
        "last_updated": None,
        "csv_url": f"https://example.com/{written.process_id}.csv",
        "products_processed": written.sequence,
        "products_failed": written.sequence % 7,
    }


def rendered_time(instant_us: int) -> str:
    """RFC 3339 in UTC."""
    seconds, fraction = divmod(instant_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06}".rstrip("0") + "Z" if fraction else text + "Z"


def _moment(instant_us: int) -> datetime:
    seconds, fraction = divmod(instant_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction)
