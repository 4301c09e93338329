"""What people read of a chaos run: what may never happen first, and the same on the terminal and in the README."""

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import __main__ as command
from benchmarks.chaos.checker import Verdicts
from benchmarks.chaos.injector import Recoveries
from benchmarks.chaos.report import NOT_RUN, Plain, keep, kept, plain, tables
from benchmarks.chaos.run import Result

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
    Recoveries({"frozen": [0.5, 0.25, 4.0], "RESET": [0.1]}),
    commits=12_000,
    exit_code=0,
    errors_logged=[],
    max_rss_mib=103,
)


def on_snapshot() -> Plain:
    """A run that shows something of everything that is forbidden."""
    verdicts = Verdicts(
        checked=7, wrong=1, bound_broken=2, backwards=3, server_errors=4, unanswered=5, examples=["why"]
    )
    recoveries = Recoveries({"frozen": [30.0]}, overdue=["frozen"])
    return plain(
        Result("on_snapshot", 60, verdicts, recoveries, 9, -9, ["a", "b"], 99), MACHINE | {"date": "2026-11-25"}
    )


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
        "| **forbidden**: unanswered | 0 | 5 |\n"
        "| **forbidden**: recoveries overdue | 0 | 1 |\n"
        "| **forbidden**: errors logged that no fault explains | 0 | 2 |\n"
        "| **forbidden**: exit code | 0 | -9 |\n"
        "| answers checked | 1,000,123 | 7 |\n"
        "| of these `HIT` | 990,000 | 0 |\n"
        "| of these `MISS` | 23 | 0 |\n"
        "| of these `CACHED` | 4,000 | 0 |\n"
        "| of these `STALE` | 1,100 | 0 |\n"
        "| of these 503 with `Retry-After` | 5,000 | 0 |\n"
        "| believed what Firestore kept from it, until the audit | 12 | 0 |\n"
        "| commits | 12,000 | 9 |\n"
        "| faults | 4 | 1 |\n"
        "| seconds | 301 | 60 |\n"
        "| most memory, MiB | 103 | 99 |\n"
        "\n"
        "| seconds to recover, p50 / max (times) | `stream` | `on_snapshot` |\n"
        "| --- | ---: | ---: |\n"
        "| frozen | 0.50 / 4.00 (3) | 30.00 / 30.00 (1) |\n"
        "| RESET | 0.10 / 0.10 (1) | \N{EN DASH} |"
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
    verdicts = Verdicts(wrong=1, bound_broken=1, backwards=1, server_errors=1, unanswered=1)
    assert Result("stream", 1, verdicts, Recoveries(overdue=["RESET"]), 1, 1, ["a"], 1).forbidden == 8


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
