"""The manifests are valid by their schemas, agree with one another, and with the program that they run."""

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator
from pydantic import ValidationError

from service.api.headers import OPEN_PATHS
from service.settings import Settings
from tests.deploy.programs import DEPLOY, REPOSITORY

KUBERNETES = DEPLOY / "kubernetes"
CLOUD_RUN = DEPLOY / "cloud-run"
SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = ("1.29", "1.33", "1.36")
CORE = ("deployment", "service", "serviceaccount", "poddisruptionbudget", "horizontalpodautoscaler")
LABELS = {"app.kubernetes.io/name": "process-status"}

ANNOTATIONS_OF_SERVICE = {
    "run.googleapis.com/ingress": {"all"},
    "run.googleapis.com/minScale": {"2"},
    "run.googleapis.com/maxScale": {"10"},
}
ANNOTATIONS_OF_REVISION = {
    "run.googleapis.com/cpu-throttling": {"false"},
    "run.googleapis.com/startup-cpu-boost": {"true"},
    "run.googleapis.com/execution-environment": {"gen2"},
    "run.googleapis.com/container-dependencies": {'{"collector":["service"]}'},
}


def manifest(path: Path) -> Any:
    """The one document of a file."""
    return yaml.safe_load(path.read_text())


def kubernetes(name: str) -> Any:
    return manifest(KUBERNETES / f"{name}.yaml")


def cloud_run(name: str = "service") -> Any:
    return manifest(CLOUD_RUN / f"{name}.yaml")


def pod() -> Any:
    return kubernetes("deployment")["spec"]["template"]["spec"]


def settings_of_kubernetes() -> dict[str, str]:
    literals = kubernetes("kustomization")["configMapGenerator"][0]["literals"]
    return dict(literal.split("=", 1) for literal in literals)


def settings_of_cloud_run() -> dict[str, str]:
    container = cloud_run()["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable["value"] for variable in container["env"]}


# -- schemas


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CORE)
def test_kubernetes_takes_it(name: str, version: str) -> None:
    kubernetes_validate.validate(kubernetes(name), version, strict=True)


def test_the_schemas_are_strict() -> None:
    misspelt = kubernetes("deployment")
    misspelt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", ["service", "service-with-metrics"])
def test_cloud_run_takes_it(name: str) -> None:
    jsonschema.validate(cloud_run(name), json.loads((SCHEMAS / "cloud_run_service.json").read_text()))


def rules_wrapped_as(api_version: str, kind: str) -> Any:
    """As the guide has it done; test_guide.py holds that its lines come to this."""
    rules = manifest(DEPLOY / "prometheus" / "rules.yml")
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "process-status"}, "spec": rules}


def managed_prometheus_takes(document: Any) -> None:
    """Raises: jsonschema.ValidationError where it does not."""
    schema = json.loads((SCHEMAS / "managed_prometheus.json").read_text())
    jsonschema.validate(document, {**schema, "$ref": f"#/definitions/{document['kind']}"})


MANAGED = {
    "PodMonitoring": lambda: kubernetes("podmonitoring"),
    "RunMonitoring": lambda: cloud_run("run-monitoring"),
    "Rules": lambda: rules_wrapped_as("monitoring.googleapis.com/v1", "Rules"),
}


@pytest.mark.parametrize("kind", MANAGED)
def test_google_managed_prometheus_takes_it(kind: str) -> None:
    managed_prometheus_takes(MANAGED[kind]())


@pytest.mark.parametrize(
    ("kind", "key"),
    [("PodMonitoring", "endpoint"), ("RunMonitoring", "selector"), ("Rules", "groupes")],
)
def test_google_managed_prometheus_takes_no_more(kind: str, key: str) -> None:
    document = MANAGED[kind]()
    document["spec"][key] = document["spec"].get("groups", [])
    with pytest.raises(jsonschema.ValidationError):
        managed_prometheus_takes(document)


def test_google_managed_prometheus_takes_no_group_without_an_interval() -> None:
    document = MANAGED["Rules"]()
    del document["spec"]["groups"][0]["interval"]
    with pytest.raises(jsonschema.ValidationError, match="'interval' is a required property"):
        managed_prometheus_takes(document)


def prometheus_operator_takes(document: Any) -> bool:
    """By the operator's CRDs, which the models are made from: they drop what they do not know, and nothing must be."""
    model = getattr(prometheus_operator, document["kind"])
    return bool(model.model_validate(document).model_dump(by_alias=True, exclude_unset=True) == document)


def test_the_prometheus_operator_takes_it() -> None:
    assert prometheus_operator_takes(kubernetes("servicemonitor"))
    assert prometheus_operator_takes(rules_wrapped_as("monitoring.coreos.com/v1", "PrometheusRule"))


@pytest.mark.parametrize(("key", "value"), [("intervall", "30s"), ("interval", "30 seconds"), ("port", 9090)])
def test_the_prometheus_operator_takes_nothing_else(key: str, value: object) -> None:
    document = kubernetes("servicemonitor")
    document["spec"]["endpoints"][0][key] = value
    with pytest.raises((ValidationError, AssertionError)):
        assert prometheus_operator_takes(document)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which has kustomize, is not installed")
def test_kustomize_joins_them(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    rendered = subprocess.run(
        ["kubectl", "kustomize", tmp_path / "kubernetes"], capture_output=True, text=True, check=False
    )
    assert rendered.returncode == 0, rendered.stderr
    documents = {document["kind"]: document for document in yaml.safe_load_all(rendered.stdout)}
    for document in documents.values():
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    assert set(documents) == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }
    selected = kubernetes("servicemonitor")["spec"]["selector"]["matchLabels"]
    assert selected.items() <= documents["Service"]["metadata"]["labels"].items()
    container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("europe-west1-docker.pkg.dev/my-project/")
    assert container["envFrom"][0]["configMapRef"]["name"] == documents["ConfigMap"]["metadata"]["name"]


def test_each_file_is_named_by_the_kustomization() -> None:
    text = (KUBERNETES / "kustomization.yaml").read_text()
    others = [path.name for path in KUBERNETES.glob("*.yaml") if path.stem != "kustomization"]
    assert [name for name in others if f"- {name}" not in text] == []


# -- agreement


@pytest.mark.parametrize("settings", [settings_of_kubernetes, settings_of_cloud_run])
def test_every_variable_is_a_setting_and_is_taken(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = settings()
    assert {name.lower() for name in variables} <= set(Settings.model_fields)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings().metrics_port == 9090


def test_all_select_the_same_pods() -> None:
    deployment = kubernetes("deployment")["spec"]
    assert deployment["template"]["metadata"]["labels"] == LABELS
    assert deployment["selector"]["matchLabels"] == LABELS
    assert kubernetes("service")["spec"]["selector"] == LABELS
    for name in ("poddisruptionbudget", "podmonitoring", "servicemonitor"):
        assert kubernetes(name)["spec"]["selector"]["matchLabels"] == LABELS
    for constraint in pod()["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == LABELS


def test_ports_are_those_the_program_listens_on() -> None:
    named = {port["name"]: port["containerPort"] for port in pod()["containers"][0]["ports"]}
    assert named == {"http": Settings.model_fields["port"].default, "metrics": 9090}
    assert {port["targetPort"] for port in kubernetes("service")["spec"]["ports"]} == set(named)
    for name in ("podmonitoring", "servicemonitor"):
        assert [endpoint["port"] for endpoint in kubernetes(name)["spec"]["endpoints"]] == ["metrics"]
    assert [endpoint["port"] for endpoint in cloud_run("run-monitoring")["spec"]["endpoints"]] == [9090]


def test_the_job_that_rules_look_for_is_the_name_of_what_is_scraped() -> None:
    names = [kubernetes(name)["metadata"]["name"] for name in ("service", "podmonitoring")]
    assert [*names, cloud_run("run-monitoring")["metadata"]["name"]] == ["process-status"] * 3


def test_a_pod_has_time_to_drain() -> None:
    sleep_s = int(pod()["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drain_s = int(settings_of_kubernetes()["DRAIN_S"])
    assert pod()["terminationGracePeriodSeconds"] >= sleep_s + drain_s + 5
    assert float(settings_of_cloud_run()["DRAIN_S"]) < 10


def test_a_pod_may_do_nothing_but_serve() -> None:
    container = pod()["containers"][0]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert f"--uid {pod()['securityContext']['runAsUser']}" in (REPOSITORY / "Dockerfile").read_text()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == kubernetes("serviceaccount")["metadata"]["name"]


def test_probes_ask_where_no_api_key_is_needed() -> None:
    readiness = pod()["containers"][0]["readinessProbe"]["httpGet"]
    assert readiness == {"path": "/readyz", "port": "metrics"}
    startup = cloud_run()["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["httpGet"]
    assert startup == {"path": "/readyz", "port": int(settings_of_cloud_run()["METRICS_PORT"])}
    assert "/healthz" in OPEN_PATHS


def test_an_outage_of_firestore_restarts_nothing_and_what_is_stale_can_still_be_served() -> None:
    container = pod()["containers"][0]
    readiness, liveness = container["readinessProbe"], container["livenessProbe"]
    assert (liveness["httpGet"]["path"], readiness["httpGet"]["path"]) == ("/healthz", "/readyz")
    stale_s = Settings.model_fields["stale_if_error_s"].default
    assert readiness["failureThreshold"] * readiness["periodSeconds"] >= stale_s
    assert readiness["timeoutSeconds"] > Settings.model_fields["firestore_timeout_s"].default
    of_cloud_run = cloud_run()["spec"]["template"]["spec"]["containers"][0]
    assert of_cloud_run["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert of_cloud_run["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert of_cloud_run["startupProbe"]["timeoutSeconds"] > Settings.model_fields["firestore_timeout_s"].default
    assert "readinessProbe" not in of_cloud_run


@pytest.mark.parametrize("name", ["service", "service-with-metrics"])
def test_cloud_run_gives_the_listener_cpu_and_every_annotation_stands_where_it_is_read(name: str) -> None:
    service = cloud_run(name)
    for given, known in (
        (service["metadata"]["annotations"], ANNOTATIONS_OF_SERVICE),
        (service["spec"]["template"]["metadata"]["annotations"], ANNOTATIONS_OF_REVISION),
    ):
        assert {key: value for key, value in given.items() if value not in known.get(key, ())} == {}
    assert service["spec"]["template"]["metadata"]["annotations"]["run.googleapis.com/cpu-throttling"] == "false"


@pytest.mark.parametrize("name", ["service", "service-with-metrics"])
def test_cloud_runs_limits_are_kept(name: str) -> None:
    spec = cloud_run(name)["spec"]["template"]["spec"]
    for probe in (spec["containers"][0]["startupProbe"], spec["containers"][0]["livenessProbe"]):
        assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    startup = spec["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] <= 240
    assert spec["containerConcurrency"] <= 1000
    assert spec["timeoutSeconds"] <= 3600
    assert int(settings_of_cloud_run()["MAX_WATCHERS"]) < spec["containerConcurrency"]
    assert [container["name"] for container in spec["containers"] if "ports" in container] == ["service"]


def test_both_cloud_run_services_are_the_same_but_for_the_collector() -> None:
    plain, observed = cloud_run(), copy.deepcopy(cloud_run("service-with-metrics"))
    template = observed["spec"]["template"]
    del template["metadata"]["annotations"]["run.googleapis.com/container-dependencies"]
    del template["spec"]["volumes"]
    assert template["spec"]["containers"].pop()["name"] == "collector"
    assert observed == plain


def test_nothing_names_the_retired_registry() -> None:
    texts = {path: path.read_text() for path in DEPLOY.rglob("*.*")}
    assert [path for path, text in texts.items() if "gcr.io" in text] == []
