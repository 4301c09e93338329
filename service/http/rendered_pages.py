"""Pages of lists as bytes, rendered once until the model changes: clients that show a list request the same one again.

Lives on the event loop. Answers only what the model can prove; the handlers answer the rest.
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
from service.schema.compiled import ProcessSummary

MAX_PAGES = 256
MAX_BYTES = 4 * 1024 * 1024
MAX_QUERIES = 1024


class RenderedPages:
    """What `GET /status` answers by its query, as it was written in the request."""

    def __init__(self, answers: Answers, listing: Listing) -> None:
        self._answers = answers
        self.listing = listing
        self._queries: dict[str, ListQuery | None] = {}
        self._pages: dict[str | tuple[str, Hashable], RenderedPage] = {}
        self._bytes = 0

    def model_changed(self, applied: Applied) -> None:
        """In the step in which a change becomes visible: no page that was rendered before it is answered after it."""
        if applied.is_news or applied.is_reordered:
            self._forget()

    def stalled(self, _: Sequence[ProcessSummary]) -> None:
        """The same where processes begin to stall, which lists are filtered by."""
        self._forget()

    def _forget(self) -> None:
        self._pages.clear()
        self._bytes = 0

    def page(self, raw_query: str, caller: Caller) -> tuple[int, RenderedPage] | None:
        """Its age in seconds and the page; None where it is no page of a list, or the model can't answer."""
        age_s = self._answers.model_age_s
        if age_s is None:
            return None
        page = self._pages.get(_key(raw_query, caller)) or self._rendered(raw_query, caller)
        return None if page is None else (age_s, page)

    def _rendered(self, raw_query: str, caller: Caller) -> RenderedPage | None:
        query = self._query(raw_query)
        answer = None if query is None else self._answers.page_from_model(query, caller)
        if answer is None:
            return None
        body = answer.body
        page = RenderedPage(body, content_etag(body).encode())
        self._bytes += len(body)
        if len(self._pages) >= MAX_PAGES or self._bytes > MAX_BYTES:
            self._pages.clear()
            self._bytes = len(body)
        self._pages[_key(raw_query, caller)] = page
        return page

    def _query(self, raw_query: str) -> ListQuery | None:
        if raw_query not in self._queries:
            if len(self._queries) >= MAX_QUERIES:
                self._queries.clear()
            self._queries[raw_query] = self._read(raw_query)
        return self._queries[raw_query]

    def _read(self, raw_query: str) -> ListQuery | None:
        try:
            query = self.listing.read(raw_query)
        except BadParameter:
            return None
        return query if isinstance(query, ListQuery) else None


def _key(raw_query: str, caller: Caller) -> str | tuple[str, Hashable]:
    """Callers share a page where they see the same."""
    return raw_query if caller.owner is None else (raw_query, caller.owner)
