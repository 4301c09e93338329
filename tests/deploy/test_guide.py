"""deploy/README.md: what its lines make is right, and what they say agrees with the files they speak of.

That every line can be typed is test_guide_typed.py's.
"""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.programs import DEPLOY, REPOSITORY, running
from tests.deploy.prometheus import required_program

GUIDE = (DEPLOY / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
ENVIRONMENT = {
    "PROJECT_ID": "acme-imports",
    "REGION": "us-east1",
    "IMAGE": "us-east1-docker.pkg.dev/acme-imports/process-status/process-status-service:abc1234",
}
LINE = r"(?:.|\n(?=  ))*"
OFFLINE = re.compile(rf"^(?:sed|kubectl kustomize|jq|prometheus){LINE}", re.MULTILINE)


def shell(script: str) -> None:
    """Run it from the root of the clone, as the guide says."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=REPOSITORY,
        env={**ENVIRONMENT, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["service", "service-with-metrics"])
def test_the_cloud_run_manifests_take_the_readers_names(name: str, tmp_path: Path) -> None:
    (line,) = [line for block in BLOCKS for line in OFFLINE.findall(block) if f"{name}.yaml >" in line]
    shell(line.replace("/tmp/", f"{tmp_path}/"))  # noqa: S108 - the guide's own
    written = (tmp_path / "service.yaml").read_text()
    assert "my-project" not in written
    assert f"image: {ENVIRONMENT['IMAGE']}" in written
    assert "serviceAccountName: process-status@acme-imports.iam.gserviceaccount.com" in written


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which has kustomize, is not installed")
def test_the_kubernetes_manifests_take_the_readers_names(tmp_path: Path) -> None:
    (line,) = [line for block in BLOCKS for line in OFFLINE.findall(block) if "kubectl kustomize" in line]
    shell(line.replace("/tmp/", f"{tmp_path}/"))  # noqa: S108 - the guide's own
    written = (tmp_path / "process-status.yaml").read_text()
    assert "my-project" not in written
    assert f"image: {ENVIRONMENT['IMAGE']}" in written
    assert "PROJECT_ID: acme-imports" in written


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_dashboard_can_be_sent_to_grafana(tmp_path: Path) -> None:
    (line,) = [line for block in BLOCKS for line in OFFLINE.findall(block) if line.startswith("jq")]
    before, sends = line.split("|\n")
    assert sends.strip().startswith("curl ")
    shell(f"{before} > {tmp_path}/sent.json")
    sent = json.loads((tmp_path / "sent.json").read_text())
    assert sent == {"dashboard": json.loads((DEPLOY / "grafana" / "dashboard.json").read_text()), "overwrite": True}


def test_a_prometheus_of_ones_own_starts(tmp_path: Path) -> None:
    required_program("prometheus")
    (line,) = [line for block in BLOCKS for line in OFFLINE.findall(block) if line.startswith("prometheus")]
    command = shlex.split(line.replace("/tmp/", f"{tmp_path}/"))  # noqa: S108 - the guide's own
    with running([*command, "--web.listen-address=127.0.0.1:0"], "Server is ready") as prometheus:
        assert not [said for said in prometheus.said if "level=ERROR" in said or "level=error" in said]


def test_the_index_that_gcloud_creates_is_the_one_of_the_file() -> None:
    (command,) = re.findall(r"gcloud firestore indexes composite create (.*?\n.*?)\n", GUIDE)
    fields = re.findall(r"field-path=(\w+),order=(\w+)", command)
    (index,) = json.loads((REPOSITORY / "firestore.indexes.json").read_text())["indexes"]
    assert [(field["fieldPath"], field["order"].lower()) for field in index["fields"]] == fields
    assert f"--collection-group={index['collectionGroup']} " in command


def anchors(page: Path) -> set[str]:
    """What a link can lead to, as GitHub makes it of the titles."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


PAGES = sorted(
    str(page.relative_to(REPOSITORY))
    for folder in (".", "docs", "deploy", "examples/schemas", "benchmarks/results")
    for page in (REPOSITORY / folder).glob("*.md")
)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_files_named_are_there(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    links = re.findall(r"\]\((?!https?://)([^)#]*)(?:#([\w-]+))?\)", text)
    assert links or page not in ("README.md", "docs/api.md"), "the links are found"
    targets = [(REPOSITORY / page).parent / link if link else REPOSITORY / page for link, _ in links]
    assert [target for target in targets if not target.exists()] == []
    led_to = zip(targets, (anchor for _, anchor in links), strict=True)
    assert [anchor for target, anchor in led_to if anchor and anchor not in anchors(target)] == []
    named = re.findall(r"\b((?:deploy|tests|listeners|service|benchmarks)/[\w./-]+\.(?:py|ya?ml|json))", text)
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
