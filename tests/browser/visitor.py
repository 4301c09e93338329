"""A tab with the page. It records what must never happen: an error in the console, a request to another host."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, Route, expect

FAILED_REQUEST = "Failed to load resource"
"""What the browser itself says of every answer that is an error, and of every request without one."""


@dataclass
class Visitor:
    """A tab. `expects`: beginnings of console messages that belong to the test."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    expects: tuple[str, ...] = ()

    def watch(self) -> "Visitor":
        """Begin to notice."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._console)
        self.page.on("pageerror", self._page_error)
        return self

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(self.expects or "\0"):
            self.errors.append(message.text)

    def _page_error(self, error: Error) -> None:
        self.errors.append(f"{error.message}\n{error.stack}")

    def go(self, fragment: str = "") -> "Visitor":
        """Open the page, as a link of this fragment does."""
        self.page.goto(f"{self.url}/ui{fragment}")
        return self

    def is_content(self) -> None:
        """Nothing has happened that must not."""
        assert self.errors == []
        assert {urlsplit(url).netloc for url in self.requests} <= {urlsplit(self.url).netloc}

    @property
    def rows(self) -> Locator:
        return self.page.locator("#rows tr")

    @property
    def panel(self) -> Locator:
        return self.page.locator("#detail")

    @property
    def light(self) -> Locator:
        return self.page.locator("#light")

    def row(self, process_id: str) -> Locator:
        """The row of one process."""
        return self.rows.filter(has=self.page.get_by_role("link", name=process_id, exact=True))

    def tile(self, status: str) -> Locator:
        """The counter of a status."""
        return self.page.locator("#counters button").filter(has=self.page.get_by_text(status, exact=True))

    def sees_rows(self, *process_ids: str) -> None:
        """These rows, in this order, and no others."""
        expect(self.page.locator("#rows a")).to_have_text(list(process_ids))

    def sees_light(self, state: str, *, patience_s: float = 25) -> None:
        """The connection light has this state."""
        expect(self.light).to_have_attribute("data-state", state, timeout=patience_s * 1000)


def new_visitor(context: BrowserContext, url: str) -> Visitor:
    """In a tab of its own."""
    return Visitor(context.new_page(), url).watch()


def hold_once(visitor: Visitor, address: str) -> list[Route]:
    """The first request to this address gets no answer, and is the list's only element from then on."""
    held: list[Route] = []

    def hold(route: Route) -> None:  # a builtin's bound method can't be a handler
        held.append(route)

    visitor.page.route(address, hold, times=1)
    return held


def release(visitor: Visitor, held: list[Route]) -> None:
    """The request that is held, or soon will be, goes on to the service."""
    while not held:
        visitor.page.wait_for_timeout(5)  # gives the handler its turn
    held[0].continue_()
