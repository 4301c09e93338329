"""Every query of the dashboard parses, and finds series on a Prometheus that has seen the service live."""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import grpc
import pytest

from service.settings import DEMO_PROJECT
from tests.deploy.programs import DEPLOY, eventually, fetch, http_status, serving
from tests.deploy.prometheus import Prometheus, required_program, scraping
from tests.firestore_servers import BackgroundFirestore

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
PANELS: list[Any] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SEEN = (
    'process_status_http_requests_total{route="/status"}',
    'process_status_lookups_total{source="miss"}',
    "process_status_listener_lag_seconds_count",
    "process_status_malformed_fields_total",
    'process_status_process_duration_seconds_count{status="completed"}',
)
VALUES = {"$job": "process-status", "$instance": ".*", "$__rate_interval": "10s", "$price_per_100k_reads": "0.06"}


def filled_in(expression: str) -> str:
    """As Grafana fills in the dashboard's variables."""
    for name, value in VALUES.items():
        expression = expression.replace(name, value)
    return expression


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has seen hits, misses, changes, a restart, probes, malformed fields and errors, each between two scrapes."""
    required_program("prometheus")
    with (
        BackgroundFirestore() as firestore,
        serving(firestore.host, LISTENER="stream", PROBE_INTERVAL_S="0.2") as service,
        scraping(service.found, tmp_path_factory.mktemp("prometheus")) as prometheus,
    ):
        eventually(lambda: prometheus.query("process_status_build_info"), "the first scrape")
        firestore.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
        eventually(lambda: http_status(f"{service.found}/readyz") == 200, "the listener is live again")
        changes = count()

        def has_seen_all() -> bool:
            document = {"status": "running", "start_time": T0, "products_processed": f"many: {next(changes)}"}
            status = ("running", "completed")[next(changes) // 7 % 2]
            ended = {"status": status, "start_time": T0, "end_time": T0 + timedelta(minutes=1)}
            firestore.commit(DEMO_PROJECT, {"webServiceLogs/import-1": document, "webServiceLogs/import-2": ended})
            for path in ("/status/import-1", "/status", f"/status/unknown-{next(changes)}", "/nothing-here"):
                fetch(service.found + path)
            return all(prometheus.query(f"rate({name}[10s]) > 0") for name in SEEN)

        eventually(has_seen_all, f"{SEEN} grow")
        yield prometheus


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_every_query_finds_series_with_numbers(prometheus: Prometheus, title: str, expression: str) -> None:
    """As a panel asks, over minutes: a rate of nothing is a series too, but its ratios and quantiles are NaN."""

    def numbers() -> list[float]:
        series = prometheus.query_range(filled_in(expression), 300)
        return [value for _, values in series for value in values if math.isfinite(value)]

    assert "$" not in filled_in(expression)
    eventually(numbers, f"series for {title!r}", patience_s=15)


def test_what_is_saved_and_billed_is_counted(prometheus: Prometheus) -> None:
    """A hit, a miss and the listener's own reads: each is a line of its panel."""
    by_source = {title: expression for title, expression in QUERIES if "by (source)" in expression}
    for title, sources in (("Lookups by source", {"hit", "miss"}), ("Reads billed", {"listener", "get"})):
        series = prometheus.query_range(filled_in(by_source[title]), 300)
        assert {labels["source"] for labels, values in series if max(values) > 0} >= sources


def test_the_variables_and_annotations_parse(prometheus: Prometheus) -> None:
    for annotation in DASHBOARD["annotations"]["list"]:
        prometheus.query(annotation["expr"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, _, label = variable["definition"].removeprefix("label_values(").removesuffix(")").rpartition(",")
            assert label.strip() in prometheus.query(filled_in(series))[0].labels


def test_every_panel_asks_the_chosen_data_source() -> None:
    uids = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert uids | {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert [name for name in ("${DS_", "__inputs") if name in json.dumps(DASHBOARD)] == []


def test_panels_lie_side_by_side_and_have_titles_and_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
