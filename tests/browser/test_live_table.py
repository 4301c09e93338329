"""The table keeps itself: nobody reloads anything."""

import re
from datetime import timedelta

from playwright.sync_api import Locator, expect

from tests.browser.conftest import NOON, Company, Serve, Visit
from tests.browser.visitor import Visitor
from tests.deploy.programs import Program


def test_a_process_appears_changes_and_goes_without_a_reload(company: Company, visitor: Visitor) -> None:
    company.writes("first")
    visitor.go().sees_rows("first")
    visitor.page.evaluate("document.body.dataset.loaded = 'once'")

    company.writes("second", start=NOON + timedelta(hours=1), status="pending")
    visitor.sees_rows("second", "first")
    company.writes("second", start=NOON + timedelta(hours=1), products_processed=12_345, products_failed=7)
    expect(visitor.row("second").locator(".badge")).to_have_text("running")
    expect(visitor.row("second").get_by_role("progressbar")).to_have_accessible_name("12,345 processed, 7 failed")
    company.deletes("first")
    visitor.sees_rows("second")

    assert visitor.page.evaluate("document.body.dataset.loaded") == "once"


def test_a_row_keeps_its_element_when_it_changes(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", status="pending")
    visitor.go().sees_rows("import-1")
    expect(visitor.row("import-1").locator(".badge")).to_have_text("pending")
    visitor.page.get_by_role("link", name="import-1").focus()

    company.writes("import-1", status="running")
    expect(visitor.row("import-1").locator(".badge")).to_have_text("running")
    expect(visitor.page.get_by_role("link", name="import-1")).to_be_focused()


def test_the_bar_of_a_running_process_claims_no_percentage(company: Company, visitor: Visitor) -> None:
    company.writes("under-way", products_processed=30, products_failed=10)
    company.writes("over", status="completed", end_time=NOON, products_processed=30, products_failed=10)
    visitor.go()

    bar = visitor.row("under-way").get_by_role("progressbar")
    expect(bar).to_have_accessible_name("30 processed, 10 failed")
    assert bar.get_attribute("aria-valuenow") is None
    expect(visitor.row("over").get_by_role("progressbar")).to_have_count(0)
    closed = visitor.row("over").get_by_role("img", name="30 processed, 10 failed")
    widths = [
        closed.locator(part).evaluate("part => part.getBoundingClientRect().width")
        for part in (".processed", ".failed")
    ]
    assert 2.8 < widths[0] / widths[1] < 3.2


def seconds(changed: Locator) -> int:
    """How long ago, as it says."""
    return int((changed.text_content() or "").split()[0])


def test_the_time_since_the_last_change_goes_on_by_itself(company: Company, visitor: Visitor) -> None:
    company.writes("import-1")
    visitor.go()
    changed = visitor.row("import-1").locator(".changed time")
    expect(changed).to_have_text(re.compile(r"^\d+ s ago$"))
    before = seconds(changed)
    expect(changed).not_to_have_text(f"{before} s ago")
    assert seconds(changed) > before


def test_the_counters_follow(company: Company, visitor: Visitor) -> None:
    company.writes("a", status="running")
    company.writes("b", status="running")
    company.writes("c", status="sorting")
    visitor.go()
    expect(visitor.tile("all").locator("b")).to_have_text("3")
    expect(visitor.tile("running").locator("b")).to_have_text("2")
    expect(visitor.tile("sorting").locator("b")).to_have_text("1")

    company.writes("a", status="completed")
    expect(visitor.tile("running").locator("b")).to_have_text("1")
    expect(visitor.tile("completed").locator("b")).to_have_text("1")


def test_more_is_loaded_from_beyond_what_the_service_holds(company: Company, serve: Serve, visit: Visit) -> None:
    newest_first = company.writes_many(120)
    visitor = visit(serve(company.firestore, WINDOW_SIZE="20")).go()
    visitor.sees_light("live")
    visitor.sees_rows(*newest_first[:50])
    more = visitor.page.get_by_role("button", name="Load more")
    more.click()
    visitor.sees_rows(*newest_first[:100])
    more.click()
    visitor.sees_rows(*newest_first)
    expect(more).to_be_hidden()

    company.writes("newest", start=NOON + timedelta(days=1))
    visitor.sees_rows("newest", *newest_first)


def test_a_row_beyond_the_window_says_that_it_is_not_live(company: Company, serve: Serve, visit: Visit) -> None:
    company.writes_many(3)
    visitor = visit(serve(company.firestore, WINDOW_SIZE="2")).go()
    visitor.sees_light("live")
    expect(visitor.row("job-000")).to_have_class("unfollowed")
    expect(visitor.row("job-001")).not_to_have_class("unfollowed")


def test_a_page_that_comes_before_any_process_shows_the_first(service: Program, company: Company, visit: Visit) -> None:
    visitor = visit(service).go()
    expect(visitor.page.get_by_text("No process in webServiceLogs yet.")).to_be_visible()
    company.writes("first")
    visitor.sees_rows("first")
