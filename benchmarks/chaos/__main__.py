"""The command line of the chaos run: its table, and exit code 1 where anything happened that never may."""

import argparse
import dataclasses
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.chaos.injector import KINDS
from benchmarks.chaos.options import Options
from benchmarks.chaos.run import Result, run

COMMITS_PER_SECOND = {"stream": 40.0, "on_snapshot": 15.0}
"""What each listener keeps up with while clients use up the rest of its process's one core."""

LISTENERS = {"both": ("stream", "on_snapshot"), "stream": ("stream",), "on_snapshot": ("on_snapshot",)}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def figures(result: Result) -> dict[str, Any]:
    """One run as plain values; the first seven are forbidden to be anything but 0."""
    verdicts = result.verdicts
    return {
        "wrong": verdicts.wrong,
        "bound broken": verdicts.bound_broken,
        "backwards": verdicts.backwards,
        "5xx other than 503": verdicts.server_errors,
        "unanswered": verdicts.unanswered,
        "not recovered in time": len(result.recoveries.overdue),
        "unexpected errors logged": len(result.errors_logged),
        "exit code": result.exit_code,
        "answers checked": verdicts.checked,
        "seconds": round(result.seconds),
        "commits": result.commits,
        "503 with Retry-After": verdicts.refused,
        "believed a lie, within the audit's bound": verdicts.believed_a_lie,
        "max memory, MiB": result.max_rss_mib,
        **dict(sorted(verdicts.by_source.items())),
    }


def table(results: list[Result]) -> str:
    """Markdown."""
    columns = [figures(result) for result in results]
    names = list(dict.fromkeys(name for column in columns for name in column))
    lines = [
        "| | " + " | ".join(f"`{result.listener}`" for result in results) + " |",
        "| --- |" + " ---: |" * len(results),
    ]
    lines += [f"| {name} | " + " | ".join(f"{column.get(name, 0):,}" for column in columns) + " |" for name in names]
    lines += ["", "Seconds to recover, p50 / max (times):", "", *lines[:2]]
    kinds = sorted({kind for result in results for kind in result.recoveries.seconds})
    lines += [f"| {kind} | " + " | ".join(_recovery(result, kind) for result in results) + " |" for kind in kinds]
    return "\n".join(lines)


def _recovery(result: Result, kind: str) -> str:
    seconds = result.recoveries.seconds.get(kind)
    return f"{statistics.median(seconds):.2f} / {max(seconds):.2f} ({len(seconds)})" if seconds else "-"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each listener (default 60)")
    parser.add_argument("--answers", type=int, default=0, help="go on, at most three times as long, until so many")
    parser.add_argument("--listener", choices=LISTENERS, default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=int, default=60, help="WINDOW_SIZE of the service; 0 is everything")
    parser.add_argument("--audit-sample", type=int, default=0, help="AUDIT_SAMPLE (default: the whole window)")
    parser.add_argument(
        "--fault", action="append", default=[], choices=KINDS, help="only this kind of fault; may be given again"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    results = []
    for listener in LISTENERS[options.listener]:
        say(f"{listener}: {options.seconds:g} s, seed {options.seed}")
        chosen = Options(
            listener,
            options.seconds,
            options.answers,
            options.seed,
            window=options.window,
            commits_per_second=COMMITS_PER_SECOND[listener],
            audit_sample=options.audit_sample,
            kinds=tuple(options.fault),
        )
        results.append(run(chosen, say))
    print(table(results))
    for example in [example for result in results for example in (*result.verdicts.examples, *result.errors_logged)]:
        print(example[:1000])
    if options.json is not None:
        options.json.write_text(json.dumps([_plain(result) for result in results], indent=2))
    return 1 if any(result.forbidden for result in results) else 0


def _plain(result: Result) -> dict[str, Any]:
    return {
        "listener": result.listener,
        "figures": figures(result),
        "recoveries": dataclasses.asdict(result.recoveries),
        "examples": result.verdicts.examples,
        "errors logged": result.errors_logged,
    }


if __name__ == "__main__":
    sys.exit(main())
