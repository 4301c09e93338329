"""For everybody: by keyboard, on a phone, in the dark, with a screen reader, without motion."""

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import NOON, Company, Visit
from tests.browser.visitor import Visitor
from tests.deploy.programs import Program

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(autouse=True)
def processes(company: Company) -> None:
    """One of each kind."""
    for hour, status in enumerate(("pending", "running", "completed", "failed", "cancelled", "odd")):
        end = None if hour < 2 else NOON
        counts = {"products_processed": hour * 100, "products_failed": hour}
        start = NOON - timedelta(hours=hour)
        company.writes(f"import-{hour}", start=start, status=status, end_time=end, products=[{"sku": "A"}], **counts)


def test_everything_can_be_done_by_keyboard(visitor: Visitor) -> None:
    visitor.go().sees_light("live")
    keys, focused = visitor.page.keyboard, visitor.page.locator(":focus")
    keys.press("/")
    expect(focused).to_have_id("search")
    keys.type("import")
    keys.press("ArrowDown")
    expect(focused).to_have_text("import-0")
    keys.press("ArrowDown")
    keys.press("End")
    expect(focused).to_have_text("import-5")
    keys.press("ArrowUp")
    expect(focused).to_have_text("import-4")
    keys.press("Enter")
    expect(focused).to_have_id("detail-id")
    expect(visitor.panel.get_by_role("heading", name="import-4")).to_be_visible()
    keys.press("Escape")
    expect(visitor.panel).to_be_hidden()
    expect(focused).to_have_text("import-4")


def test_the_first_tab_stop_skips_to_the_processes_and_keeps_the_filters(visitor: Visitor) -> None:
    visitor.go("#status=failed").sees_rows("import-3")
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(":focus")).to_have_id("processes")
    visitor.sees_rows("import-3")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desk", "phone"])
@pytest.mark.parametrize("fragment", ["", "#process=import-3"])
def test_axe_finds_nothing(service: Program, visit: Visit, theme: str, device: str, fragment: str) -> None:
    # still, so that no colour is measured amid a movement
    options = {"color_scheme": theme, "reduced_motion": "reduce", **(PHONE if device == "phone" else {})}
    visitor = visit(service, **options).go(fragment)
    visitor.sees_light("live")
    expect(visitor.row("import-0")).to_have_count(1)
    found = Axe().run(visitor.page)
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_shows_cards_and_the_panel_over_them(service: Program, visit: Visit) -> None:
    visitor = visit(service, **PHONE).go()
    visitor.sees_light("live")
    link = visitor.page.get_by_role("link", name="import-2")
    expect(link).to_be_in_viewport(ratio=1) if link.is_visible() else link.scroll_into_view_if_needed()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390
    link.tap()
    box = visitor.panel.bounding_box()
    assert box == {"x": 0, "y": 0, "width": 390, "height": 844}
    expect(visitor.page.locator("main")).to_have_attribute("inert", "")
    visitor.page.get_by_role("button", name="Close").tap()
    expect(visitor.panel).to_be_hidden()
    expect(visitor.page.locator("main")).not_to_have_attribute("inert", "")


def test_the_theme_is_the_systems_until_it_is_chosen(service: Program, visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    visitor = visit(service, color_scheme="dark").go()
    toggle = visitor.page.get_by_role("button", name="Dark theme")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    dark = visitor.page.evaluate(ground)
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    light = visitor.page.evaluate(ground)
    assert (dark, light) == ("rgb(11, 17, 24)", "rgb(242, 244, 247)")
    visitor.page.reload()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    assert visitor.page.evaluate(ground) == light


def test_nothing_moves_for_those_who_want_stillness(company: Company, service: Program, visit: Visit) -> None:
    moving = "document.getAnimations().length"
    visitor = visit(service).go()
    visitor.sees_light("live")
    expect(visitor.row("import-0")).to_have_count(1)
    assert visitor.page.evaluate(moving) > 0
    passing = "document.getAnimations().filter(each => each.effect.getTiming().iterations !== Infinity)"
    ended = f"Promise.allSettled({passing}.map(each => each.finished)).then(() => null)"
    visitor.page.evaluate(ended)  # rows that have just come glow for a moment
    visitor.page.emulate_media(reduced_motion="reduce")
    company.writes("import-0", status="running", products_processed=1)
    expect(visitor.row("import-0").locator(".badge")).to_have_text("running")
    assert visitor.page.evaluate(moving) == 0
