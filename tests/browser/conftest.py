"""A browser, a Firestore, and a service between them in a process of its own."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.elsewhere import page_of_another_origin
from tests.browser.programs import HOW_TO_GET_IT, chromium
from tests.browser.visitor import Visitor, new_visitor
from tests.deploy.programs import Program, serving
from tests.firestore_servers import BackgroundFirestore
from tests.required import required

COLLECTION = "webServiceLogs"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SIZE = {"width": 1280, "height": 800}

expect.set_options(timeout=25_000)

Visit = Callable[..., Visitor]
Serve = Callable[..., Program]


class Company:
    """Writes processes to Firestore, as a company's own programs do."""

    def __init__(self, firestore: BackgroundFirestore, project: str) -> None:
        self.firestore = firestore
        self.project = project
        self._written: dict[str, None] = {}

    def writes(self, process_id: str, *, start: datetime = NOON, **fields: Any) -> None:
        """One process, whole."""
        process = {
            "status": "running",
            "start_time": start,
            "last_updated": datetime.now(UTC),
            "csv_url": None,
            "products_processed": 0,
            "products_failed": 0,
            "products": [],
        }
        self.commit({process_id: {**process, **fields}})

    def writes_many(self, count: int) -> list[str]:
        """Processes that start a minute apart. Returns their IDs, newest first."""
        ids = [f"job-{number:03d}" for number in range(count)]
        self.commit(
            {
                process_id: {"status": "completed", "start_time": NOON + timedelta(minutes=number), "end_time": NOON}
                for number, process_id in enumerate(ids)
            }
        )
        return ids[::-1]

    def deletes(self, process_id: str) -> None:
        self.commit({process_id: None})

    def clears_up(self) -> None:
        """Deletes all it has written."""
        self.commit(dict.fromkeys(self._written))

    def commit(self, processes: dict[str, dict[str, Any] | None]) -> None:
        self._written.update(dict.fromkeys(processes))
        self.firestore.commit(self.project, {f"{COLLECTION}/{name}": fields for name, fields in processes.items()})


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for the session; every test has a profile of its own in it."""
    program = required(chromium(), "REQUIRE_BROWSER", HOW_TO_GET_IT)
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root, as in containers; all that it loads is ours
        running = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        yield running
        running.close()


@pytest.fixture(scope="session")
def local_firestore() -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore() as server:
        yield server


@pytest.fixture(scope="session")
def project() -> str:
    """One for the session: what a test has written goes with it."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def company(local_firestore: BackgroundFirestore, project: str) -> Iterator[Company]:
    company = Company(local_firestore, project)
    yield company
    company.clears_up()


def _serving(stack: ExitStack, project: str) -> Serve:
    return lambda firestore, **settings: stack.enter_context(
        serving(firestore.host, PROJECT_ID=project, AUDIT_INTERVAL_S="3600", **settings)
    )


@pytest.fixture
def serve(project: str) -> Iterator[Serve]:
    """Starts a service on a Firestore, with settings; it ends with the test."""
    with ExitStack() as stack:
        yield _serving(stack, project)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens tabs, each in a profile of its own; at the end every visitor must be content."""
    with ExitStack() as stack:
        visitors: list[Visitor] = []

        def open_tab(service: Program, *, expects: tuple[str, ...] = (), **options: Any) -> Visitor:
            context = stack.enter_context(browser.new_context(**{"viewport": SIZE, **options}))
            visitor = new_visitor(context, service.found)
            visitor.expects = expects
            visitors.append(visitor)
            return visitor

        yield open_tab
        for visitor in visitors:
            visitor.is_content()


@pytest.fixture(scope="session")
def service(local_firestore: BackgroundFirestore, project: str) -> Iterator[Program]:
    """A service with default settings on the company's Firestore."""
    with ExitStack() as stack:
        yield _serving(stack, project)(local_firestore)


@pytest.fixture
def visitor(service: Program, visit: Visit) -> Visitor:
    return visit(service)


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[str]:
    """The URL of a page of another origin."""
    with page_of_another_origin() as url:
        yield url


@pytest.fixture
def page(browser: Browser, elsewhere: str) -> Iterator[Page]:
    """A tab with that page."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(elsewhere)
        yield page
