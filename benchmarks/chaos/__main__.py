"""Clients poll while everything around the service is broken, and every answer is checked.

Prints a table. Exit code 1 where anything happened that never may, or fewer answers came than were asked for.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.chaos import report
from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.options import REPOSITORY, Options
from benchmarks.chaos.result import Result
from benchmarks.chaos.run import run

COMMITS_PER_SECOND = {"stream": 40.0, "on_snapshot": 15.0}
"""What each listener keeps up with while clients use up the rest of its process's one core."""

LISTENERS = {"both": ("stream", "on_snapshot"), "stream": ("stream",), "on_snapshot": ("on_snapshot",)}

RESULTS = Path(__file__).parents[1] / "results" / "chaos.json"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run it. Returns the exit code."""
    options = _parser().parse_args()
    files = [file for file in (options.json, RESULTS if options.save else None) if file is not None]
    results, runs = [], []
    for listener in LISTENERS[options.listener]:
        say(f"{listener}: {options.seconds:g} s, seed {options.seed}")
        about = machine.description()  # before: how busy it is with other things
        results.append(run(_options_of(listener, options), say))
        runs.append(report.plain(results[-1], about))
        for file in files:
            report.keep(file, runs[-1])
    print(report.tables(runs))
    for example in [example for result in results for example in result.examples]:
        print(example[:1000])
    return 1 if any(result.forbidden or _is_short(result, options.answers) for result in results) else 0


def _is_short(result: Result, asked: int) -> bool:
    missing = asked - result.verdicts.checked
    if missing > 0:
        say(f"{result.listener}: {missing:,} answers fewer than asked for")
    return missing > 0


def _options_of(listener: str, options: argparse.Namespace) -> Options:
    return Options(
        listener,
        options.seconds,
        options.answers,
        options.seed,
        window=options.window,
        commits_per_second=COMMITS_PER_SECOND[listener],
        audit_sample=options.audit_sample,
        kinds=tuple(options.fault),
        rounds=options.rounds,
        checkout=options.checkout.resolve(),
        is_group=options.group,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each listener (default 60)")
    parser.add_argument("--answers", type=int, default=0, help="go on, at most three times as long, until so many")
    parser.add_argument("--listener", choices=LISTENERS, default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=int, default=60, help="WINDOW_SIZE of the service; 0 is everything")
    parser.add_argument("--group", action="store_true", help="processes of a collection group, below several parents")
    parser.add_argument("--audit-sample", type=int, default=0, help="AUDIT_SAMPLE (default: the whole window)")
    parser.add_argument(
        "--fault", action="append", default=[], choices=KINDS, help="only this kind of fault; may be given again"
    )
    parser.add_argument("--rounds", type=int, default=0, help="so often each fault, and then the end")
    parser.add_argument(
        "--checkout", type=Path, default=REPOSITORY, metavar="DIR", help="whose service is tried (default: this one's)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep each listener's run there")
    parser.add_argument("--save", action="store_true", help="keep it in benchmarks/results, for docs/guarantees.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
