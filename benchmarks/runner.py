"""Runs benchmarks one after the other and keeps their results.

Whatever was started is ended by its ID, also on Ctrl-C and SIGTERM. A benchmark whose servers do not start costs no
other its figures. Exit codes: 0, 1 where a benchmark's own subject was not measured, 130 after Ctrl-C.
"""

import argparse
import json
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, report
from benchmarks.benchmark import Kept, Run, measure_all
from benchmarks.chaos.report import kept, tables
from benchmarks.load.loader import BuiltIn, installed_loader
from benchmarks.progress import ProgressLine
from benchmarks.suite import BENCHMARKS

RESULTS = Path(__file__).parent / "results"
RESULTS_PAGE = RESULTS / "README.md"
_DOCS = Path(__file__).parents[1] / "docs"
PAGES = {report.CHAOS: _DOCS / "guarantees.md", report.BENCHMARKS: _DOCS / "benchmarks.md"}
"""Where each kind of result is shown."""
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Measure. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = options.benchmarks or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results: dict[str, dict[str, Any]] = {}
    try:
        _measure_all(names, options, results)
    except KeyboardInterrupt:
        print("interrupted: what was started has been ended", file=sys.stderr)
        return INTERRUPTED
    finally:
        if options.json and results:
            options.json.write_text(json.dumps(list(results.values()), indent=2) + "\n")
    parts = [part for each in results.values() for part in each["parts"]]
    return 0 if len(results) == len(names) and all(part["subject"] in part["figures"] for part in parts) else 1


def _measure_all(names: list[str], options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    about = {"machine": machine.description(), "quick": options.quick}
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as directory,
        ProgressLine(Console(stderr=True), len(names)) as progress,
        Kept() as kept,
    ):
        place = Path(directory)
        place.chmod(0o755)  # for servers that give up root
        loader = BuiltIn(place) if options.built_in_load else installed_loader(place)
        run = Run(options.quick, loader, place, progress, alone=options.alone, asked_rounds=options.rounds, kept=kept)
        for name in names:
            try:
                results[name] = {**measure_all(BENCHMARKS[name], run), **about, "loader": loader.name}
            except (RuntimeError, OSError) as failed:  # something did not start: the other benchmarks still run
                print(f"**{name}**: not measured: {failed}\n", flush=True)
                continue
            progress.finished()
            print(report.table(results[name]) + "\n", flush=True)
            _keep(results[name], options)


def _keep(result: dict[str, Any], options: argparse.Namespace) -> None:
    if options.plots:
        from benchmarks.plots import plot

        options.plots.mkdir(parents=True, exist_ok=True)
        plot(result, options.plots / f"{result['benchmark']}.png")
    if options.save:
        (RESULTS / f"{result['benchmark']}.json").write_text(json.dumps(result, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    told = "\n".join(f"  {name:<12} {benchmark.asks}" for name, benchmark in BENCHMARKS.items())
    parser.epilog = f"benchmarks:\n{told}"
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help="by name (default: all)")
    parser.add_argument("--quick", action="store_true", help="a minute's run: small sizes, short and few rounds")
    parser.add_argument("--alone", action="store_true", help="without baselines, to try a change")
    parser.add_argument("--rounds", type=int, metavar="N", help="of each contender (default 5, quick 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw a PNG of each there (needs matplotlib)")
    parser.add_argument("--save", action="store_true", help="keep each result in benchmarks/results")
    parser.add_argument("--built-in-load", action="store_true", help="do without wrk even where it is installed")
    return parser


def report_command(arguments: list[str]) -> int:
    """Print the tables, or put them into a page. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=report.__doc__)
    parser.add_argument("--write", action="store_true", help="into the pages of docs/ and of benchmarks/results")
    options = parser.parse_args(arguments)
    if options.write:
        for name, block in committed_report().items():
            PAGES[name].write_text(report.written_into(PAGES[name].read_text(), {name: block}))
        RESULTS_PAGE.write_text(committed_page())
    else:
        print(committed_page())
    return 0


def committed_report() -> dict[str, str]:
    """Of the results in `benchmarks/results`, by the page that shows it."""
    asks = {name: BENCHMARKS[name].asks for name in report.IN_SHORT}
    return {
        report.CHAOS: tables(kept(RESULTS / "chaos.json")),
        report.BENCHMARKS: report.markdown(report.load(RESULTS, list(asks)), asks),
    }


def committed_page() -> str:
    """All of them."""
    asks = {name: benchmark.asks for name, benchmark in BENCHMARKS.items()}
    return report.page(report.load(RESULTS, list(asks)), asks, {file.name for file in RESULTS.glob("*.png")})
