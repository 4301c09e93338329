"""An answer that was under way while something changed is older than the events that came since."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import APIResponse, expect

from tests.browser.conftest import NOON, Company
from tests.browser.visitor import FAILED_REQUEST, Visitor, hold_once, release


@contextmanager
def held_list(visitor: Visitor) -> Iterator[None]:
    """The page's list is answered by the service now, and the page gets that answer, and no other, at the end."""
    held = hold_once(visitor, "**/status?*")
    visitor.go("#process=import-1")
    expect(visitor.panel.locator(".badge")).to_have_text("running")  # from the process's stream
    answer: APIResponse = held[0].fetch()
    visitor.page.route("**/status?*", lambda _: None)
    yield
    with visitor.page.expect_response("**/status?*"):
        held[0].fulfill(response=answer)


def test_a_late_list_never_brings_back_a_deleted_process(company: Company, visitor: Visitor) -> None:
    company.writes("import-1")
    visitor.expects = (FAILED_REQUEST,)  # its products are asked for once more
    with held_list(visitor):
        company.deletes("import-1")
        expect(visitor.panel.get_by_role("status")).to_have_text("This process is no longer there.")
    expect(visitor.page.get_by_text("No process in webServiceLogs yet.")).to_be_visible()
    visitor.sees_rows()


def test_a_late_list_never_overwrites_a_newer_event(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", status="running")
    with held_list(visitor):
        company.writes("import-1", status="completed", end_time=NOON)
        expect(visitor.panel.locator(".badge")).to_have_text("completed")
    expect(visitor.row("import-1").locator(".badge")).to_have_text("completed")
    entries = visitor.panel.locator(".time-line li span")
    expect(entries).to_have_text(["running \N{RIGHTWARDS ARROW} completed", "this page began to watch"])


FIRST_ANSWERS = ("readyz", "ui/schema.json", "stats", "stats?by_minute=*", "status?*", "status/*/events*")


@pytest.mark.parametrize("late", FIRST_ANSWERS)
def test_the_first_answers_can_come_in_any_order(company: Company, visitor: Visitor, late: str) -> None:
    company.writes("import-1")
    held = hold_once(visitor, f"**/{late}")
    with visitor.page.expect_request(f"**/{late}"):
        visitor.go("#process=import-1")
    if late != "ui/schema.json":
        expect(visitor.panel.get_by_role("heading", level=2)).to_have_text("import-1")
    if late not in ("ui/schema.json", "status?*"):
        visitor.sees_rows("import-1")
    release(visitor, held)
    visitor.sees_rows("import-1")
    visitor.sees_light("live")
    expect(visitor.tile("running").locator("b")).to_have_text("1")
    expect(visitor.page.locator("#head")).to_contain_text("Progress")
    expect(visitor.panel.locator(".badge")).to_have_text("running")


def test_nothing_but_the_light_is_drawn_before_the_schema_is_known(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", status="running")
    held = hold_once(visitor, "**/ui/schema.json")
    visitor.page.clock.install()
    with visitor.page.expect_request("**/ui/schema.json"):
        visitor.go("#status=running")
    visitor.page.clock.run_for(2000)  # draws several times
    visitor.sees_light("connecting")
    expect(visitor.page.locator("#empty")).to_be_hidden()
    expect(visitor.page.locator("#found")).to_have_text("")
    release(visitor, held)
    visitor.sees_rows("import-1")
