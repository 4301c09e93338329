"""Metrics of the processes: gauges of what is held, and transitions counted as they are seen, never from a load."""

import time
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest

from listeners.events import Changed, Document, Removal, Replaced
from listeners.times import moment
from service.model.read_model import ReadModel
from service.model.transitions import Transitions
from service.runtime.slicer import Slicer
from service.telemetry.process_metrics import MOST_STATUSES, ProcessMetrics
from tests.service.schemas import schema
from tests.service.scripted_firestore import Seen
from tests.service.virtual_time import Clock


class Counts(NamedTuple):
    by_status: dict[str | None, int]
    stalled: int = 0
    oldest_unfinished_s: float = 0


class Observed:
    """Metrics and a model whose transitions they count."""

    def __init__(self, *, window_size: int = 0) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ProcessMetrics("x", self.registry)
        self.metrics.observe(lambda: None, ("completed", "failed"))
        self.clock = Clock()
        self.model = ReadModel(window_size=window_size, schema=schema(), lease_s=15, clock=self.clock, observer=Seen())
        Transitions(self.model, Slicer(lambda callback: callback()), self.metrics)

    async def load(self, read_time: int, *documents: Document) -> None:
        await self.model.apply(Replaced(list(documents), read_time, self.clock()))

    async def change(self, read_time: int, *documents: Document, gone: tuple[str, ...] = ()) -> None:
        removals = [Removal(each, deleted=True) for each in gone]
        await self.model.apply(Changed(list(documents), removals, read_time, self.clock()))

    def transitions(self) -> dict[str, float]:
        found = {
            sample.labels["status"]: sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "x_process_transitions_total"
        }
        return {status: count for status, count in found.items() if count}


def document(process_id: str, version: int, status: str, *, ended: int | None = None) -> Document:
    fields: dict[str, object] = {"status": status, "start_time": moment(0)}
    if ended is not None:
        fields["end_time"] = moment(ended)
    return Document(process_id, version, fields)


async def test_transitions_are_counted_as_they_are_seen_and_never_from_a_load() -> None:
    observed = Observed()
    await observed.load(100, document("p1", 50, "running"), document("p2", 60, "failed", ended=5))
    assert observed.transitions() == {}
    await observed.change(110, document("p1", 105, "completed", ended=90_000_000), document("p3", 106, "running"))
    assert observed.transitions() == {"completed": 1, "running": 1}
    await observed.change(120, document("p3", 115, "running"))  # no transition
    observed.model.distrust()
    await observed.load(130, document("p3", 125, "failed", ended=5), document("p4", 126, "running"))
    assert observed.transitions() == {"completed": 1, "running": 1}
    await observed.change(140, document("p5", 20, "running"), gone=("p4",))  # it has moved up into the window
    assert observed.transitions() == {"completed": 1, "running": 1}
    assert observed.registry.get_sample_value("x_process_duration_seconds_sum", {"status": "completed"}) == 90
    assert observed.registry.get_sample_value("x_process_duration_seconds_count", {"status": "failed"}) == 0


def test_series_of_terminal_statuses_are_there_from_the_start() -> None:
    assert Observed().registry.get_sample_value("x_process_transitions_total", {"status": "failed"}) == 0


def test_the_gauges_show_what_is_held_now() -> None:
    observed = Observed()
    counts = Counts({"running": 2, None: 1}, stalled=1, oldest_unfinished_s=17.5)
    observed.metrics.observe(lambda: counts, ())
    observed.metrics.publish()
    value = observed.registry.get_sample_value
    assert [value("x_processes", {"status": status}) for status in ("running", "none")] == [2, 1]
    assert value("x_processes_stalled") == 1
    assert value("x_processes_oldest_unfinished_timestamp_seconds") == 17.5
    observed.metrics.observe(lambda: Counts({}), ())
    observed.metrics.publish()
    assert value("x_processes", {"status": "running"}) == 0


def test_statuses_beyond_20_are_other_and_a_scrape_takes_5_ms_at_most() -> None:
    observed = Observed()
    counts = Counts({f"s{number}": 1_000 for number in range(100)})
    observed.metrics.observe(lambda: counts, ())
    for number in range(100):
        observed.metrics.entered_status(f"s{number}", 1.0 if number < 5 else None)

    def scrape() -> float:
        began = time.thread_time()
        observed.metrics.publish()
        generate_latest(observed.registry)
        return time.thread_time() - began

    took_s = min(scrape() for _ in range(5))  # other programs evict its memory from the caches
    labels = {
        sample.labels["status"]
        for family in observed.registry.collect()
        for sample in family.samples
        if "status" in sample.labels
    }
    assert len(labels) == MOST_STATUSES + 1
    assert observed.registry.get_sample_value("x_processes", {"status": "other"}) == 82_000
    assert observed.transitions()["other"] == 82
    assert took_s <= 0.005


def test_of_several_workers_one_counts_transitions_and_the_next_when_it_ends(tmp_path: Path) -> None:
    workers = [Observed(), Observed()]
    for worker in workers:
        worker.metrics.observe(lambda: None, (), multiprocess_dir=str(tmp_path))
        worker.metrics.entered_status("running", None)
    assert [worker.transitions() for worker in workers] == [{"running": 1}, {}]
    workers[0].metrics.close()
    workers[1].metrics.entered_status("running", None)
    assert workers[1].transitions() == {"running": 1}
