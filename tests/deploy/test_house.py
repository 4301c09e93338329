"""What people and machines find when they open the repository: make's help, CI, settings of editors and hooks."""

import re
import subprocess
import tomllib

import yaml

from tests.deploy.programs import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()


def test_make_help_has_a_line_for_each_target() -> None:
    said = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    named = {line.split()[1]: line.split()[2:] for line in said.splitlines()}
    assert [target for target in phony if not named.get(target)] == []


def test_ci_runs_everything_on_each_supported_python() -> None:
    job = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]["check"]
    versions = job["strategy"]["matrix"]["python"]
    assert re.findall(r"^PYTHONS \?= (.*)$", MAKEFILE, re.MULTILINE) == [" ".join(versions)]
    oldest = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"]
    assert oldest == f">={versions[0]}"
    assert job["steps"][-1] == {"run": ".ci/run"}


def test_the_demo_installs_only_what_the_service_needs() -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "demo", "VENV=/nonexistent"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert "-r requirements.lock" in recipe
    assert "requirements-dev" not in recipe
    assert recipe.count("echo") == 3


def test_each_hook_calls_a_program_of_the_environment() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    development = (REPOSITORY / "requirements-dev.lock").read_text()
    programs = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    assert programs == {"ruff", "lint-imports", "mypy"}
    assert all(re.search(rf"^{package}==", development, re.MULTILINE) for package in ("ruff", "import-linter", "mypy"))


def test_every_form_of_github_is_yaml() -> None:
    forms = sorted((REPOSITORY / ".github").rglob("*.yml"))
    assert len(forms) == 5
    assert all(isinstance(yaml.safe_load(form.read_text()), dict) for form in forms)
