"""Settings, routes, metrics and dependencies in the documentation are those of the code: all, and no others."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.app import Service
from service.runtime.clock import boottime
from service.schema.schema_file import SchemaFile
from service.settings import LISTENER_LEASE_S, Settings
from service.telemetry.metrics import Metrics
from tests.deploy.programs import DEPLOY, REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = (REPOSITORY / "README.md", *sorted(DOCS.glob("*.md")), DEPLOY / "README.md", DEPLOY / "RUNBOOK.md")
TOLD_ELSEWHERE = {"FIRESTORE_EMULATOR_HOST", "METRICS_SOCKETS", "PROMETHEUS_MULTIPROC_DIR"}
"""The first, a variable of Google's clients, is described where the emulator is; gunicorn.conf.py sets the others."""

NOTHING = "\N{EN DASH}"
OF_THE_SCHEMA: dict[str, Callable[[SchemaFile], str | None]] = {
    "FIRESTORE_COLLECTION": lambda schema: schema.collection,
    "START_TIME_TYPE": lambda schema: schema.order.type,
    "TERMINAL_STATUSES": lambda schema: ",".join(schema.status.terminal),
}
"""Settings that override the schema: their defaults are those of the default schema."""


def first_column(page: str, heading: str) -> list[str]:
    """The first cells of the table under a heading."""
    text = (DOCS / page).read_text().split(f"# {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (.+?) \|", text.split("| --- |", 1)[1], re.MULTILINE)


def settings_told() -> Iterator[tuple[str, str]]:
    """Each setting's name and its default, as written: several in a row are separated by `, `."""
    text = (DOCS / "settings.md").read_text()
    for names, defaults in re.findall(r"^\| (`[A-Z_`, ]+) \| (.+?) \|", text, re.MULTILINE):
        listed = names.replace("`", "").split(", ")
        whole = defaults.replace("`", "")
        values = whole.split(", ") if len(listed) > 1 else [whole]
        yield from zip(listed, values * (len(listed) // len(values)), strict=True)


def test_the_table_has_every_setting_once() -> None:
    names = [name for name, _ in settings_told()]
    assert sorted(names) == sorted({name.upper() for name in Settings.model_fields} - TOLD_ELSEWHERE)


@pytest.mark.parametrize(("name", "default"), list(settings_told()))
def test_a_default_that_is_written_is_read_as_the_default(
    monkeypatch: pytest.MonkeyPatch, name: str, default: str
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.delenv(name, raising=False)
    unset = getattr(Settings(), name.lower())
    if name == "LISTENER_LEASE_S":
        assert default == "{stream:g} (on_snapshot: {on_snapshot:g})".format(**LISTENER_LEASE_S)
    elif name in OF_THE_SCHEMA:
        assert default == OF_THE_SCHEMA[name](Settings().schema_in_force)
    elif name == "PROJECT_ID":
        assert (default, Settings.model_fields["project_id"].default) == (NOTHING, "")
    elif default == NOTHING:
        assert unset in (None, ())
    else:
        monkeypatch.setenv(name, default)
        assert getattr(Settings(), name.lower()) == unset


async def test_the_api_is_every_route_there_is() -> None:
    service = Service(Settings(firestore_emulator_host="127.0.0.1:1"))
    routes = {route.path for route in service.router.routes}
    told = {path for cell in first_column("api.md", "The API") for path in re.findall(r"`GET (/[^`?]*)", cell)}
    assert told == routes - {"/ui/{file}"}  # what the page is made of


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_metrics_that_are_named_exist(page: Path) -> None:
    families = {family.name for family in Metrics(boottime).registry.collect()}
    named = set(re.findall(r"\b(process_status_[a-z_]+?)(?:_total|_bucket|_count|_sum)?\b", page.read_text()))
    assert named - families == set()


def test_the_dependencies_are_those_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=~\[; ]", line)[0] for line in project["dependencies"]}
    assert {name for cell in first_column("design.md", "What it depends on") for name in cell.split(", ")} == needed
