"""The rules of deploy/prometheus are valid, tested, and lead to a paragraph of the runbook."""

import re
import subprocess

import pytest

from tests.deploy.programs import DEPLOY
from tests.deploy.prometheus import RULES, required_program

ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())
ANCHORS = re.findall(r"runbook_url: RUNBOOK\.md#(\w+)", RULES.read_text())
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]],
)
def test_promtool_accepts(arguments: list[str]) -> None:
    checked = subprocess.run(
        [required_program("promtool"), *arguments],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    tests = (DEPLOY / "prometheus" / "rules_test.yml").read_text()
    fired = set(re.findall(r"alertname: (\w+)\n\s+eval_time: \S+\n\s+exp_alerts:\n", tests))
    assert fired == set(ALERTS)


def test_each_alert_links_to_its_own_paragraph() -> None:
    assert [alert.lower() for alert in ALERTS] == ANCHORS


@pytest.mark.parametrize("alert", ALERTS)
def test_the_runbook_says_what_it_means_and_what_to_do(alert: str) -> None:
    section = re.search(rf"^## {alert}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert section is not None
    for part in ("**Means:**", "**Users see:**", "**Look at:**", "**Do:**"):
        assert part in section[1], part


def test_the_runbook_knows_no_alert_that_is_gone() -> None:
    assert set(re.findall(r"^## (ProcessStatus\w+)$", RUNBOOK, re.MULTILINE)) == set(ALERTS)
