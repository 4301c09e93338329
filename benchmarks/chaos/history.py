"""What Firestore held and when: the oracle that every answer is compared with. Pure.

Times are whole microseconds since the epoch, from one machine's one clock. A version holds from its commit time up to
the next one's. What the service should have rendered is rendered here again, on purpose by other code than its own.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from benchmarks.chaos.names import id_of, is_foreign, parent_of

FOREVER = 2**62
STATUSES = ("running", "completed", "failed", "cancelled")


class Written(NamedTuple):
    """One commit to one process, named by its key. `sequence`: its content's unique count, 0 where it was deleted.

    A commit with the sequence of the one before it changes nothing that is answered: a heartbeat.

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
            "csv_url": f"https://example.com/{id_of(self.process_id)}.csv",
            "products_processed": self.sequence,
            "products_failed": self.sequence % 7,
            "products": [{"number": self.sequence}],
            "heartbeat": self.time_us,
        }


@dataclass(slots=True, eq=False)
class Version:
    """What was answered of a process from `from_us` until `until_us`. `lied_until_us`: as the model may believe,
    without having got the next version."""

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
    parent: str | None = None


class Page(NamedTuple):
    """What a list shows, and whether another page follows."""

    rows: tuple[Version, ...]
    has_more: bool


@dataclass(slots=True, eq=False)
class Unseen:
    """A process that moved up into the listeners' window while they were told nothing."""

    process_id: str
    from_us: int
    until_us: int


class History:
    """All versions of all processes. What was hidden from listeners may be believed for `believed_us`.

    They listen to the newest `window` documents, foreign ones among them, which are never answered; 0 is all of them.
    """

    def __init__(self, believed_us: int, window: int) -> None:
        self._believed_us = believed_us
        self._window = window
        self.versions: dict[str, list[Version]] = {}
        self.by_sequence: dict[int, Version] = {}
        self.by_version: dict[tuple[str, int], Version] = {}
        self._times: dict[str, list[int]] = {}
        self._commits: list[int] = []
        self._unseen: list[Unseen] = []
        self._pages: dict[tuple[Query, int], Page] = {}

    def add(self, writes: Iterable[Written]) -> None:
        """Commits, in their order; those of one time are one commit."""
        for time_us, commit in groupby(writes, lambda written: written.time_us):
            in_window: set[str] | None = None
            for written in commit:
                if written.is_hidden and in_window is None:
                    in_window = set(self.window(time_us))
                self._add(written)
            if in_window is not None:
                self._note_unseen(set(self.window(time_us)) - in_window, time_us)

    def _add(self, written: Written) -> None:
        version = Version(written)
        known = self.versions.setdefault(written.process_id, [])
        if known and known[-1].exists and known[-1].written.sequence == written.sequence:
            self.by_version[written.process_id, written.time_us] = known[-1]
            return
        if known:
            known[-1].until_us = written.time_us
            known[-1].lied_until_us = written.time_us + self._believed_us if written.is_hidden else 0
        known.append(version)
        self._times.setdefault(written.process_id, []).append(written.time_us)
        self._commits.append(written.time_us)
        if version.exists and not is_foreign(written.process_id):
            self.by_sequence[written.sequence] = version
            self.by_version[written.process_id, written.time_us] = version
        if not written.is_hidden:
            self._note_seen(written.process_id, written.time_us)

    def window(self, instant_us: int) -> dict[str, Version]:
        """The processes that listeners hold then."""
        versions = [self.at(process_id, instant_us) for process_id in self.versions]
        found = sorted((each for each in versions if each is not None and each.exists), key=_position)
        held = {version.written.process_id: version for version in found[-self._window :]}
        return {process_id: version for process_id, version in held.items() if not is_foreign(process_id)}

    def _note_unseen(self, process_ids: Iterable[str], time_us: int) -> None:
        self._unseen += [Unseen(process_id, time_us, time_us + self._believed_us) for process_id in process_ids]

    def _note_seen(self, process_id: str, time_us: int) -> None:
        for unseen in self._unseen:
            if unseen.process_id == process_id:
                unseen.until_us = min(unseen.until_us, time_us)

    def at(self, process_id: str, instant_us: int) -> Version | None:
        """The version of then; None where there never had been one."""
        place = bisect_right(self._times.get(process_id, []), instant_us) - 1
        return None if place < 0 else self.versions[process_id][place]

    def _believable(self, process_id: str, instant_us: int) -> list[Version | None]:
        """The version of then, and those that a listener may take for it. None: nothing is known of it."""
        place = bisect_right(self._times[process_id], instant_us) - 1
        if place < 0:
            return [None]
        known = self.versions[process_id]
        found: list[Version | None] = [known[place]]
        while place and known[place - 1].lied_until_us > instant_us:
            place -= 1
            found.append(known[place])
        if any(each.process_id == process_id and each.from_us <= instant_us < each.until_us for each in self._unseen):
            found.append(None)
        return found

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

    def page(self, query: Query, instant_us: int) -> Page:
        """Firestore's answer to the query at that instant."""
        key = (query, bisect_right(self._commits, instant_us))
        page = self._pages.get(key)
        if page is None:
            if len(self._pages) > 50_000:
                self._pages.clear()
            page = self._pages[key] = self._page(query, instant_us)
        return page

    def _page(self, query: Query, instant_us: int) -> Page:
        versions = [self.at(process_id, instant_us) for process_id in self.versions]
        found = [version for version in versions if version is not None and _matches(query, version)]
        found.sort(key=_position, reverse=True)
        return Page(tuple(found[: query.limit]), len(found) > query.limit)

    def may_believe(self, query: Query, page: Page, instant_us: int) -> bool:
        """Whether the page could be the query's answer at that instant for one who believes what it was not told
        otherwise: of each process by itself, for some of them may have been told of since, or read."""
        shown = {version.written.process_id: version for version in page.rows}
        if list(page.rows) != sorted(page.rows, key=_position, reverse=True) or len(shown) < len(page.rows):
            return False
        if len(shown) > query.limit or (page.has_more and len(shown) < query.limit):
            return False
        may_more_follow, must_more_follow = False, False
        for process_id in self.versions:
            believable = self._believable(process_id, instant_us)
            if process_id in shown:
                if shown[process_id] not in believable or not _matches(query, shown[process_id]):
                    return False
                continue
            follows = [_place_beyond(query, page.rows, version) for version in believable]
            if follows == [None] * len(follows):
                return False  # whatever is believed of it, it would be among the rows
            may_more_follow = may_more_follow or True in follows
            must_more_follow = must_more_follow or False not in follows
        return may_more_follow if page.has_more else not must_more_follow

    def instants(self, from_us: int, until_us: int) -> Iterator[int]:
        """One instant of every state between the two, the latest first."""
        first, end = bisect_right(self._commits, from_us), bisect_right(self._commits, until_us)
        yield from reversed(self._commits[first:end])
        yield from_us


def rendered_page(rows: Iterable[Version]) -> bytes:
    """The beginning of a list's body, up to its page token."""
    rendered = [version.row() for version in rows]
    return f'{{"processes":[{",".join(rendered)}],"count":{len(rendered)},'.encode()


def _position(version: Version) -> tuple[int, str]:
    return version.written.start_us, version.written.process_id


def _place_beyond(query: Query, rows: Sequence[Version], version: Version | None) -> bool | None:
    """True: on a later page; False: on none; None: among these rows, or before them."""
    if version is None or not _matches(query, version):
        return False
    return True if len(rows) == query.limit and _position(version) < _position(rows[-1]) else None


def _matches(query: Query, version: Version) -> bool:
    written = version.written
    if not version.exists or is_foreign(written.process_id):
        return False
    if query.status is not None and written.status != query.status:
        return False
    if query.parent is not None and parent_of(written.process_id) != query.parent:
        return False
    if query.lower_us is not None and written.start_us < query.lower_us:
        return False
    if query.upper_us is not None and written.start_us > query.upper_us:
        return False
    return query.after is None or _position(version) < query.after


def _rendered(written: Written) -> dict[str, object]:
    ended = written.status != "running"
    return {
        "process_id": id_of(written.process_id),
        "status": written.status,
        "start_time": rendered_time(written.start_us),
        "end_time": rendered_time(written.start_us + 60_000_000) if ended else None,
        "last_updated": None,
        "csv_url": f"https://example.com/{id_of(written.process_id)}.csv",
        "products_processed": written.sequence,
        "products_failed": written.sequence % 7,
        **({"uid": parent_of(written.process_id)} if parent_of(written.process_id) else {}),
    }


def rendered_time(instant_us: int) -> str:
    """RFC 3339 in UTC."""
    seconds, fraction = divmod(instant_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06}".rstrip("0") + "Z" if fraction else text + "Z"


def _moment(instant_us: int) -> datetime:
    seconds, fraction = divmod(instant_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction)
