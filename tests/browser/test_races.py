"""An answer that was under way while something changed is older than what the stream has said since."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from playwright.sync_api import APIResponse, Route, expect

from tests.browser.conftest import NOON, Company
from tests.browser.visitor import Visitor


def hold_once(visitor: Visitor, address: str) -> list[Route]:
    """The first request to this address gets no answer, and is the list's only element from then on."""
    held: list[Route] = []

    def hold(route: Route) -> None:  # a builtin's bound method can't be a handler
        held.append(route)

    visitor.page.route(address, hold, times=1)
    return held


@contextmanager
def held_list(visitor: Visitor) -> Iterator[None]:
    """The page's list is answered by the service now, and the page gets that answer at the end of the context."""
    held = hold_once(visitor, "**/status?*")
    visitor.go().sees_rows("import-1")  # as the stream tells it
    answer: APIResponse = held[0].fetch()
    yield
    with visitor.page.expect_response("**/status?*"):
        held[0].fulfill(response=answer)


def test_a_late_list_never_brings_back_a_deleted_process(company: Company, visitor: Visitor) -> None:
    company.writes("import-1")
    with held_list(visitor):
        company.deletes("import-1")
        visitor.sees_rows()
    company.writes("import-2")
    visitor.sees_rows("import-2")


def test_a_late_list_never_overwrites_a_newer_event(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", status="running")
    with held_list(visitor):
        company.writes("import-1", status="completed", end_time=NOON)
        expect(visitor.row("import-1").locator(".badge")).to_have_text("completed")
    company.writes("import-2", start=NOON + timedelta(hours=1))
    visitor.sees_rows("import-2", "import-1")
    expect(visitor.row("import-1").locator(".badge")).to_have_text("completed")


def test_nothing_but_the_light_is_drawn_before_the_schema_is_known(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", status="running")
    held = hold_once(visitor, "**/ui/schema.json")
    visitor.page.clock.install()
    with visitor.page.expect_request("**/ui/schema.json"):
        visitor.go("#status=running")
    visitor.page.clock.run_for(2000)  # draws several times
    visitor.sees_light("connecting")
    held[0].continue_()
    visitor.sees_rows("import-1")
