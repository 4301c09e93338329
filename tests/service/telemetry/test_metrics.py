"""Metrics: the contract's names, types and labels, and exact counts."""

import asyncio
import logging
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from listeners.listener import ListenerState
from service.model.applied import Applied
from service.reads.statistics import ProcessGauges
from service.telemetry.metrics import Metrics
from tests.service.scripted_firestore import summary
from tests.service.virtual_time import Clock, settle


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name without its prefix, label values) → value, of all that is not about creation or buckets."""
    text = metrics.render("")[0].decode()
    return {
        (sample.name.removeprefix("process_status_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


TYPES_AND_LABELS = {
    "http_requests": ("counter", ("route", "method", "code")),
    "http_request_duration_seconds": ("histogram", ("route",)),
    "lookups": ("counter", ("source",)),
    "firestore_reads": ("counter", ("source",)),
    "listener_state": ("gauge", ("state",)),
    "listener_probe_seconds": ("histogram", ()),
    "listener_restarts": ("counter", ("reason",)),
    "listener_changes": ("counter", ("type",)),
    "listener_lag_seconds": ("histogram", ()),
    "model_documents": ("gauge", ()),
    "model_confirmed_timestamp_seconds": ("gauge", ()),
    "audit_mismatches": ("counter", ()),
    "fallback_rejected": ("counter", ()),
    "watchers": ("gauge", ()),
    "malformed_fields": ("counter", ("field",)),
    "build_info": ("gauge", ("version",)),
    "processes": ("gauge", ("status",)),
    "processes_stalled": ("gauge", ()),
    "processes_oldest_unfinished_timestamp_seconds": ("gauge", ()),
    "process_transitions": ("counter", ("status",)),
    "process_duration_seconds": ("histogram", ("status",)),
}


def test_types_and_labels_are_those_of_the_contract() -> None:
    metrics = Metrics(Clock())
    metrics.request_answered("/status", "GET", 200, 0.001)
    metrics.restarted("idle")
    metrics.malformed("a", 1, ("status",))
    metrics.processes.observe(lambda: ProcessGauges({"running": 1}, 0, 0), ("completed",))
    shown = {
        family.name.removeprefix("process_status_"): (family.type, labels_of(family))
        for family in text_string_to_metric_families(metrics.render("")[0].decode())
    }
    assert shown == {name: (kind, set(labels)) for name, (kind, labels) in TYPES_AND_LABELS.items()}


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_every_metric_of_the_contract_is_there_before_anything_happened() -> None:
    families = text_string_to_metric_families(Metrics(Clock()).render("")[0].decode())
    names = {family.name for family in families if not family.name.endswith("_created")}
    assert names == {f"process_status_{name}" for name in TYPES_AND_LABELS}


def test_requests_are_counted_by_route_method_and_code() -> None:
    metrics = Metrics(Clock())
    for _ in range(3):
        metrics.request_answered("/status/{process_id}", "GET", 200, 0.002)
    for number in range(50):
        metrics.request_answered("/status", f"MADE-UP-{number}", 405, 0.001)
    counted = {key: value for key, value in samples(metrics).items() if key[0] == "http_requests_total"}
    assert counted == {
        ("http_requests_total", ("200", "GET", "/status/{process_id}")): 3,
        ("http_requests_total", ("405", "OTHER", "/status")): 50,
    }
    assert samples(metrics)["http_request_duration_seconds_count", ("/status",)] == 50


def test_durations_are_counted_in_the_bucket_they_belong_to_and_once() -> None:
    metrics = Metrics(Clock())
    for seconds in (0.0001, 0.0005, 0.0006, 0.2, 60.0):
        metrics.request_answered("/status", "GET", 200, seconds)
    for _ in range(2):
        text = metrics.render("")[0].decode()
    shown = dict(re.findall(r'duration_seconds_bucket{le="([^"]+)",route="/status"} (\S+)', text))
    assert [shown[le] for le in ("0.0005", "0.001", "0.1", "0.25", "10.0", "+Inf")] == [
        "2.0",
        "3.0",
        "3.0",
        "4.0",
        "4.0",
        "5.0",
    ]
    assert samples(metrics)["http_request_duration_seconds_sum", ("/status",)] == pytest.approx(60.2012)


async def test_counts_are_published_again_and_again_and_at_the_end() -> None:
    metrics, clock = Metrics(Clock()), Clock()
    shown = []

    async def sleep(seconds: float) -> None:
        shown.append(metrics.registry.get_sample_value("process_status_lookups_total", {"source": "hit"}))
        metrics.looked_up("hit")
        await (clock.sleep(seconds) if len(shown) < 3 else asyncio.Event().wait())

    publishing = asyncio.create_task(metrics.keep_published(sleep))
    await settle()
    assert shown == [0, 1, 2]
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    assert metrics.registry.get_sample_value("process_status_lookups_total", {"source": "hit"}) == 3


def test_exactly_one_listener_state_is_1() -> None:
    metrics = Metrics(Clock())
    for state in ListenerState:
        metrics.state_changed(state, "why")
        shown = {key[1][0]: value for key, value in samples(metrics).items() if key[0] == "listener_state"}
        assert shown == {each.value: float(each is state) for each in ListenerState}


def test_a_batch_is_counted_by_type() -> None:
    metrics = Metrics(Clock())
    upserts = [summary("a", 1), summary("b", 1), summary("c", 1)]
    metrics.applied(Applied(upserts, {"d": True}, 2, 9), 17)
    shown = samples(metrics)
    assert [shown["listener_changes_total", (kind,)] for kind in ("added", "modified", "removed")] == [2, 1, 1]
    assert shown["model_documents", ()] == 17


def test_batches_between_two_scrapes_add_up_and_are_counted_once() -> None:
    metrics = Metrics(Clock())
    metrics.applied(Applied([summary("a", 1), summary("b", 1)], {"d": True, "e": None}, 2, 9), 17)
    metrics.applied(Applied([summary("a", 2), summary("c", 2)], {"b": True}, 1, 10), 15)
    for _ in range(2):
        shown = samples(metrics)
        assert [shown["listener_changes_total", (kind,)] for kind in ("added", "modified", "removed")] == [3, 1, 3]
        assert shown["model_documents", ()] == 15


def test_a_changes_lag_ends_when_its_batch_became_visible() -> None:
    metrics = Metrics(Clock())
    metrics.applied(Applied([summary("a", 1)], {}, 0, 9), 1)
    metrics.became_visible(int(time.time() * 1_000_000) - 3_600_000_000)
    shown = samples(metrics)
    assert shown["listener_lag_seconds_count", ()] == 1
    assert shown["listener_lag_seconds_sum", ()] == pytest.approx(3600, abs=5)


def test_lags_are_counted_in_their_buckets_once_and_none_is_below_0(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(Clock())
    monkeypatch.setattr("service.telemetry.change_tally.time.time", lambda: 1_000.0)
    metrics.applied(Applied([summary("a", 1)], {}, 0, 9), 1)
    monkeypatch.setattr("service.telemetry.change_tally.time.time", lambda: 5_000.0)
    for version_s in (999.98, 999.5, 1_002.0, 900.0):  # one is of a clock ahead of ours
        metrics.became_visible(int(version_s * 1_000_000))
    for _ in range(2):
        text = metrics.render("")[0].decode()
    shown = dict(re.findall(r'listener_lag_seconds_bucket{le="([^"]+)"} (\S+)', text))
    bounds = ("0.005", "0.01", "0.025", "0.25", "0.5", "60.0", "+Inf")
    assert [float(shown[le]) for le in bounds] == [1, 1, 2, 2, 3, 3, 4]
    assert samples(metrics)["listener_lag_seconds_sum", ()] == pytest.approx(0.02 + 0.5 + 100)


def test_lookups_and_reads_have_the_contracts_labels() -> None:
    metrics = Metrics(Clock())
    for source in ("hit", "miss", "cached", "stale", "negative"):
        metrics.looked_up(source)
    for kind in ("listener", "get", "list", "audit"):
        metrics.documents_billed(kind, 2)
    metrics.documents_read(3)
    metrics.read_rejected()
    metrics.audit_mismatched()
    metrics.restarted("unavailable")
    samples(metrics)  # a second scrape counts nothing again
    shown = samples(metrics)
    assert [shown["lookups_total", (s,)] for s in ("hit", "miss", "cached", "stale", "negative")] == [1] * 5
    assert [shown["firestore_reads_total", (k,)] for k in ("listener", "get", "list", "audit")] == [5, 2, 2, 2]
    assert (shown["fallback_rejected_total", ()], shown["audit_mismatches_total", ()]) == (1, 1)
    assert shown["listener_restarts_total", ("unavailable",)] == 1


def test_malformed_fields_are_counted_once_for_each_version(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(Clock())
    for version in (1, 1, 2, 1):
        metrics.malformed("a", version, ("status", "end_time"))
    shown = samples(metrics)
    assert shown["malformed_fields_total", ("status",)] == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "'a'" in caplog.messages[0]
    assert "status, end_time" in caplog.messages[0]


def test_an_unreadable_field_is_logged_once_a_minute_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(now=50.0)
    metrics = Metrics(clock)
    for version in range(40):
        metrics.malformed("a", version, ("status",))
        metrics.malformed(f"b{version}", 1, ("status",))
    assert len(caplog.messages) == 1
    metrics.malformed("c", 1, ("status", "end_time"))
    assert "'c'" in caplog.messages[1]
    assert ": end_time (" in caplog.messages[1]
    clock.now += 60
    metrics.malformed("d", 1, ("status",))
    assert len(caplog.messages) == 3
    assert samples(metrics)["malformed_fields_total", ("status",)] == 82


def test_no_series_says_when_a_counter_was_created() -> None:
    metrics = Metrics(Clock())
    metrics.request_answered("/status", "GET", 200, 0.1)
    for accept in ("", "application/openmetrics-text"):
        assert b"_created" not in metrics.render(accept)[0]


def test_the_model_was_confirmed_when_the_wall_clock_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(now=50.0)
    metrics = Metrics(clock)
    monkeypatch.setattr("service.telemetry.change_tally.time.time", lambda: 1_795_435_200.0)
    metrics.confirmed(as_of=47.5)
    assert samples(metrics)["model_confirmed_timestamp_seconds", ()] == 1_795_435_197.5


PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=abc", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=2.0.0", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=0.0.1", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0, */*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.9", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0.5, text/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=x, */*;q=0.1", "text/plain; version=0.0.4"),
        ("text/plain; version=1.0.0; escaping=allow-utf-8", "text/plain; version=0.0.4"),
        ('Application/OpenMetrics-Text; Version="1.0.0"', "application/openmetrics-text; version=1.0.0"),
        (
            "text/plain;q=0.3,application/openmetrics-text;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0",
        ),
        ("*/*;q=1, application/openmetrics-text;q=1.000", "application/openmetrics-text; version=1.0.0"),
        ("text/plain;q=0, */*, application/openmetrics-text;q=0.1", "application/openmetrics-text; version=1.0.0"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0"),
    ],
)
def test_the_exposition_is_what_the_scraper_asks_for(accept: str, content_type: str) -> None:
    assert Metrics(Clock()).render(accept)[1].startswith(content_type)


ONE = Metrics(Clock())


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["application/openmetrics-text", "text/plain", ";", ",", "version=", "1.0.0", "x", "="]))
)
def test_no_accept_header_makes_a_scrape_fail(parts: list[str]) -> None:
    assert b"process_status_lookups_total" in ONE.render("".join(parts))[0]
