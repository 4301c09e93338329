"""The rules of deploy/prometheus are valid, tested, and lead to a paragraph of the runbook."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.deploy.programs import DEPLOY
from tests.deploy.prometheus import RULES, required_program

ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())
ANCHORS = re.findall(r"runbook_url: RUNBOOK\.md#(\w+)", RULES.read_text())
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["check", "rules", "../cloud-run/alerts.yml"],
        ["test", "rules", "rules_test.yml"],
        ["test", "rules", "processes_test.yml"],
    ],
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
    tests = "".join(path.read_text() for path in (DEPLOY / "prometheus").glob("*_test.yml"))
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


def rules_of(path: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / path).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_cloud_monitoring_is_given_the_same_alerts_with_recorded_series_written_out() -> None:
    rules = rules_of("prometheus/rules.yml")
    recorded = {rule["record"]: " ".join(rule["expr"].split()) for rule in rules if "record" in rule}
    alerts = [rule for rule in rules if "alert" in rule]
    for alert in alerts:
        while names := [name for name in recorded if name in alert["expr"]]:
            for name in names:
                alert["expr"] = alert["expr"].replace(name, f"({recorded[name]})")
    described = rules_of("cloud-run/alerts.yml")
    for alert in (*alerts, *described):
        alert["expr"] = " ".join(alert["expr"].split())
    runbook = [alert.pop("annotations")["runbook_url"] for alert in alerts]
    told = [alert.pop("annotations")["description"] for alert in described]
    assert described == alerts
    assert [description.partition(". What to do: deploy/")[2] for description in told] == runbook


def test_an_alert_that_looks_at_one_replica_asks_that_it_is_still_there() -> None:
    """Where nothing tells of staleness, what a replica said last would page for minutes after it has gone."""
    lasting = {"ProcessStatusTargetDown", "ProcessStatusListenerNotLive", "ProcessStatusModelNotConfirmed"}
    asking = {rule["alert"] for rule in rules_of("prometheus/rules.yml") if "count_over_time(" in rule["expr"]}
    assert asking == lasting
