"""What the page looks like with a company at work. SAVE_SCREENSHOTS names a folder that keeps the pictures."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_access import PHONE
from tests.deploy.programs import LISTENING, REPOSITORY, Program, running

MOST_BYTES = 200_000

pytestmark = pytest.mark.timeout(180)
PATIENCE_MS = 60_000
"""For what the demo writes: on a machine at its limit it changes a process every five seconds."""


@pytest.fixture(scope="module")
def demo() -> Iterator[Program]:
    """The demo, as anybody starts it."""
    command = [sys.executable, "-m", "service", "demo", "--port", "0"]
    with running(command, LISTENING + "(?=/ui)", environment={"DRAIN_S": "0"}) as program:
        yield program


@pytest.mark.parametrize(
    ("name", "options", "opens_a_panel"),
    [
        ("ui-light", {"color_scheme": "light"}, False),
        ("ui-dark", {"color_scheme": "dark"}, True),
        ("ui-phone", {"color_scheme": "dark", **PHONE}, False),
    ],
)
def test_the_demo_at_work(
    demo: Program, visit: Visit, tmp_path: Path, name: str, options: dict[str, object], opens_a_panel: bool
) -> None:
    visitor = visit(demo, **options).go("#status=running")
    visitor.sees_light("live")
    expect(visitor.page.locator("#rows .speed:not(:empty)").nth(9)).to_be_visible(timeout=PATIENCE_MS)
    if opens_a_panel:
        visitor.rows.nth(4).get_by_role("link").click()
        expect(visitor.panel.locator(".products td").first).to_be_visible()
        expect(visitor.panel.locator(".time-line li").nth(6)).to_be_attached(timeout=PATIENCE_MS)
    visitor.tile("all").click()
    expect(visitor.rows).to_have_count(50)
    picture = visitor.page.screenshot()
    assert len(picture) < MOST_BYTES
    folder = os.environ.get("SAVE_SCREENSHOTS")
    (REPOSITORY / folder if folder else tmp_path).joinpath(f"{name}.png").write_bytes(picture)
