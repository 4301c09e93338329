"""The page follows the schema in force: its columns, bars, errors, colours and filters."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Serve, Visit
from tests.browser.visitor import Visitor
from tests.examples import documents, schema_file
from tests.firestore_servers import BackgroundFirestore

UNKNOWN = "\N{EN DASH}"
JOBS, RENDERS = "jobs", "renders"


@pytest.fixture
def collections(local_firestore: BackgroundFirestore, project: str) -> Iterator[None]:
    """The examples' own documents."""
    paths = {
        f"{collection}/{process_id}": fields
        for collection, example in ((JOBS, "imports"), (RENDERS, "renders"))
        for process_id, fields in documents(example).items()
    }
    local_firestore.commit(project, paths)
    yield
    local_firestore.commit(project, dict.fromkeys(paths))


@pytest.fixture
def jobs(collections: None, local_firestore: BackgroundFirestore, serve: Serve, visit: Visit) -> Visitor:
    return visit(serve(local_firestore, SCHEMA_FILE=str(schema_file("imports"))))


@pytest.fixture
def renders(collections: None, local_firestore: BackgroundFirestore, serve: Serve, visit: Visit) -> Visitor:
    return visit(serve(local_firestore, SCHEMA_FILE=str(schema_file("renders"))))


def kind(visitor: Visitor, process_id: str) -> str | None:
    """The colour of a row's status."""
    return visitor.row(process_id).locator(".badge").get_attribute("data-kind")


def fact(visitor: Visitor, name: str) -> str | None:
    return visitor.panel.locator(f"dt:text-is('{name}') + dd").text_content()


def test_counts_of_a_total_errors_and_an_owner_are_shown(
    jobs: Visitor, local_firestore: BackgroundFirestore, project: str
) -> None:
    jobs.go().sees_light("live")
    expect(jobs.page.get_by_role("columnheader")).to_have_text(
        ["Status", "Process", "Progress", "Owner", "Kind", "Started", "Duration", "Last change"]
    )
    bar = jobs.row("job-01").get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "5")
    expect(bar).to_have_accessible_name("10 of 200 processed")
    expect(jobs.row("job-01").locator(".own")).to_have_text(["user-1", "xml"])
    expect(jobs.row("job-03").locator(".error")).to_have_text("Row 17: no price")
    kinds = {each: kind(jobs, each) for each in ("job-00", "job-01", "job-02", "job-03", "job-06")}
    assert kinds == {
        "job-00": "waiting",
        "job-01": "running",
        "job-02": "completed",
        "job-03": "failed",
        "job-06": "waiting",
    }

    jobs.page.get_by_label("Owner").fill("user-1")
    jobs.page.get_by_label("Owner").press("Enter")
    owned = [each for each, fields in documents("imports").items() if fields["ownerId"] == "user-1"]
    jobs.sees_rows(*sorted(owned, reverse=True))
    assert jobs.page.url.endswith("#filter.owner=user-1")
    jobs.page.get_by_role("button", name="Clear filters").click()
    expect(jobs.rows).to_have_count(len(documents("imports")))

    jobs.page.get_by_role("link", name="job-01").click()
    assert [fact(jobs, name) for name in ("Processed", "Total", "Owner", "Kind")] == ["10", "200", "user-1", "xml"]
    expect(jobs.panel.get_by_role("heading", name="Products")).to_have_count(0)
    job = documents("imports")["job-01"]
    local_firestore.commit(project, {f"{JOBS}/job-01": {**job, "rowsDone": 60, "errorMessage": "Row 50: odd"}})
    expect(jobs.panel.locator(".time-line li span").first).to_have_text("+50 processed, now 60 · Error: Row 50: odd")
    expect(jobs.row("job-01").get_by_role("progressbar")).to_have_attribute("aria-valuenow", "30")


def test_shares_booleans_and_filters_that_no_answer_shows(
    renders: Visitor, local_firestore: BackgroundFirestore, project: str
) -> None:
    renders.go("#filter.shard=1").sees_light("live")
    in_shard = [each for each, fields in documents("renders").items() if fields["shard"] == 1]
    expect(renders.rows).to_have_count(len(in_shard))
    new = {**documents("renders")["render1"], "createdAt": 1_795_900_000_000}
    others = {**new, "shard": 2}
    local_firestore.commit(project, {f"{RENDERS}/new-in": new, f"{RENDERS}/new-out": others})
    expect(renders.row("new-in")).to_have_count(1)
    expect(renders.rows).to_have_count(len(in_shard) + 1)

    expect(renders.page.get_by_label("Created from (UTC)")).to_be_visible()
    renders.page.get_by_role("button", name="Clear filters").click()
    expect(renders.row("new-out")).to_have_count(1)
    expect(renders.page.get_by_role("columnheader")).to_have_text(
        ["Status", "Process", "Progress", "Created", "Frames", "Paused", "Started", "Duration", "Last change"]
    )
    expect(renders.row("render1").get_by_role("progressbar")).to_have_accessible_name("25 %")
    expect(renders.row("render1").locator(".own").nth(2)).to_have_text("no")
    expect(renders.row("render0").locator(".started")).to_have_text(UNKNOWN)
    statuses = {fields["status"]: process_id for process_id, fields in documents("renders").items()}
    kinds = {status: kind(renders, process_id) for status, process_id in statuses.items()}
    assert kinds == {
        "waiting": "waiting",
        "rendering": "running",
        "finished": "completed",
        "crashed": "failed",
        "aborted": "cancelled",
    }
    local_firestore.commit(project, {f"{RENDERS}/new-in": None, f"{RENDERS}/new-out": None})
