"""Where the service wants an API key, the page asks for it and keeps it in the tab alone."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Company, Serve, Visit
from tests.browser.visitor import FAILED_REQUEST, Visitor, new_visitor

KEY = "schlüssel-№-1"


@pytest.fixture
def visitor(company: Company, serve: Serve, visit: Visit) -> Visitor:
    company.writes("import-1")
    return visit(serve(company.firestore, API_KEYS=f"other,{KEY}"), expects=(FAILED_REQUEST,)).go()


def give(visitor: Visitor, key: str) -> None:
    visitor.page.get_by_role("textbox", name="API key").fill(key)
    visitor.page.get_by_role("button", name="Open").click()


def test_nothing_is_shown_before_the_right_key_is_given(visitor: Visitor) -> None:
    dialog = visitor.page.get_by_role("dialog", name="An API key is needed")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    visitor.sees_rows()

    give(visitor, "wrong")
    expect(dialog).to_contain_text("does not accept this key")
    visitor.sees_rows()

    give(visitor, KEY)
    expect(dialog).to_be_hidden()
    visitor.sees_rows("import-1")
    visitor.sees_light("live")


def test_the_key_stays_in_the_tab(visitor: Visitor) -> None:
    give(visitor, KEY)
    visitor.sees_rows("import-1")
    visitor.page.reload()
    visitor.sees_rows("import-1")

    assert "schl" not in visitor.page.url
    assert not any("schl" in url for url in visitor.requests)
    assert visitor.page.evaluate("Object.values(localStorage)") == []
    assert visitor.page.context.cookies() == []
    second = new_visitor(visitor.page.context, visitor.url).go()
    expect(second.page.get_by_role("dialog")).to_be_visible()
    second.sees_rows()


def test_a_key_can_be_forgotten(visitor: Visitor) -> None:
    give(visitor, KEY)
    visitor.sees_rows("import-1")
    visitor.page.get_by_role("button", name="Forget the key").click()
    expect(visitor.page.get_by_role("dialog")).to_be_visible()
    visitor.sees_rows()


def test_without_keys_nobody_is_asked(company: Company, serve: Serve, visit: Visit) -> None:
    visitor = visit(serve(company.firestore)).go()
    visitor.sees_light("live")
    expect(visitor.page.get_by_role("dialog")).to_be_hidden()
    expect(visitor.page.get_by_role("button", name="Forget the key")).to_be_hidden()
