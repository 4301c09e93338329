"""The connection status distinguishes live, reconnecting and stale, and never stays on the wrong one."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.browser.conftest import Company, Serve, Visit
from tests.browser.visitor import FAILED_REQUEST, Visitor
from tests.firestore_servers import BackgroundFirestore


def test_the_light_is_live_and_says_when_firestore_confirmed_it(visitor: Visitor) -> None:
    visitor.go().sees_light("live")
    expect(visitor.light).to_contain_text("confirmed by Firestore")
    expect(visitor.light.get_by_role("status")).to_have_text("Live")


def test_it_turns_when_the_service_stops_and_back_when_it_returns(company: Company, serve: Serve, visit: Visit) -> None:
    company.writes("import-1")
    company.writes("import-2")
    first = serve(company.firestore)
    visitor = visit(first, expects=(FAILED_REQUEST,)).go("#process=import-1")
    visitor.sees_light("live")
    visitor.sees_rows("import-2", "import-1")

    first.kill()
    visitor.sees_light("reconnecting")
    expect(visitor.light).to_contain_text("the service does not answer")
    company.writes("import-1", status="completed")
    company.deletes("import-2")

    serve(company.firestore, PORT=str(urlsplit(first.found).port))
    visitor.sees_light("live", patience_s=45)
    visitor.sees_rows("import-1")
    expect(visitor.row("import-1").locator(".badge")).to_have_text("completed")
    expect(visitor.panel.locator(".badge")).to_have_text("completed")


def test_it_is_stale_while_the_service_hears_nothing_from_firestore(project: str, serve: Serve, visit: Visit) -> None:
    with BackgroundFirestore() as firestore:
        company = Company(firestore, project)
        company.writes("import-1", status="pending")
        service = serve(firestore, LISTENER_LEASE_S="1.5", PROBE_INTERVAL_S="0.4")
        visitor = visit(service, expects=(FAILED_REQUEST,)).go()
        visitor.sees_light("live")

        firestore.faults.refuse_connections()
        visitor.sees_light("stale")
        expect(visitor.light).to_contain_text("no word from Firestore for")
        visitor.sees_rows("import-1")
        expect(visitor.page.locator("#as-of")).to_have_text(re.compile(r"As of \d\d:\d\d:\d\d Nothing newer is known"))
        assert "grayscale" in visitor.page.locator("#rows").evaluate("rows => getComputedStyle(rows).filter")

        firestore.faults.accept_connections()
        visitor.sees_light("live", patience_s=45)
        expect(visitor.page.locator("#as-of")).to_be_hidden()
        company.writes("import-1", status="running")
        expect(visitor.row("import-1").locator(".badge")).to_have_text("running")


def test_a_service_that_was_never_in_sync_lists_what_it_reads_and_is_stale(
    project: str, serve: Serve, visit: Visit
) -> None:
    with BackgroundFirestore() as firestore, firestore.faults.stall_streams():
        Company(firestore, project).writes("import-1")
        visitor = visit(serve(firestore), expects=(FAILED_REQUEST,)).go()
        visitor.sees_rows("import-1")
        visitor.sees_light("stale")
        expect(visitor.light).to_contain_text("the model is not synced yet")


def test_a_stream_that_falls_silent_is_opened_anew_where_it_ended(company: Company, visitor: Visitor) -> None:
    company.writes("import-1")
    visitor.page.clock.install()
    visitor.go("#process=import-1")
    visitor.page.clock.run_for(1000)
    expect(visitor.panel.locator(".badge")).to_have_text("running")
    with visitor.page.expect_request("**/events?*") as again:
        visitor.page.clock.run_for(26_000)
    assert again.value.headers["last-event-id"].strip('"v').isdigit()
