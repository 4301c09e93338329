"""One process in full."""

from datetime import timedelta

from playwright.sync_api import expect

from tests.browser.conftest import NOON, Company, Serve, Visit
from tests.browser.visitor import FAILED_REQUEST, Visitor
from tests.deploy.programs import Program

PRODUCTS = [{"sku": "TEN-1", "name": "Alpine Tent", "price": 265.5}, {"sku": "ROP-2", "stock": 3}]


def test_the_panel_shows_a_process_with_its_products_and_its_file(company: Company, visitor: Visitor) -> None:
    company.writes(
        "import-1",
        status="completed",
        end_time=NOON + timedelta(minutes=3, seconds=5),
        csv_url="https://storage.example/feeds/import-1.csv",
        products_processed=1234,
        products_failed=2,
        products=PRODUCTS,
    )
    visitor.go().row("import-1").locator(".progress").click()

    expect(visitor.panel.get_by_role("heading", name="import-1")).to_be_focused()
    expect(visitor.panel.locator(".badge")).to_have_text("completed")
    expect(visitor.panel.locator("dt:text-is('Took') + dd")).to_have_text("3 min 5 s")
    expect(visitor.panel.locator("dt:text-is('Processed') + dd")).to_have_text("1,234")
    link = visitor.panel.get_by_role("link", name="import-1.csv")
    expect(link).to_have_attribute("href", "https://storage.example/feeds/import-1.csv")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(visitor.panel.get_by_role("columnheader")).to_have_text(["name", "price", "sku", "stock"])
    expect(visitor.panel.get_by_role("cell")).to_have_text(["Alpine Tent", "265.5", "TEN-1", "", "", "", "ROP-2", "3"])


def test_the_time_line_tells_the_changes_that_were_seen(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", status="pending")
    visitor.go("#process=import-1")
    entries = visitor.panel.locator(".time-line li span")
    expect(entries).to_have_text(["this page began to watch"])
    company.writes("import-1", products_processed=12)
    expect(entries.first).to_have_text("pending → running · +12 processed, now 12")
    company.writes("import-1", products_processed=12, products_failed=1)
    expect(entries).to_have_text(
        ["+1 failed, now 1", "pending → running · +12 processed, now 12", "this page began to watch"]
    )


def test_a_process_that_comes_while_the_page_is_open_has_appeared(company: Company, visitor: Visitor) -> None:
    company.writes("old")
    visitor.go().sees_light("live")
    visitor.sees_rows("old")
    company.writes("new", start=NOON + timedelta(days=1))
    visitor.page.get_by_role("link", name="new").click()
    expect(visitor.panel.locator(".time-line li span").first).to_have_text("appeared as running")


def test_a_process_beyond_the_window_is_followed_while_it_is_looked_at(
    company: Company, serve: Serve, visit: Visit
) -> None:
    company.writes("old")
    company.writes("new", start=NOON + timedelta(days=1))
    visitor = visit(serve(company.firestore, WINDOW_SIZE="1"))
    with visitor.page.expect_response("**/status/old/events?*"):
        visitor.go("#process=old")
    expect(visitor.panel.locator(".badge")).to_have_text("running")
    company.writes("old", status="completed", end_time=NOON, products_processed=5)
    expect(visitor.panel.locator(".badge")).to_have_text("completed")
    expect(visitor.panel.locator("dt:text-is('Processed') + dd")).to_have_text("5")


def test_a_process_that_is_deleted_under_ones_eyes_says_so(company: Company, visitor: Visitor) -> None:
    company.writes("import-1", products_processed=5)
    visitor.expects = (FAILED_REQUEST,)  # its products are asked for once more
    visitor.go("#process=import-1")
    expect(visitor.panel.locator("dt:text-is('Processed') + dd")).to_have_text("5")
    company.deletes("import-1")
    expect(visitor.panel.get_by_role("status")).to_have_text("This process is no longer there.")


def test_enter_in_the_search_asks_for_exactly_that_id(company: Company, serve: Serve, visit: Visit) -> None:
    company.writes_many(60)
    company.writes("Aged ?/# 100%".replace("/", "|"), start=NOON - timedelta(days=400))
    visitor = visit(serve(company.firestore, WINDOW_SIZE="5")).go()
    search = visitor.page.get_by_label("Process ID")
    search.fill("Aged ?|# 100%")
    expect(visitor.page.get_by_text("Enter asks for exactly this ID")).to_be_visible()
    search.press("Enter")
    expect(visitor.panel.get_by_role("heading", name="Aged ?|# 100%")).to_be_visible()
    expect(visitor.panel.locator(".badge")).to_have_text("running")


def test_an_unknown_id_is_named_as_such(service: Program, visit: Visit) -> None:
    visitor = visit(service, expects=(FAILED_REQUEST,)).go("#process=nobody")
    expect(visitor.panel.get_by_role("status")).to_have_text("Process with ID nobody not found")
    visitor.page.get_by_role("button", name="Close").click()
    expect(visitor.panel).to_be_hidden()
