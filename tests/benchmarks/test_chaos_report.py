"""What people read of a chaos run: what may never happen first, on the terminal as in the documentation."""

import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.chaos import __main__ as command
from benchmarks.chaos.checker import Verdicts
from benchmarks.chaos.injector import Recoveries
from benchmarks.chaos.report import NOT_RUN, Plain, keep, kept, plain, tables
from benchmarks.chaos.result import FOUND, LoggedErrors, Mirrored, Result
from benchmarks.chaos.service import Logged, Service
from benchmarks.chaos.stage import Excuses, Findings

MACHINE: dict[str, Any] = {
    "processor": "A CPU",
    "cores": 2,
    "versions": {"Python": "3.11.7", "aiohttp": "3.14", "grpcio": "1"},
    "date": "2026-11-24",
}

STREAM = Result(
    "stream",
    301.4,
    Verdicts(
        checked=1_000_123,
        refused=5_000,
        believed_a_lie=12,
        by_source=Counter(
            {"200 HIT": 600_000, "304 HIT": 390_000, "404 MISS": 23, "200 CACHED": 4_000, "200 STALE": 1_100}
        ),
    ),
    Recoveries({"frozen": [0.5, 0.25, 4.0], "RESET": [0.1]}, {"frozen": [0.75, 0.25, 5.0], "RESET": [0.2]}),
    commits=12_000,
    findings=Findings(figures={"p99 of held processes in outages, ms": 12}),
    mirrored=Mirrored(batches=5_000, resets=3),
    logged=LoggedErrors(),
    exit_codes=[0, 0],
    server_errors_counted=0,
    max_rss_mib=103,
)


def on_snapshot() -> Plain:
    """A run that shows something of everything that is forbidden."""
    verdicts = Verdicts(
        checked=7, wrong=1, bound_broken=2, backwards=3, server_errors=4, unanswered=5, late=6, latest_s=7.77
    )
    recoveries = Recoveries({"frozen": [30.0]}, {"frozen": [3.0]}, overdue=["frozen"])
    mirrored = Mirrored(70, 0, ["went back"], ["a row", "another"])
    logged = LoggedErrors(["alarm"], ["error", "error"])
    result = Result("on_snapshot", 60, verdicts, recoveries, 9, found(), mirrored, logged, [0, -9], 8, 99)
    return plain(result, MACHINE | {"date": "2026-11-25"})


def found() -> Findings:
    """Three rows of what faults find: 3, 4 and 5."""
    findings = Findings()
    for number, row in enumerate(FOUND):
        findings.blame(row, 3 + number, "why")
    return findings


def test_the_forbidden_comes_first_then_the_answers_then_the_recoveries() -> None:
    assert tables([plain(STREAM, MACHINE), on_snapshot()]) == (
        "(A CPU, 2 cores, Python 3.11.7, aiohttp 3.14, 2026-11-24; "
        "A CPU, 2 cores, Python 3.11.7, aiohttp 3.14, 2026-11-25)\n"
        "\n"
        "| | `stream` | `on_snapshot` |\n"
        "| --- | ---: | ---: |\n"
        "| **forbidden**: wrong answers | 0 | 1 |\n"
        "| **forbidden**: older than their `Age` allows | 0 | 2 |\n"
        "| **forbidden**: versions that went backwards | 0 | 3 |\n"
        "| **forbidden**: 5xx other than 503 with `Retry-After` | 0 | 4 |\n"
        "| **forbidden**: the same, as the service counts them | 0 | 8 |\n"
        "| **forbidden**: unanswered | 0 | 5 |\n"
        "| **forbidden**: later than their bound | 0 | 6 |\n"
        "| **forbidden**: contradictions in mirrors of `/events` | 0 | 1 |\n"
        "| **forbidden**: rows of mirrors that differ in the end | 0 | 2 |\n"
        "| **forbidden**: held processes not `STALE` in an outage | 0 | 3 |\n"
        "| **forbidden**: p99 of `STALE` over 100 ms | 0 | 4 |\n"
        "| **forbidden**: storms that left connections or threads | 0 | 5 |\n"
        "| **forbidden**: audit alarms that no lie explains | 0 | 1 |\n"
        "| **forbidden**: errors logged that no fault explains | 0 | 2 |\n"
        "| **forbidden**: recoveries overdue | 0 | 1 |\n"
        "| **forbidden**: exit codes other than 0 | 0 | 1 |\n"
        "| answers checked | 1,000,123 | 7 |\n"
        "| of these `HIT` | 990,000 | 0 |\n"
        "| of these `MISS` | 23 | 0 |\n"
        "| of these `CACHED` | 4,000 | 0 |\n"
        "| of these `STALE` | 1,100 | 0 |\n"
        "| of these 503 with `Retry-After` | 5,000 | 0 |\n"
        "| believed what Firestore kept from it, until the audit | 12 | 0 |\n"
        "| the latest answer, s | 0.0 | 7.8 |\n"
        "| batches of `/events` mirrored | 5,000 | 70 |\n"
        "| `reset`s among them | 3 | 0 |\n"
        "| p99 of held processes in outages, ms | 12 | 0 |\n"
        "| commits | 12,000 | 9 |\n"
        "| faults | 4 | 1 |\n"
        "| seconds | 301 | 60 |\n"
        "| most memory, MiB | 103 | 99 |\n"
        "\n"
        "| seconds until the models are back, p50 / max; direct reads (times) | `stream` | `on_snapshot` |\n"
        "| --- | ---: | ---: |\n"
        "| frozen | 0.50 / 4.00; 0.75 / 5.00 (3) | 30.00 / 30.00; 3.00 / 3.00 (1) |\n"
        "| RESET | 0.10 / 0.10; 0.20 / 0.20 (1) | \N{EN DASH} |"
    )


def test_one_machine_on_one_day_is_named_once() -> None:
    both = [plain(STREAM, MACHINE), {**on_snapshot(), "machine": MACHINE}]
    assert tables(both).partition("\n")[0] == "(A CPU, 2 cores, Python 3.11.7, aiohttp 3.14, 2026-11-24)"


def test_a_listeners_new_run_takes_the_place_of_its_last_one_and_of_no_others(tmp_path: Path) -> None:
    file = tmp_path / "chaos.json"
    assert tables(kept(file)) == NOT_RUN
    keep(file, on_snapshot())
    keep(file, {**plain(STREAM, MACHINE), "forbidden": {}})
    keep(file, plain(STREAM, MACHINE))
    assert kept(file) == [plain(STREAM, MACHINE), on_snapshot()]


def test_every_kind_of_forbidden_thing_counts_for_the_exit_code() -> None:
    assert STREAM.forbidden == 0
    assert all(on_snapshot()["forbidden"].values())
    assert sum(on_snapshot()["forbidden"].values()) == 49


@pytest.mark.parametrize(("asked", "exit_code"), [(1_000_123, 0), (1_000_124, 1)])
def test_fewer_answers_than_asked_for_are_a_failure_and_kept_all_the_same(
    asked: int, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chaos.json"
    monkeypatch.setattr(command, "run", lambda options, say: STREAM)
    monkeypatch.setattr(sys, "argv", ["chaos", "--listener", "stream", "--answers", str(asked), "--json", str(file)])
    assert command.main() == exit_code
    (kept_run,) = kept(file)
    assert kept_run["figures"]["answers checked"] == 1_000_123
    assert kept_run["machine"]["cores"] == os.cpu_count()


def test_a_logged_refusal_is_explained_only_while_firestore_refuses() -> None:
    def logged(at_s: float, code: str) -> Logged:
        return Logged(at_s, f"Firestore refuses direct reads: {code}", code)

    excuses, before = Excuses(), time.time() - 60
    with excuses.refusals.noted():
        now = time.time()
    lines = [logged(now, "permission_denied"), logged(now, "internal"), logged(before, "permission_denied")]

    class Replica:
        def errors_logged(self) -> list[Logged]:
            return lines

    assert LoggedErrors.of([cast("Service", Replica())], excuses).others == ["internal", "permission_denied"]
