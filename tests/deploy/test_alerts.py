"""Each alert fires in the fault it is for: a real service on a Firestore that breaks, a real Prometheus beside it.

One of each for all tests, since Prometheus takes five seconds to find its first target: a test begins in good health,
and heals what it broke.
"""

import re
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from service.settings import DEMO_PROJECT
from tests.deploy.programs import Program, eventually, fetch, http_status, serving
from tests.deploy.prometheus import RULES, Prometheus, required_program, scraping
from tests.firestore_servers import BackgroundFirestore

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SETTINGS = {
    "LISTENER": "stream",
    "PROBE_INTERVAL_S": "0.2",
    "AUDIT_INTERVAL_S": "0.2",
    "FALLBACK_CONCURRENCY": "1",
    "FIRESTORE_TIMEOUT_S": "1",
    "STALE_IF_ERROR_S": "0",
    "STALLED_AFTER_S": "1",
}


@dataclass
class Watched:
    """A service that Prometheus watches, and the Firestore it reads."""

    firestore: BackgroundFirestore
    service: Program
    prometheus: Prometheus

    @property
    def url(self) -> str:
        return self.service.found

    def write(self, process_id: str, status: str, **fields: object) -> None:
        document = {"status": status, "start_time": T0, **fields}
        self.firestore.commit(DEMO_PROJECT, {f"webServiceLogs/{process_id}": document})

    def ends(self, process_id: str, status: str) -> None:
        """Begins and ends, with both times, so that its duration is known; the service sees it between two scrapes."""
        self.write(process_id, "running")
        seen = f"{self.url}/status/{process_id}?wait=5&until="
        assert http_status(seen + "running") == 200
        self.write(process_id, status, end_time=T0 + timedelta(seconds=5))
        assert http_status(seen + status) == 200

    @contextmanager
    def polled_for_unknown_ids(self) -> Iterator[None]:
        """Polled in here, one request after the other: each needs a direct read."""
        enough = threading.Event()

        def poll() -> None:
            while not enough.is_set():
                fetch(f"{self.url}/status/{uuid.uuid4()}")

        poller = threading.Thread(target=poll, daemon=True)
        poller.start()
        try:
            yield
        finally:
            enough.set()
            poller.join(30)


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    required_program("prometheus")
    with (
        BackgroundFirestore() as firestore,
        serving(firestore.host, **SETTINGS) as service,
        scraping(service.found, tmp_path_factory.mktemp("prometheus")) as prometheus,
    ):
        yield Watched(firestore, service, prometheus)


@pytest.fixture
def watched(breakable: Watched) -> Iterator[Watched]:
    """In good health before the test, and left whole after it."""
    breakable.write("import-1", "running")
    live = 'process_status_listener_state{state="live"} == 1 and on() process_status_model_documents > 0'
    eventually(lambda: breakable.prometheus.query(live), "Prometheus sees the listener live")
    yield breakable
    breakable.firestore.faults.release_all()


def silent(watched: Watched, *alerts: str) -> None:
    """Wait until none of them fires: so it is in good health."""
    eventually(lambda: not watched.prometheus.firing() & set(alerts), f"{alerts} are silent")


def fires(watched: Watched, *alerts: str) -> None:
    """Wait until all of them do."""
    eventually(lambda: watched.prometheus.firing() >= set(alerts), f"{alerts} fire")


def test_a_listener_that_can_not_connect_is_not_live_and_the_alert_ends_with_the_fault(watched: Watched) -> None:
    silent(watched, "ProcessStatusListenerNotLive")
    watched.firestore.faults.refuse_connections()
    watched.firestore.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
    fires(watched, "ProcessStatusListenerNotLive")
    watched.firestore.faults.accept_connections()
    silent(watched, "ProcessStatusListenerNotLive")


def test_a_stalled_stream_leaves_the_model_unconfirmed(watched: Watched) -> None:
    silent(watched, "ProcessStatusModelNotConfirmed")
    watched.firestore.faults.stall_streams()
    fires(watched, "ProcessStatusModelNotConfirmed")


def test_a_change_that_firestore_never_sent_is_an_audit_mismatch(watched: Watched) -> None:
    silent(watched, "ProcessStatusAuditMismatch")
    watched.firestore.faults.drop_deltas()
    watched.write("import-1", "completed")
    fires(watched, "ProcessStatusAuditMismatch")


def test_changes_that_arrive_late_are_a_lagging_listener(watched: Watched) -> None:
    silent(watched, "ProcessStatusListenerLagging", "ProcessStatusModelNotConfirmed")
    with watched.firestore.faults.stall_streams():
        watched.write("import-1", "completed")
        fires(watched, "ProcessStatusModelNotConfirmed")  # 2 s later
    fires(watched, "ProcessStatusListenerLagging")


def test_a_firestore_that_answers_nothing_makes_polls_fail(watched: Watched) -> None:
    with watched.polled_for_unknown_ids():
        silent(watched, "ProcessStatusErrorRatioHigh")
        watched.firestore.faults.fail_calls("BatchGetDocuments", grpc.StatusCode.UNAVAILABLE, calls=None)
        fires(watched, "ProcessStatusErrorRatioHigh")


def test_slow_direct_reads_burn_the_latency_budget(watched: Watched) -> None:
    burns = ("ProcessStatusLatencyBurnFast", "ProcessStatusLatencyBurnSlow")
    with watched.polled_for_unknown_ids():
        silent(watched, *burns)
        watched.firestore.faults.delay_calls("BatchGetDocuments", 0.15, calls=None)
        fires(watched, *burns)


def test_more_direct_reads_than_the_budget_allows_exhaust_it(watched: Watched) -> None:
    silent(watched, "ProcessStatusFallbackBudgetExhausted")
    with watched.polled_for_unknown_ids(), watched.firestore.faults.hold_calls("BatchGetDocuments") as held:
        held.struck()
        assert http_status(f"{watched.url}/status/import-1") == 200, "what the model holds costs no read"
        eventually(lambda: http_status(f"{watched.url}/status/{uuid.uuid4()}") == 503, "a read too many is refused")
        fires(watched, "ProcessStatusFallbackBudgetExhausted")


def test_a_service_that_does_not_answer_is_a_target_down(watched: Watched) -> None:
    silent(watched, "ProcessStatusTargetDown")
    watched.service.process.send_signal(signal.SIGSTOP)
    try:
        fires(watched, "ProcessStatusTargetDown")
    finally:
        watched.service.process.send_signal(signal.SIGCONT)


def test_a_prometheus_that_does_not_know_the_job_tells_of_its_absence(watched: Watched) -> None:
    silent(watched, "ProcessStatusAbsent")
    with watched.prometheus.without_the_job():
        fires(watched, "ProcessStatusAbsent")
    silent(watched, "ProcessStatusAbsent")


def test_a_worker_that_stops_writing_leaves_a_stalled_process(watched: Watched) -> None:
    fires(watched, "ProcessStatusProcessesStalled")  # import-1, which was written before the test
    watched.write("import-1", "completed")
    silent(watched, "ProcessStatusProcessesStalled")


def test_nothing_finishes_until_a_process_ends(watched: Watched) -> None:
    fires(watched, "ProcessStatusNothingFinishes")
    watched.ends("import-2", "completed")
    silent(watched, "ProcessStatusNothingFinishes")


def test_processes_that_fail_after_a_better_day_are_told(watched: Watched) -> None:
    silent(watched, "ProcessStatusProcessesFailing")
    watched.ends("import-3", "failed")
    fires(watched, "ProcessStatusProcessesFailing")
    watched.ends("import-4", "completed")
    silent(watched, "ProcessStatusProcessesFailing")


def test_every_alert_is_tried_here() -> None:
    tried = set(re.findall(r'fires\(watched, "(\w+)"', Path(__file__).read_text()))
    tried |= {"ProcessStatusLatencyBurnFast", "ProcessStatusLatencyBurnSlow"}
    assert set(re.findall(r"- alert: (\w+)", RULES.read_text())) == tried
