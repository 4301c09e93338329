"""The contents of answers: one process, a page, or several processes by ID, with their source and age. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import orjson

from service.api.list_query import Filters, ListQuery, write_page_token
from service.api.sources import Source
from service.reads.firestore_reader import Read
from service.schema.compiled import ProcessSummary


@dataclass(slots=True)
class Answer:
    """The state of one process. If it does not exist, `summary` is None and `body` is empty.

    Never changed after it is made. It is not a frozen dataclass, because every request makes one, and making a frozen
    one takes three times as long.
    """

    source: Source
    age_s: int
    summary: ProcessSummary | None
    body: bytes

    @property
    def version(self) -> int:
        """The version, or 0 if there is no document: 0 is older than every version."""
        return 0 if self.summary is None else self.summary.version


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """One page of a list, and whether another page follows."""

    source: Source
    age_s: int
    rows: Sequence[ProcessSummary]
    has_more: bool
    filters: Filters

    @property
    def body(self) -> bytes:
        """The body of a 200, rendered by this call."""
        token = None
        if self.has_more and (position := self.rows[-1].position) is not None:
            token = write_page_token(position, self.filters)
        rows = b",".join([summary.row for summary in self.rows])
        return b'{"processes":[%b],"count":%d,"next_page_token":%b}' % (rows, len(self.rows), orjson.dumps(token))


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """Processes by ID, in the order of the request. `by_id` has each of them once.

    `shown` turns a key into the ID shown.
    """

    process_ids: Sequence[str]
    by_id: Mapping[str, Answer]
    shown: Callable[[str], str] = str

    @property
    def source(self) -> Source:
        """The weakest source of the rows."""
        return max((answer.source for answer in self.by_id.values()), key=list(Source).index)

    @property
    def age_s(self) -> int:
        """The greatest age of the rows."""
        return max(answer.age_s for answer in self.by_id.values())

    @property
    def body(self) -> bytes:
        """The body of a 200, rendered by this call."""
        summaries = [self.by_id[process_id].summary for process_id in self.process_ids]
        rows = [summary.row for summary in summaries if summary is not None]
        missing = [self.shown(id_) for id_ in dict.fromkeys(self.process_ids) if self.by_id[id_].summary is None]
        body = b'{"processes":[%b],"count":%d,"next_page_token":null,"missing":%b}'
        return body % (b",".join(rows), len(rows), orjson.dumps(missing))


class RenderedPage(NamedTuple):
    """The body of a 200, and its ETag."""

    body: bytes
    etag: bytes


def rounded(age_s: float) -> int:
    """An age in whole seconds, rounded up: the `Age` of an answer is an upper bound."""
    return max(0, ceil(age_s))


def answer_of_read(source: Source, age_s: float, read: Read) -> Answer:
    """The answer with the result of a direct read."""
    return Answer(source, rounded(age_s), read.summary, read.body)


def page_of(source: Source, age_s: float, rows: Sequence[ProcessSummary], one_more: ListQuery) -> ListAnswer:
    """The page with the first of these rows. `one_more` is the query that asks for one row more than the page has."""
    limit = one_more.limit - 1
    return ListAnswer(source, rounded(age_s), rows[:limit], len(rows) > limit, one_more.filters)
