"""For an operator who leaves the page open: what stalls, what fails, how it goes, and at what cost."""

import json
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from playwright.sync_api import expect

from tests.browser.conftest import NOON, Company, Serve, Visit
from tests.browser.visitor import Visitor
from tests.deploy.programs import Program, eventually, fetch, http_status

MOST_BYTES = 200_000


def test_a_stalled_process_is_marked_and_comes_first_on_demand(company: Company, serve: Serve, visit: Visit) -> None:
    company.writes("dead", products_processed=5)
    company.writes("done", start=NOON + timedelta(hours=1), status="completed", end_time=NOON)
    visitor = visit(serve(company.firestore, STALLED_AFTER_S="1")).go()
    visitor.sees_rows("done", "dead")
    expect(visitor.row("dead").locator(".mark")).to_have_text("stalled")
    expect(visitor.row("dead").locator(".mark")).to_be_visible()
    expect(visitor.row("done").locator(".mark")).to_be_hidden()
    assert visitor.row("dead").locator(".track").evaluate("each => getComputedStyle(each, '::after').display") == "none"
    expect(visitor.page).to_have_title("1 stalled, 1 under way · Process status")

    visitor.page.get_by_role("button", name="Stalled first").click()
    visitor.sees_rows("dead", "done")
    expect(visitor.page.locator("#found")).to_contain_text("of all, those that stall first")
    stalled = visitor.page.locator("#stalled-counter button")
    expect(stalled.locator("b")).to_have_text("1")
    stalled.click()
    visitor.sees_rows("dead")

    company.writes("dead", status="completed", end_time=NOON)
    visitor.sees_rows()
    expect(visitor.page.get_by_text("No process in webServiceLogs matches these filters.")).to_be_visible()


def sent_at_opening(visit: Visit, service: Program, processes: int) -> float:
    """The bytes of all answers until the page shows the count of all processes, its rows, and that it is live."""
    visitor = visit(service)
    network = visitor.page.context.new_cdp_session(visitor.page)
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    network.send("Network.enable")
    visitor.go()
    expect(visitor.tile("all").locator("b")).to_have_text(f"{processes:,}")
    expect(visitor.rows).to_have_count(50)
    visitor.sees_light("live")
    assert not [url for url in visitor.requests if url.endswith("/events")]
    visitor.page.close()
    return sum(sizes)


def test_opening_the_page_sends_as_little_with_5000_processes_as_with_60(
    company: Company, serve: Serve, visit: Visit
) -> None:
    service = serve(company.firestore, WINDOW_SIZE="0")
    few, many = 60, 5_000
    paths = [f"job-{number:05d}" for number in range(many)]
    fields = {"status": "running", "start_time": NOON, "csv_url": "x" * 100}
    company.commit(dict.fromkeys(paths[:few], fields))
    little = sent_at_opening(visit, service, few)
    for at in range(few, many, 500):
        company.commit(dict.fromkeys(paths[at : at + 500], fields))
    stats, ready = f"{service.found}/stats", f"{service.found}/readyz"
    eventually(lambda: json.loads(fetch(stats)[1]).get("processes") == many, "all are held")
    eventually(lambda: http_status(ready) == HTTPStatus.OK, "the model is trusted")
    assert 50_000 < sent_at_opening(visit, service, many) < min(MOST_BYTES, little * 1.05)


def test_rows_are_sorted_by_their_headings_and_it_says_which_rows(company: Company, visitor: Visitor) -> None:
    for process_id, start_h, took_h in (("a", 0, 3), ("b", 1, 1), ("c", 2, 2)):
        start = NOON + timedelta(hours=start_h)
        end = start + timedelta(hours=took_h)
        company.writes(process_id, start=start, status="completed", end_time=end, last_updated=end)
    visitor.go().sees_rows("c", "b", "a")
    expect(visitor.rows.locator(".took")).to_have_text(["2 h 0 min", "1 h 0 min", "3 h 0 min"])
    found, duration = visitor.page.locator("#found"), visitor.page.get_by_role("button", name="Duration")
    expect(found).to_have_text("3 of 3 shown · of all, the newest first")
    duration.click()
    visitor.sees_rows("a", "c", "b")
    expect(found).to_have_text("3 of 3 shown · the 3 loaded rows by duration, longest first")
    expect(visitor.page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "descending")
    duration.click()
    visitor.sees_rows("b", "c", "a")
    duration.click()
    visitor.sees_rows("c", "b", "a")
    visitor.page.get_by_role("button", name="Started").click()
    visitor.sees_rows("a", "b", "c")
    visitor.page.get_by_role("button", name="Last change").click()
    visitor.sees_rows("c", "a", "b")


def test_the_last_hours_are_told_in_numbers_and_a_chart(company: Company, visitor: Visitor) -> None:
    now = datetime.now(UTC)
    for number, (status, minutes) in enumerate((("completed", 5), ("completed", 40), ("failed", 70), ("failed", 2))):
        end = now - timedelta(minutes=minutes)
        start = end - timedelta(seconds=100)
        company.writes(f"import-{number}", start=start, status=status, end_time=end)
    company.writes("import-9", start=now - timedelta(hours=5))
    visitor.go()
    facts = visitor.page.locator("#facts dd")
    expect(facts).to_have_text(["3", "1 (33 %)", "1 min 40 s", "5 h ago"])
    chart = visitor.page.get_by_role("img", name="Per minute, the last 3 hours: 2 finished, 2 failed")
    expect(chart).to_be_visible()
    bars = [visitor.page.locator(f"#chart-{name}").get_attribute("d") or "" for name in ("well", "failed")]
    assert [each.count("M") for each in bars] == [2, 2]


def test_an_empty_collection_is_named_with_what_to_write(service: Program, visit: Visit) -> None:
    visitor = visit(service).go()
    text = "Write a document to webServiceLogs with the field start_time: a timestamp. It appears here within a second."
    expect(visitor.page.locator("#empty-what")).to_have_text(text)


def test_times_are_local_with_utc_beside_them(company: Company, service: Program, visit: Visit) -> None:
    company.writes("old", start=datetime(2025, 3, 1, 23, 30, tzinfo=UTC))
    now = datetime.now(UTC)
    company.writes("new", start=now)
    visitor = visit(service, timezone_id="Asia/Kolkata").go()
    old = visitor.row("old").locator(".started time")
    expect(old).to_have_text("2 Mar 2025, 05:00")
    expect(old).to_have_attribute("title", "1 Mar 2025, 23:30:00 UTC")
    expect(visitor.row("new").locator(".started time")).to_have_text(
        (now + timedelta(hours=5, minutes=30)).strftime("%H:%M")
    )


def test_long_ids_lose_their_middle_and_nothing_wraps(company: Company, visitor: Visitor) -> None:
    long_id = "nightly-import-of-all-suppliers-" * 6 + "0042"
    company.writes(long_id, status="a status of several words that is long", products_processed=10**15)
    visitor.go()
    link = visitor.page.get_by_role("link", name=long_id, exact=True)
    expect(link).to_have_text(long_id)
    expect(link.locator("span").nth(1)).to_have_text(long_id[-8:])
    assert link.locator("span").nth(0).evaluate("each => getComputedStyle(each).overflow") == "hidden"
    end, cell = link.locator("span").nth(1).bounding_box(), visitor.row(long_id).locator(".id").bounding_box()
    assert end is not None
    assert cell is not None
    assert end["x"] + end["width"] <= cell["x"] + cell["width"]
    for part in (".badge", ".counts", ".id a"):
        lines = (
            visitor.row(long_id)
            .locator(part)
            .evaluate("each => each.getBoundingClientRect().height / parseFloat(getComputedStyle(each).lineHeight)")
        )
        assert lines < 2, part


def test_one_change_of_status_glows_and_many_at_once_do_not(company: Company, visitor: Visitor) -> None:
    visitor.page.add_init_script(
        """window.glowed = [];
        const animate = Element.prototype.animate;
        Element.prototype.animate = function (...how) {
          window.glowed.push(this.closest("tr").dataset.id);
          return animate.apply(this, how);
        };"""
    )

    def all_become(status: str, processed: int) -> None:
        fields = {"status": status, "start_time": NOON, "products_processed": processed}
        company.commit({process_id: dict(fields) for process_id in "abcdef"})
        expect(visitor.rows.locator(".badge")).to_have_text([status] * 6)
        expect(visitor.rows.locator(".counts")).to_have_text([f"✓ {processed}"] * 6)

    visitor.go()
    all_become("running", 1)
    company.writes("a", status="pending", products_processed=1)
    expect(visitor.row("a").locator(".badge")).to_have_text("pending")
    all_become("failed", 2)
    all_become("failed", 3)
    assert visitor.page.evaluate("window.glowed") == ["a"]


def test_forced_colors_keep_bars_and_states_apart(company: Company, service: Program, visit: Visit) -> None:
    company.writes("import-1", status="failed", end_time=NOON, products_processed=5, products_failed=5)
    visitor = visit(service, forced_colors="active").go()
    visitor.sees_rows("import-1")
    colors = [
        visitor.row("import-1").locator(part).evaluate("each => getComputedStyle(each).backgroundColor")
        for part in (".processed", "td .failed", ".track")
    ]
    assert len(set(colors)) == 3
    assert visitor.row("import-1").evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
