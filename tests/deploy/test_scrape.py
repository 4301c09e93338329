"""A real Prometheus scrapes a running demo, and understands all that the contract promises."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.deploy.programs import LISTENING, eventually, fetch, http_status, running
from tests.deploy.prometheus import Prometheus, required_program, scraping

TYPES = {
    "http_requests": "counter",
    "http_request_duration_seconds": "histogram",
    "lookups": "counter",
    "firestore_reads": "counter",
    "listener_state": "gauge",
    "listener_probe_seconds": "histogram",
    "listener_restarts": "counter",
    "listener_changes": "counter",
    "listener_lag_seconds": "histogram",
    "model_documents": "gauge",
    "model_confirmed_timestamp_seconds": "gauge",
    "audit_mismatches": "counter",
    "fallback_rejected": "counter",
    "watchers": "gauge",
    "malformed_fields": "counter",
    "build_info": "gauge",
    "processes": "gauge",
    "processes_stalled": "gauge",
    "processes_oldest_unfinished_timestamp_seconds": "gauge",
    "process_transitions": "counter",
    "process_duration_seconds": "histogram",
}
SHOWN_WHEN_FIRST_COUNTED = {"listener_restarts", "malformed_fields"}
LABELS = {
    "http_requests_total": {"route", "method", "code"},
    "http_request_duration_seconds_count": {"route"},
    "lookups_total": {"source"},
    "firestore_reads_total": {"source"},
    "listener_state": {"state"},
    "listener_changes_total": {"type"},
    "build_info": {"version"},
    "processes": {"status"},
    "process_transitions_total": {"status"},
    "process_duration_seconds_count": {"status"},
}
COMMON_LABELS = {"__name__", "job", "instance"}


@pytest.fixture(scope="module")
def demo_url() -> Iterator[str]:
    command = [sys.executable, "-m", "service", "demo", "--port", "0", "--processes", "20"]
    with running(command, LISTENING) as demo:
        for path in ("/", "/status", "/status/unknown", "/nothing-here", "/readyz"):
            fetch(demo.found + path)
        yield demo.found


@pytest.fixture(scope="module")
def prometheus(demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(demo_url, tmp_path_factory.mktemp("prometheus")) as prometheus:
        eventually(lambda: prometheus.query("process_status_build_info"), "the first scrape")
        yield prometheus


def test_the_target_is_up(prometheus: Prometheus) -> None:
    assert [(target["health"], target["lastError"]) for target in prometheus.targets()] == [("up", "")]
    assert [sample.value for sample in prometheus.query('up{job="process-status"}')] == [1]


def test_every_metric_of_the_contract_has_its_type(prometheus: Prometheus) -> None:
    told = {name.removeprefix("process_status_").removesuffix("_total"): t for name, t in prometheus.metadata().items()}
    assert {name: told.get(name) for name in TYPES} == TYPES


def test_every_metric_of_the_contract_has_series(prometheus: Prometheus) -> None:
    suffixes = {"counter": "_total", "histogram": "_bucket", "gauge": ""}
    names = {f"process_status_{name}{suffixes[kind]}" for name, kind in TYPES.items()}
    shown = {sample.labels["__name__"] for sample in prometheus.query('{__name__=~"process_status_.*"}')}
    assert names - shown <= {f"process_status_{name}_total" for name in SHOWN_WHEN_FIRST_COUNTED}


@pytest.mark.parametrize("name", sorted(LABELS))
def test_labels_are_the_contracts_and_bounded(prometheus: Prometheus, name: str) -> None:
    query = f"process_status_{name}"
    eventually(lambda: prometheus.query(query), "it has been scraped")
    samples = prometheus.query(query)
    assert {frozenset(sample.labels) for sample in samples} == {frozenset(LABELS[name] | COMMON_LABELS)}
    assert not [value for sample in samples for value in sample.labels.values() if "unknown" in value]


def test_nothing_but_metrics_of_ours_is_exposed(prometheus: Prometheus) -> None:
    names = prometheus.metadata()
    assert [name for name in names if not name.startswith("process_status_")] == []


def test_promtool_finds_no_fault_with_the_exposition(demo_url: str) -> None:
    status, exposition = fetch(f"{demo_url}/metrics")
    assert status == 200
    checked = subprocess.run(
        [required_program("promtool"), "check", "metrics"], input=exposition, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_demo_answers_what_its_welcome_says(demo_url: str) -> None:
    eventually(lambda: http_status(f"{demo_url}/readyz") == 200, "the demo is ready")
    assert re.search(rb'"count":\d', fetch(f"{demo_url}/status?limit=1")[1])
