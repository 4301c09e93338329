"""Every query of the dashboard parses, and finds series on a Prometheus that has seen the service live."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from service.settings import DEMO_PROJECT
from tests.deploy.programs import DEPLOY, eventually, fetch, serving
from tests.deploy.prometheus import Prometheus, required_program, scraping
from tests.firestore_servers import BackgroundFirestore

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
PANELS: list[Any] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
VALUES = {"$job": "process-status", "$instance": ".*", "$__rate_interval": "10s", "$price_per_100k_reads": "0.06"}


def filled_in(expression: str) -> str:
    """As Grafana fills in the dashboard's variables."""
    for name, value in VALUES.items():
        expression = expression.replace(name, value)
    return expression


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has seen a hit, a miss, a restart, probes, a malformed field and an error."""
    required_program("prometheus")
    with (
        BackgroundFirestore() as firestore,
        serving(firestore.host, LISTENER="stream", PROBE_INTERVAL_S="0.2") as service,
        scraping(service.found, tmp_path_factory.mktemp("prometheus")) as prometheus,
    ):
        document = {"status": "running", "products_processed": "many"}
        firestore.commit(DEMO_PROJECT, {"webServiceLogs/import-1": document})
        for path in ("/status/import-1", "/status", "/status/unknown", "/nothing-here"):
            fetch(service.found + path)
        firestore.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
        seen = ("process_status_listener_restarts_total", "process_status_malformed_fields_total")
        eventually(
            lambda: all(prometheus.query(f"rate({name}[10s])") for name in seen), "two scrapes after the restart"
        )
        yield prometheus


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_every_query_finds_series(prometheus: Prometheus, title: str, expression: str) -> None:
    eventually(lambda: prometheus.query(filled_in(expression)), f"series for {title!r}", patience_s=10)


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
