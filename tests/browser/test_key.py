"""Where the service wants an API key or an ID token, the page asks for it and keeps it in the tab alone."""

import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Company, Serve, Visit
from tests.browser.visitor import FAILED_REQUEST, Visitor, hold_once, new_visitor, release
from tests.service.access.issuer import claims_of, unsigned

KEY = "schlüssel-№-1"


@pytest.fixture
def visitor(company: Company, serve: Serve, visit: Visit) -> Visitor:
    company.writes("import-1")
    return visit(serve(company.firestore, API_KEYS=f"other,{KEY}"), expects=(FAILED_REQUEST,)).go()


def give(visitor: Visitor, key: str) -> None:
    visitor.page.get_by_role("textbox", name="API key").fill(key)
    visitor.page.get_by_role("button", name="Open").click()


def test_nothing_is_shown_before_the_right_key_is_given(visitor: Visitor) -> None:
    dialog = visitor.page.get_by_role("dialog", name="Sign in")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    visitor.sees_rows()

    give(visitor, "wrong")
    expect(dialog).to_contain_text("does not accept this key")
    visitor.sees_rows()

    give(visitor, KEY)
    expect(dialog).to_be_hidden()
    visitor.sees_rows("import-1")
    visitor.sees_light("live")


def test_a_refusal_of_the_key_before_does_not_stop_the_page(company: Company, serve: Serve, visit: Visit) -> None:
    company.writes("import-1")
    visitor = visit(serve(company.firestore, API_KEYS=KEY), expects=(FAILED_REQUEST,))
    held = hold_once(visitor, "**/ui/schema.json")
    with visitor.page.expect_request("**/ui/schema.json"):
        visitor.go()
    give(visitor, KEY)
    visitor.page.wait_for_function("sessionStorage.length === 1")
    release(visitor, held)
    visitor.sees_rows("import-1")


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


UNSIGNED = {"AUTH": "firebase", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9"}
"""Tokens that tests can write themselves."""


def token_for(project: str, *, lasts_s: float = 3600) -> str:
    issuer = f"https://securetoken.google.com/{project}"
    return unsigned(claims_of(issuer=issuer, aud=project, exp=time.time() + lasts_s))


def test_a_token_opens_the_page_as_a_key_does(company: Company, serve: Serve, visit: Visit, project: str) -> None:
    company.writes("import-1")
    visitor = visit(serve(company.firestore, **UNSIGNED), expects=(FAILED_REQUEST,)).go()
    give(visitor, token_for(project, lasts_s=-3600))
    expect(visitor.page.get_by_role("dialog")).to_contain_text("The token has expired. Try another one.")
    visitor.sees_rows()
    give(visitor, token_for(project))
    visitor.sees_rows("import-1")
    visitor.sees_light("live")


def test_behind_a_proxy_that_signs_in_nobody_is_asked(
    company: Company, serve: Serve, visit: Visit, project: str
) -> None:
    company.writes("import-1")
    header = "X-Goog-IAP-JWT-Assertion"
    service = serve(company.firestore, AUTH_HEADER=header, **UNSIGNED)
    visitor = visit(service, extra_http_headers={header: token_for(project)}).go()
    visitor.sees_rows("import-1")
    visitor.sees_light("live")
    expect(visitor.page.get_by_role("dialog")).to_be_hidden()
    expect(visitor.page.get_by_role("button", name="Forget the key")).to_be_hidden()
