"""Filters, and links that keep them."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NOON, Company, Visit
from tests.browser.visitor import Visitor
from tests.deploy.programs import Program


@pytest.fixture(autouse=True)
def processes(company: Company) -> None:
    """Three days, two statuses."""
    company.writes("import-a", start=NOON)
    company.writes("import-b", start=NOON + timedelta(days=1), status="failed", end_time=NOON)
    company.writes("stock-c", start=NOON + timedelta(days=2), status="failed", end_time=NOON)


def test_a_tile_filters_by_its_status_and_lets_go_again(visitor: Visitor) -> None:
    visitor.go().sees_rows("stock-c", "import-b", "import-a")
    visitor.tile("failed").click()
    visitor.sees_rows("stock-c", "import-b")
    expect(visitor.tile("failed")).to_have_attribute("aria-pressed", "true")
    visitor.tile("failed").click()
    visitor.sees_rows("stock-c", "import-b", "import-a")


def test_rows_join_and_leave_a_filtered_table_as_they_change(company: Company, visitor: Visitor) -> None:
    visitor.go("#status=running").sees_rows("import-a")
    company.writes("import-d", start=NOON + timedelta(days=3))
    visitor.sees_rows("import-d", "import-a")
    company.writes("import-a", status="completed", end_time=NOON)
    visitor.sees_rows("import-d")


def test_days_filter_inclusively(visitor: Visitor) -> None:
    visitor.go().page.get_by_label("Started from (UTC)").fill("2026-11-21")
    visitor.sees_rows("stock-c", "import-b")
    visitor.page.get_by_label("to", exact=True).fill("2026-11-21")
    visitor.sees_rows("import-b")


def test_search_finds_parts_of_ids_whatever_their_case(visitor: Visitor) -> None:
    visitor.go().page.get_by_label("Process ID").fill("IMPORT")
    visitor.sees_rows("import-b", "import-a")
    visitor.page.get_by_label("Process ID").fill("import-a")
    visitor.sees_rows("import-a")
    visitor.page.get_by_role("button", name="Clear filters").click()
    visitor.sees_rows("stock-c", "import-b", "import-a")
    expect(visitor.page.get_by_label("Process ID")).to_have_value("")


def test_a_link_shows_others_the_same(service: Program, visitor: Visitor, visit: Visit) -> None:
    visitor.go().tile("failed").click()
    visitor.page.get_by_label("Started from (UTC)").fill("2026-11-21")
    visitor.page.get_by_label("to", exact=True).fill("2026-11-21")
    visitor.sees_rows("import-b")
    visitor.page.get_by_role("link", name="import-b").click()
    expect(visitor.panel).to_be_visible()

    other = visit(service)
    other.page.goto(visitor.page.url)
    other.sees_rows("import-b")
    expect(other.tile("failed")).to_have_attribute("aria-pressed", "true")
    expect(other.page.get_by_label("to", exact=True)).to_have_value("2026-11-21")
    expect(other.panel.get_by_role("heading", name="import-b")).to_be_visible()


def test_the_browsers_way_back_goes_through_the_filters(visitor: Visitor) -> None:
    visitor.go().tile("failed").click()
    visitor.sees_rows("stock-c", "import-b")
    visitor.page.get_by_role("link", name="stock-c").click()
    expect(visitor.panel).to_be_visible()
    visitor.page.go_back()
    expect(visitor.panel).to_be_hidden()
    visitor.sees_rows("stock-c", "import-b")
    visitor.page.go_back()
    visitor.sees_rows("stock-c", "import-b", "import-a")


def test_a_broken_link_shows_everything(visitor: Visitor) -> None:
    visitor.go("#from=yesterday&to=%E0%A4%A&nonsense&status=&sort=constructor").sees_rows(
        "stock-c", "import-b", "import-a"
    )


def test_a_status_that_no_process_has_is_counted_as_none(visitor: Visitor) -> None:
    visitor.go("#status=constructor").sees_rows()
    expect(visitor.page.locator("#found")).to_contain_text("0 of 0 shown")
