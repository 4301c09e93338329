"""Debian's Prometheus, scraping one target many times a second, with the rules of deploy/prometheus in fast motion."""

import json
import re
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.programs import DEPLOY, eventually, fetch, http_status, running
from tests.required import required

HOW_TO_GET_IT = "prometheus and promtool are not installed: apt-get install prometheus"
RULES = DEPLOY / "prometheus" / "rules.yml"

_CONFIGURATION = """
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}
rule_files: [{rules}]
scrape_configs:
  - job_name: process-status
    static_configs: [{{ targets: ["{target}"] }}]
"""


def required_program(name: str) -> str:
    """Where it is installed. Skips the test elsewhere, or fails it where REQUIRE_PROMETHEUS=1."""
    return required(shutil.which(name), "REQUIRE_PROMETHEUS", HOW_TO_GET_IT)


@dataclass(frozen=True)
class Sample:
    """One series' value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Prometheus:
    """A running one, asked through its HTTP API, and the file that it is configured by."""

    url: str
    configuration: Path

    @contextmanager
    def without_the_job(self) -> Iterator[None]:
        """In here the job that the rules expect is no target of it: what is scraped has another name."""
        whole = self.configuration.read_text()
        self._reload(whole.replace("job_name: process-status", "job_name: something-else"))
        try:
            yield
        finally:
            self._reload(whole)

    def _reload(self, configuration: str) -> None:
        self.configuration.write_text(configuration)
        with urllib.request.urlopen(f"{self.url}/-/reload", data=b"") as reloaded:  # noqa: S310 - http://127.0.0.1
            assert reloaded.status == 200

    def query(self, expression: str) -> list[Sample]:
        """An instant query. Raises: AssertionError with Prometheus's words where it does not parse."""
        results = self._ask("query", query=expression)["result"]
        return [Sample(result["metric"], float(result["value"][1])) for result in results]

    def query_range(self, expression: str, seconds: int) -> list[tuple[Mapping[str, str], list[float]]]:
        """A range query up to now, as a panel makes it: each series' labels and values."""
        end_s = time.time()
        results = self._ask("query_range", query=expression, start=f"{end_s - seconds}", end=f"{end_s}", step="1s")
        return [(each["metric"], [float(value) for _, value in each["values"]]) for each in results["result"]]

    def targets(self) -> list[Any]:
        targets: list[Any] = self._ask("targets")["activeTargets"]
        return targets

    def metadata(self) -> dict[str, str]:
        """The type of each metric family, as Prometheus understood it."""
        return {name: told[0]["type"] for name, told in self._ask("metadata").items()}

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._ask("alerts")["alerts"] if alert["state"] == "firing"}

    def _ask(self, what: str, **parameters: str) -> Any:
        status, body = fetch(f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(body)
        assert status == 200, f"{parameters}: {answer}"
        return answer["data"]


def in_fast_motion(rules: str) -> str:
    """The same rules, with seconds for minutes: nothing is waited for, windows are a few scrapes long.

    Windows that are compared with one another become equal. The thresholds in seconds shrink with them.
    """
    rules = re.sub(r"\bfor: \d+[mh]", "for: 0s", rules)
    rules = re.sub(r"\binterval: 30s", "interval: 200ms", rules)
    rules = re.sub(r"\[\d+[smhd]\]", "[5s]", rules).replace("offset 1h", "offset 5s")
    rules = rules.replace("model_age:seconds > 45", "model_age:seconds > 2")
    return rules.replace("lag:p99_5m > 5", "lag:p99_5m > 0.5")


@contextmanager
def scraping(service_url: str, directory: Path) -> Iterator[Prometheus]:
    """A Prometheus on a free port that scrapes the service; its data is kept in `directory`."""
    program = required_program("prometheus")
    directory.mkdir(exist_ok=True)
    rules = directory / "rules.yml"
    rules.write_text(in_fast_motion(RULES.read_text()))
    configuration = directory / "prometheus.yml"
    configuration.write_text(_CONFIGURATION.format(rules=rules, target=service_url.removeprefix("http://")))
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--web.enable-lifecycle",
        "--query.lookback-delta=5s",
    ]
    with running(command, r'msg="?Listening on"? address=127\.0\.0\.1:\d+') as prometheus:
        url = f"http://{prometheus.found.rpartition('=')[2]}"
        eventually(lambda: http_status(f"{url}/-/ready") == 200, "Prometheus is ready")
        yield Prometheus(url, configuration)
