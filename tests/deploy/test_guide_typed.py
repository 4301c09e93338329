"""deploy/README.md, typed line by line into one shell; a recorder stands in for what needs a cloud.

What was recorded is then judged by what can be asked offline: gcloud's own parser, its own conversion of alerts, the
schemas of what is applied, and whether the files that are named are there.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.pages import blocks, commands_in_text
from tests.deploy.programs import DEPLOY, REPOSITORY
from tests.deploy.test_manifests import managed_prometheus_takes, prometheus_operator_takes, rules_wrapped_as

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md", "deploy/RUNBOOK.md")
HOW_TO_GET_IT = "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
RECORDED = ("gcloud", "kubectl", "curl", "prometheus", "sleep")
RECORDER = f"""#!{sys.executable}
import json, os, subprocess, sys
program, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
given = sys.stdin.read() if arguments[-1:] == ["-"] or "@-" in arguments else None
with open(os.environ["RECORD"], "a") as record:
    print(json.dumps([program, arguments, given]), file=record)
said = {{
    "get-value": "somebody@example.com",
    "value(status.url)": "https://process-status-abc-ew.a.run.app",
    "value(projectNumber)": "123456789012",
    "print-identity-token": "e30.e30.e30",
}}
print(*(said[word] for word in " ".join(arguments).replace("=", " ").split() if word in said))
"""
KUBECTL = """#!/bin/sh
case "$1" in
kustomize) exec {kubectl} "$@";;
port-forward) exec {sleep} 60;;
create) {kubectl} "$@" --dry-run=client --output=json > {directory}/created.json || exit 1;;
esac
exec {directory}/recorded/kubectl "$@"
"""
"""What kubectl does without a cluster it does itself."""


@dataclass(frozen=True)
class Typed:
    """A program that the guide called: its arguments, and what it was given on standard input."""

    program: str
    arguments: list[str]
    given: str | None

    @property
    def line(self) -> str:
        return " ".join([self.program, *self.arguments])


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> list[Typed]:
    """All that the guide's blocks called, in their order, with the variables that they set on the way."""
    for needed in ("jq", "kubectl", "openssl"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    directory = tmp_path_factory.mktemp("guide")
    (directory / "recorded").mkdir()
    for program in RECORDED:
        stand_in = directory / "recorded" / program
        stand_in.write_text(RECORDER)
        stand_in.chmod(0o755)
    kubectl = directory / "kubectl"
    kubectl.write_text(
        KUBECTL.format(kubectl=shutil.which("kubectl"), sleep=shutil.which("sleep"), directory=directory)
    )
    kubectl.chmod(0o755)
    script = "\n".join(block.text for block in blocks("deploy/README.md") if block.language == "sh")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("/tmp/", f"{directory}/")],  # noqa: S108 - the guide's own
        cwd=REPOSITORY,
        env={
            "PATH": f"{directory}:{directory / 'recorded'}:{os.environ['PATH']}",
            "RECORD": str(directory / "record"),
            "GRAFANA_TOKEN": "t",
            "GRAFANA_URL": "http://grafana.example",
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    secret = json.loads((directory / "created.json").read_text())
    assert [secret["kind"], *secret["data"]] == ["Secret", "API_KEYS"]
    return [Typed(*json.loads(line)) for line in (directory / "record").read_text().splitlines()]


@cache
def sdk() -> tuple[str, Path]:
    """The Python that gcloud runs on, and where it is installed. Skips the test where it is not."""
    if shutil.which("gcloud") is None:
        pytest.skip(HOW_TO_GET_IT)
    told = subprocess.run(
        ["gcloud", "info", "--format=value(basic.python_location,installation.sdk_root)"],
        capture_output=True,
        text=True,
        check=True,
    )
    python, root = told.stdout.split()
    return python, Path(root)


def refused_by_gcloud(commands: list[str], directory: Path) -> dict[str, str]:
    """The commands that gcloud's own parser does not take, and why: unknown commands, flags and choices.

    It stops at a file that is missing, so all that are named must be there, as seen from the root of the clone.
    """
    sdk()
    commands = list(dict.fromkeys(commands))
    (directory / "commands.json").write_text(json.dumps([{"command_string": command} for command in commands]))
    told = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={directory / 'commands.json'}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    judged = json.loads(told.stdout)
    assert len(judged) == len(commands)
    return {each["command_string"]: each["error_message"] for each in judged if not each["success"]}


def test_the_guide_can_be_typed_from_its_first_line_to_its_last(typed: list[Typed]) -> None:
    assert typed[0].line == "gcloud config set project my-project"
    assert {command.program for command in typed} == set(RECORDED)
    assert not [command.line for command in typed if "$" in command.line.replace("$(PORT)", "")]


def test_gcloud_takes_every_command_that_it_is_given(typed: list[Typed], tmp_path: Path) -> None:
    in_comments = [
        command
        for path in sorted(DEPLOY.rglob("*.y*ml"))
        for command in re.findall(r"^# +(gcloud .*)$", path.read_text(), re.MULTILINE)
    ]
    consoles = [line for block in blocks(*PAGES) for line in block.commands if line.startswith("gcloud ")]
    in_text = [command for command in commands_in_text(*PAGES) if command.startswith("gcloud ")]
    of_the_guide = [
        shlex.join([command.program, *command.arguments]) for command in typed if command.program == "gcloud"
    ]
    assert len(of_the_guide) > 25
    assert in_comments
    assert consoles
    assert refused_by_gcloud([*of_the_guide, *in_comments, *consoles, *in_text], tmp_path) == {}


@pytest.mark.parametrize(
    "command",
    [
        "gcloud run services replace deploy/cloud-run/service.yaml --regoin=europe-west1",
        "gcloud run service replace deploy/cloud-run/service.yaml",
        "gcloud artifacts repositories create process-status --location=europe-west1",
    ],
)
def test_gcloud_refuses_what_is_wrong(command: str, tmp_path: Path) -> None:
    assert list(refused_by_gcloud([command], tmp_path)) == [command]


def test_every_file_that_is_given_is_there(typed: list[Typed]) -> None:
    words = [re.sub(r"^-[\w-]+=", "", word) for command in typed for word in command.arguments]
    files = [word for word in words if re.search(r"^[\w./-]+\.(ya?ml|json)$", word)]
    assert len(files) >= 8
    assert [file for file in files if not (REPOSITORY / file).exists()] == []


def test_what_kubectl_is_given_is_taken_where_it_goes(typed: list[Typed]) -> None:
    applied = [yaml.safe_load(command.given) for command in typed if command.program == "kubectl" and command.given]
    rules, prometheus_rule = applied
    assert rules == rules_wrapped_as("monitoring.googleapis.com/v1", "Rules")
    managed_prometheus_takes(rules)
    assert prometheus_rule == rules_wrapped_as("monitoring.coreos.com/v1", "PrometheusRule")
    assert prometheus_operator_takes(prometheus_rule)


def test_the_grant_is_to_the_account_that_the_service_runs_as(typed: list[Typed]) -> None:
    account = "process-status@my-project.iam.gserviceaccount.com"
    roles = {
        role: member
        for command in typed
        for role, member in [(re.findall(r"--role=(\S+)", command.line), re.findall(r"--member=(\S+)", command.line))]
        for role, member in zip(role, member, strict=True)
    }
    own = {role for role, member in roles.items() if member == f"serviceAccount:{account}"}
    assert own == {
        "roles/datastore.viewer",
        "roles/secretmanager.secretAccessor",
        "roles/monitoring.metricWriter",
        "roles/logging.logWriter",
    }
    assert (
        roles["roles/cloudbuild.builds.builder"] == "serviceAccount:123456789012-compute@developer.gserviceaccount.com"
    )


def test_a_build_is_sent_all_that_the_image_copies_and_no_environment() -> None:
    sdk()
    told = subprocess.run(
        ["gcloud", "meta", "list-files-for-upload", "."], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    sent = set(told.stdout.splitlines())
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE) for name in line.split()[:-1]
    ]
    assert copied
    assert [name for name in copied if name not in sent and not any(path.startswith(f"{name}/") for path in sent)] == []
    assert {"Dockerfile", ".dockerignore"} <= sent
    assert [path for path in sent if path.startswith((".venv", ".git/"))] == []


CONVERT = """
import json, sys
root, alerts, receivers = sys.argv[1:]
sys.path[:0] = [f"{root}/lib", f"{root}/lib/third_party"]
from googlecloudsdk.api_lib.util import apis
from googlecloudsdk.command_lib.monitoring import util
messages = apis.GetMessagesModule("monitoring", "v3")
channels = util.NotificationChannelMessageFromString(open(receivers).read(), messages)
policies = util.PrometheusMessageFromString(open(alerts).read(), messages, ["projects/p/notificationChannels/1"])
print(json.dumps({
    "channels": [[channel.type, channel.labels.additionalProperties[0].value] for channel in channels],
    "policies": {
        policy.displayName: [
            policy.conditions[0].conditionPrometheusQueryLanguage.duration,
            policy.conditions[0].conditionPrometheusQueryLanguage.evaluationInterval,
            policy.documentation.content,
        ]
        for policy in policies
    },
}))
"""


def test_gcloud_makes_policies_of_the_alerts(typed: list[Typed]) -> None:
    python, root = sdk()
    (migrate,) = [command for command in typed if "migrate" in command.arguments]
    files = [argument.partition("=")[2] for argument in migrate.arguments if "=" in argument]
    done = subprocess.run(
        [python, "-c", CONVERT, root, *files], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    assert made["channels"] == [["email", "somebody@example.com"]]
    assert len(made["policies"]) == 13
    assert made["policies"]["process_status/ProcessStatusTargetDown"] == [
        "120s",
        "30s",
        "${metric_or_resource.label.instance} does not answer Prometheus."
        " What to do: deploy/RUNBOOK.md#processstatustargetdown",
    ]
    assert [name for name, told in made["policies"].items() if "{{" in str(told)] == []
