"""Users of an app with Firebase Authentication: real accounts of the Auth emulator, and a page of another origin."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.auth_emulator import AuthEmulator, auth_emulator
from tests.browser.conftest import NOON, Company, Serve
from tests.deploy.pages import blocks
from tests.deploy.programs import Program, fetch, http_status

pytestmark = [pytest.mark.timeout(240)]

SCHEMA = """
collection = "webServiceLogs"
[order]
field = "start_time"
[status]
terminal = ["completed", "failed", "cancelled"]
[answer]
status = "status"
start_time = { from = "start_time", as = "time" }
processed = { from = "products_processed", as = "integer" }
[filters]
owner = "uid"
[access]
owner = "owner"
"""

SIGN_UP = """async ({ url, email }) => {
    const account = { email, password: "correct horse", returnSecureToken: true };
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(account) });
    globalThis.user = await answer.json();
    return user.localId;
}"""
"""What Firebase's SDK sends for createUserWithEmailAndPassword."""

FOLLOW = """
    globalThis.seen = [];
    globalThis.end = null;
    const follow = async () => { for await (const state of updates) seen.push(state.status); };
    follow().catch((error) => (end = error.message));
"""


def program_of_the_documentation(url: str) -> str:
    """The functions of docs/clients.md, with the page's own token, following a process as a stream."""
    (block,) = [block for block in blocks("docs/clients.md") if "const token" in block.text]
    functions = block.text.partition("let updates")[0]
    without_token = 'const token = async (renew) => "";'
    assert without_token in functions
    signed_in = functions.replace(without_token, "const token = async (renew) => user.idToken;")
    return f"() => {{ {signed_in}\n const updates = changes('{url}/events'); {FOLLOW} }}"


@pytest.fixture(scope="module")
def project() -> str:
    """A name that the Auth emulator keeps on this machine."""
    return f"demo-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def accounts(project: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthEmulator]:
    with auth_emulator(project, tmp_path_factory.mktemp("auth")) as emulator:
        yield emulator


@pytest.fixture
def service(accounts: AuthEmulator, company: Company, serve: Serve, elsewhere: str, tmp_path: Path) -> Program:
    """It takes the emulator's tokens; processes belong to those whose user ID they have."""
    (tmp_path / "schema.toml").write_text(SCHEMA)
    return serve(
        company.firestore,
        SCHEMA_FILE=str(tmp_path / "schema.toml"),
        AUTH="firebase",
        FIREBASE_AUTH_EMULATOR_HOST=accounts.host,
        CORS_ORIGINS=elsewhere,
    )


STATUS_OF = """url => fetch(url, { headers: { Authorization: `Bearer ${user.idToken}` } })
    .then((answer) => answer.status)"""


def test_a_page_of_another_origin_follows_its_users_process_live(
    accounts: AuthEmulator, company: Company, service: Program, page: Page
) -> None:
    own, absent = f"{service.found}/status/import-1", f"{service.found}/status/import-2"
    ann = page.evaluate(SIGN_UP, {"url": accounts.sign_up_url, "email": "ann@shop.example"})
    company.writes("import-1", uid=ann, status="queued", start=NOON)
    page.evaluate(program_of_the_documentation(own))
    page.wait_for_function("seen.includes('queued')")
    company.writes("import-1", uid=ann, status="running", start=NOON)
    page.wait_for_function("seen.includes('running')")
    assert page.evaluate(STATUS_OF, own) == 200

    page.evaluate(SIGN_UP, {"url": accounts.sign_up_url, "email": "eve@shop.example"})
    assert [page.evaluate(STATUS_OF, url) for url in (own, f"{own}/events", absent)] == [404, 404, 404]
    eves_token = page.evaluate("user.idToken")
    listed = fetch(f"{service.found}/status", Authorization=f"Bearer {eves_token}")[1]
    assert json.loads(listed)["processes"] == []
    assert http_status(own) == 401

    company.writes("import-1", uid=ann, status="completed", start=NOON)
    page.wait_for_function("seen.includes('completed')")
    assert page.evaluate("[seen, end]") == [["queued", "running", "completed"], None]
