"""What people read of the results, and that the documentation shows what was measured."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.plots import plot
from benchmarks.report import markdown, marks, number, page, table, title, written_into
from benchmarks.runner import PAGES, RESULTS_PAGE, committed_page, committed_report


def figure(low: float, median: float, high: float) -> dict[str, float]:
    return {"min": low, "median": median, "max": high, "runs": 3}


RESULT: dict[str, Any] = {
    "benchmark": "hit",
    "asks": "How fast?",
    "headline": ["requests_per_s", "p99_ms", "each_bytes"],
    "quick": True,
    "loader": "wrk 4",
    "machine": {
        "processor": "A CPU",
        "cores": 2,
        "versions": {"Python": "3.11.7", "grpcio": "1"},
        "date": "2026-11-24",
    },
    "parts": [
        {
            "part": "200",
            "subject": "this service",
            "figures": {
                "this service": {"requests_per_s": figure(20_000, 23_456, 25_000), "p99_ms": figure(1, 4.567, 9)},
                "bare": {"requests_per_s": figure(10_000, 11_728, 12_000), "p99_ms": figure(0.4, 0.5, 9)},
            },
            "ratios": {"bare": {"requests_per_s": figure(1.9, 2.0, 2.123), "p99_ms": figure(9, 9, 9)}},
            "not_measured": {"nginx": "not installed: nginx"},
        },
        {
            "part": "memory",
            "subject": "this service",
            "figures": {"this service": {"each_bytes": figure(1000, 1023, 1100)}},
            "ratios": {},
            "not_measured": {},
        },
    ],
}


def test_a_table_shows_medians_ratios_with_their_spread_and_what_was_not_measured() -> None:
    assert table(RESULT) == (
        "**hit**: How fast? (A CPU, 2 cores, Python 3.11.7, load by wrk 4, 2026-11-24, a quick run)\n"
        "\n"
        "| | requests/s | p99, ms | ratio |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| 200: **this service** | 23,500 | 4.57 |  |\n"
        "| 200: bare | 11,700 | 0.5 | 2 (1.9\N{EN DASH}2.12) |\n"
        "| 200: nginx | \N{EN DASH} | \N{EN DASH} | not measured: not installed: nginx |\n"
        "\n"
        "| | each, bytes | ratio |\n"
        "| --- | ---: | ---: |\n"
        "| memory: **this service** | 1,020 |  |"
    )


def test_benchmarks_without_a_result_are_named() -> None:
    assert markdown({}, {"hit": "How fast?", "miss": "And then?"}) == "Not measured yet: `hit`, `miss`."


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.001234, "0.00123"), (1.0, "1"), (99.96, "100"), (123.4, "123"), (1_234_567.0, "1,230,000")],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_units_stand_behind_a_figures_name() -> None:
    shown = [title(name) for name in ("requests_per_s", "p99_ms", "cpu_per_request_us", "reads_per_million_polls")]
    assert shown == ["requests/s", "p99, ms", "cpu per request, µs", "reads per million polls"]


@pytest.mark.parametrize("name", PAGES)
def test_the_documentation_shows_the_results_that_are_kept(name: str) -> None:
    shown = PAGES[name].read_text()
    assert written_into(shown, {name: committed_report()[name]}) == shown, "run `python -m benchmarks report --write`"


def test_the_results_have_a_page_that_shows_all_of_them() -> None:
    assert RESULTS_PAGE.read_text() == committed_page(), "run `python -m benchmarks report --write`"


def test_the_page_shows_pictures_and_names_what_was_not_measured() -> None:
    shown = page({"hit": RESULT}, {"hit": "How fast?", "miss": "And then?"}, {"hit.png"})
    _, hit, miss = shown.split("\n## ")
    assert hit == f"hit\n\n{table(RESULT)}\n\n![hit](hit.png)\n"
    assert miss == "miss\n\nNot measured yet: `miss`.\n"


def test_each_block_stands_between_its_own_marks_and_nothing_else_changes() -> None:
    begin, end = marks("chaos")
    assert begin == "<!-- chaos: written by `python -m benchmarks report --write` -->"
    before = f"a {begin} old {end} b <!-- /benchmarks --> z"
    assert written_into(before, {"chaos": "new"}) == f"a {begin}\n\nnew\n\n{end} b <!-- /benchmarks --> z"


def test_a_page_without_a_place_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no place"):
        written_into(f"a {marks('chaos')[0]} old <!-- /benchmarks -->", {"chaos": "new"})


def test_a_plot_is_drawn_of_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "hit.png"
    assert plot(RESULT, file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert not plot({**RESULT, "parts": []}, file)
