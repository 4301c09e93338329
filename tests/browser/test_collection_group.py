"""The page on a collection group: processes of one ID below different parents are two, and each can be opened."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Serve, Visit
from tests.browser.visitor import Visitor
from tests.examples import documents, schema_file
from tests.firestore_servers import BackgroundFirestore

JOBS = documents("user_jobs")


@pytest.fixture
def jobs(local_firestore: BackgroundFirestore, project: str, serve: Serve, visit: Visit) -> Iterator[Visitor]:
    local_firestore.commit(project, JOBS)
    yield visit(serve(local_firestore, SCHEMA_FILE=str(schema_file("user_jobs"))))
    local_firestore.commit(project, dict.fromkeys(JOBS))


def test_processes_of_one_id_are_rows_of_their_own_and_open_by_path(
    jobs: Visitor, local_firestore: BackgroundFirestore, project: str
) -> None:
    jobs.go().sees_light("live")
    expect(jobs.rows).to_have_count(len(JOBS))
    jobs.page.get_by_role("link", name="bob/import", exact=True).click()
    expect(jobs.panel).to_contain_text("no such file")
    local_firestore.commit(project, {"users/bob/jobs/import": {**JOBS["users/bob/jobs/import"], "error": "gone"}})
    expect(jobs.panel).to_contain_text("gone")
    local_firestore.commit(project, {"users/ann/jobs/import": None})
    expect(jobs.rows).to_have_count(len(JOBS) - 1)
    expect(jobs.row("bob/import")).to_be_visible()
