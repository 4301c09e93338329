"""Pages of lists as bytes, rendered once until the model changes, because clients request the same page repeatedly.

Lives on the event loop. Has only pages that the model can prove; the handlers answer the rest.
"""

from collections.abc import Hashable, Sequence

from service.api.caller import Caller
from service.api.etags import content_etag
from service.api.list_query import ListQuery
from service.api.listing import Listing
from service.errors import BadParameter
from service.model.applied import Applied
from service.reads.answer import RenderedPage
from service.reads.answers import Answers
from service.runtime.remembered import Remembered
from service.schema.compiled import ProcessSummary

MAX_PAGES = 256
MAX_BYTES = 4 * 1024 * 1024
MAX_QUERIES = 1024

_Key = tuple[str, Hashable, type]
"""A query, and the caller's owner value with its type: True equals 1 in Python, but is another owner."""


class RenderedPages:
    """The answers of `GET /status`, by the text of the query."""

    def __init__(self, answers: Answers, listing: Listing) -> None:
        self._answers = answers
        self.listing = listing
        self._queries: Remembered[str, ListQuery | None] = Remembered(self._read, MAX_QUERIES)
        self._pages: Remembered[_Key, RenderedPage | None] = Remembered(self._render, MAX_BYTES, _weight)

    def model_changed(self, applied: Applied) -> None:
        """Called in the step in which a change becomes visible: no page that was rendered before is
        answered after it.
        """
        if applied.is_news or applied.is_reordered:
            self._pages.clear()

    def stalled(self, _: Sequence[ProcessSummary]) -> None:
        """The same for processes that begin to stall, because lists can be filtered by this."""
        self._pages.clear()

    def page(self, raw_query: str, caller: Caller) -> tuple[int, RenderedPage] | None:
        """The page with its age; None if the query is not for a page, or the model cannot answer."""
        age_s = self._answers.model_age_s
        if age_s is None:
            return None
        page = self._pages[raw_query, caller.owner, type(caller.owner)]
        return None if page is None else (age_s, page)

    def _render(self, key: _Key) -> RenderedPage | None:
        query = self._queries[key[0]]
        answer = None if query is None else self._answers.page_from_model(query, Caller(owner=key[1]))
        if answer is None:
            return None
        body = answer.body
        return RenderedPage(body, content_etag(body).encode())

    def _read(self, raw_query: str) -> ListQuery | None:
        try:
            query = self.listing.read(raw_query)
        except BadParameter:
            return None
        return query if isinstance(query, ListQuery) else None


def _weight(_: _Key, page: RenderedPage | None) -> int:
    """The size of a page. A page that the model could not answer is not kept."""
    return MAX_BYTES + 1 if page is None else max(len(page.body), MAX_BYTES // MAX_PAGES)
