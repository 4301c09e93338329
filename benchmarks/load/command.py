"""`python -m benchmarks load`: how fast is a deployment at a given rate? Loopback by default.

Sends polls at a steady rate whatever the answers do, and tells percentiles of the time from each request's appointed
time to its answer, codes, errors and where answers came from. Ctrl-C ends it with the figures so far.
Exit codes: 0, 1 where a request was lost or answered with an error, 2 where it was not begun, 130 after Ctrl-C.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from benchmarks.load.open_loop import ERROR_STATUS, OpenLoop, Outcome, Pace
from benchmarks.load.target import CONFIRMATION, Refused, Target, ids_of_file, newest_ids
from benchmarks.progress import ProgressLine

SATURATED = 0.95
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--url", default="http://127.0.0.1:8080", help="a service, or a path of it (default: %(default)s)"
    )
    options.add_argument("--rate", type=_positive, default=100.0, help="requests a second (default 100)")
    options.add_argument("--duration", type=_positive, default=10.0, help="seconds (default 10)")
    options.add_argument("--connections", type=int, default=64, help="at most so many are open (default 64)")
    options.add_argument("--timeout", type=_positive, default=10.0, help="seconds until a request is lost (default 10)")
    options.add_argument("--ids", type=Path, metavar="FILE", help="process IDs, one a line (default: the newest 100)")
    options.add_argument("--api-key", metavar="KEY", help="(default: PROCESS_STATUS_API_KEY)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options.add_argument(CONFIRMATION, action="store_true", dest="confirmed", help="for any host but this machine")
    return options


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def main(arguments: list[str]) -> int:
    """Run the command. Returns its exit code."""
    from service.terminal.settings import ClientSettings

    options = parser().parse_args(arguments)
    try:
        target = Target.of(
            options.url, api_key=options.api_key or ClientSettings().api_key, confirmed=options.confirmed
        )
        ids = ids_of_file(options.ids) if options.ids else []
        requests = target.requests(ids or ([] if target.path else newest_ids(target)))
    except Refused as why:
        print(f"not begun: {why}", file=sys.stderr)
        return 2
    pace = Pace(options.rate, options.duration, options.connections, options.timeout)
    outcome, interrupted = uvloop.run(_run(OpenLoop(target, requests, pace), pace))
    told = figures(outcome, pace)
    print(text(told))
    if options.json:
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    if interrupted:
        return INTERRUPTED
    return 1 if outcome.lost or any(status >= ERROR_STATUS for status in outcome.answers) else 0


async def _run(load: OpenLoop, pace: Pace) -> tuple[Outcome, bool]:
    """Until it has ended, or Ctrl-C; whether it was that."""
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(load.run(), name="load")
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with ProgressLine(Console(stderr=True), 1) as progress:
        while not running.done():
            outcome = load.outcome
            progress.step(
                f"{outcome.begun} of {round(pace.per_second * pace.seconds)} begun, {outcome.answered} answered"
            )
            await asyncio.wait({running}, timeout=1)
    if not running.cancelled():
        running.result()
    return load.outcome, running.cancelled()


def figures(outcome: Outcome, pace: Pace) -> dict[str, Any]:
    """As plain values. No latency where the loader was too slow to keep its appointments, and why."""
    seconds = outcome.ended_at - outcome.started_at
    told: dict[str, Any] = {
        "asked_per_s": pace.per_second,
        "seconds": seconds,
        "begun": outcome.begun,
        "answered": outcome.answered,
        "answered_per_s": outcome.answered / seconds,
        "codes": {str(status): count for status, count in sorted(outcome.answers.items())},
        "lost": dict(outcome.lost),
        "x_cache": {name: count / outcome.x_cache.total() for name, count in outcome.x_cache.most_common()},
        "loader_cores": outcome.cpu_s / seconds,
    }
    if not len(outcome.latencies):
        told["latency_not_measured"] = "no request was answered without an error"
    elif told["loader_cores"] > SATURATED:
        told["latency_not_measured"] = "the loader was at its limit: ask for a lower rate, or load from more machines"
    else:
        told["latency_ms"] = outcome.latencies.percentiles_ms()
    return told


def text(told: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{told['begun']} requests begun in {told['seconds']:.1f} s ({told['asked_per_s']:g}/s asked for), "
        f"{told['answered']} answered",
        "codes      " + (", ".join(f"{code}: {count}" for code, count in told["codes"].items()) or "none"),
        "lost       " + (", ".join(f"{why}: {count}" for why, count in told["lost"].items()) or "none"),
        "X-Cache    " + (", ".join(f"{name}: {share:.1%}" for name, share in told["x_cache"].items()) or "none"),
    ]
    if "latency_ms" in told:
        shown = ", ".join(f"{name} {value:.2f} ms" for name, value in told["latency_ms"].items())
        lines.append(f"latency    {shown}, from the appointed time")
    else:
        lines.append(f"latency    not measured: {told['latency_not_measured']}")
    return "\n".join(lines)
