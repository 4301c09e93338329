"""Pages are rendered once, until the model changes, and what is kept of them is bounded."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from service.api.caller import SEES_EVERYTHING, Caller
from service.api.listing import Listing
from service.http import rendered_pages
from service.http.rendered_pages import RenderedPages
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, running_service
from tests.service.schemas import order
from tests.service.virtual_time import Clock


def job(status: str = "running") -> dict[str, Any]:
    return {"status": status, "start_time": datetime(2026, 11, 23, tzinfo=UTC)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def running(
    local_firestore: BackgroundFirestore, project: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningService]:
    """A service that holds two processes, whose clock stands still."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    local_firestore.commit(project, {f"{COLLECTION}/import-{number}": job() for number in (1, 2)})
    async with running_service(local_firestore.host, project, listener="stream", window_size=0, clock=clock) as running:
        yield await running.synced()


@pytest.fixture
def pages(running: RunningService) -> RenderedPages:
    return pages_of(running)


def pages_of(running: RunningService) -> RenderedPages:
    pages = RenderedPages(running.service._answers, Listing(order(), {}))
    running.service.model.subscribe(pages.model_changed)
    return pages


def ids(pages: RenderedPages, query: str = "") -> list[str]:
    answer = pages.page(query, SEES_EVERYTHING)
    assert answer is not None
    return [row["process_id"] for row in orjson.loads(answer[1].body)["processes"]]


async def test_a_page_is_rendered_once_until_the_model_changes(
    running: RunningService, pages: RenderedPages, local_firestore: BackgroundFirestore, project: str
) -> None:
    first, again = pages.page("status=running", SEES_EVERYTHING), pages.page("status=running", SEES_EVERYTHING)
    assert first is not None
    assert again is not None
    assert again[1] is first[1]
    assert ids(pages, "status=running") == ["import-2", "import-1"]
    version = local_firestore.commit(project, {f"{COLLECTION}/import-2": job("completed")})
    await running.holds("import-2", version)
    assert ids(pages, "status=running") == ["import-1"]
    changed = pages.page("status=running", SEES_EVERYTHING)
    assert changed is not None
    assert changed[1].etag != first[1].etag


async def test_a_page_that_was_rendered_is_not_answered_without_the_lease(
    running: RunningService, pages: RenderedPages, clock: Clock
) -> None:
    assert ids(pages) == ["import-2", "import-1"]
    running.service.model.confirm = lambda as_of: None  # type: ignore[method-assign] # Firestore is not heard
    clock.advance(15.1)
    assert pages.page("", SEES_EVERYTHING) is None


@pytest.mark.parametrize("query", ["limit=0", "nonsense=1", "process_id=import-1", "status=%zz", "page_token=x"])
def test_what_is_no_page_of_a_list_is_left_to_others(pages: RenderedPages, query: str) -> None:
    assert [pages.page(query, SEES_EVERYTHING) for _ in range(2)] == [None, None]


def test_remembered_pages_and_queries_are_bounded(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered_pages, "MAX_PAGES", 10)
    monkeypatch.setattr(rendered_pages, "MAX_QUERIES", 20)
    pages = pages_of(running)
    for number in range(1, 101):
        assert ids(pages, f"limit={number}")[:1] == ["import-2"]
        assert 1 <= len(pages._pages) <= 10
        assert 1 <= len(pages._queries) <= 20
    body = pages.page("limit=100", SEES_EVERYTHING)
    assert body is not None
    most_bytes = 3 * len(body[1].body)
    monkeypatch.setattr(rendered_pages, "MAX_BYTES", most_bytes)
    pages = pages_of(running)
    for number in range(1, 101):
        ids(pages, f"limit={number}&status=running")
        assert 1 <= sum(len(page.body) for page in pages._pages.values() if page is not None) <= most_bytes


def test_owners_that_are_equal_and_not_the_same_share_no_page(pages: RenderedPages) -> None:
    for owner in (1, True, 1.0):
        pages.page("", Caller(owner=owner))
    assert len(pages._pages) == 3
