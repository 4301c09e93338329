"""Chaos runs as plain values and as Markdown: the same table on the terminal and in docs/. Pure but for the file.

What may never happen comes first and is marked as such. The file keeps the last run of each listener, with where and
when it was.
"""

import dataclasses
import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaos.result import Result

NOT_RUN = "Not run yet: `make chaos` does, and keeps what comes of it."

NONE = "\N{EN DASH}"

Plain = dict[str, Any]
"""One listener's run."""


def plain(result: Result, machine: dict[str, Any]) -> Plain:
    """All that is kept of a run."""
    verdicts = result.verdicts
    return {
        "listener": result.listener,
        "machine": machine,
        "forbidden": result.rows,
        "figures": {
            "answers checked": verdicts.checked,
            **{f"of these {source}": count for source, count in _by_source(verdicts.by_source).items()},
            "of these 503 with `Retry-After`": verdicts.refused,
            "believed what Firestore kept from it, until the audit": verdicts.believed_a_lie,
            "the latest answer, s": round(verdicts.latest_s, 1),
            "batches of `/events` mirrored": result.mirrored.batches,
            "`reset`s among them": result.mirrored.resets,
            **result.findings.figures,
            "commits": result.commits,
            "faults": sum(map(len, result.recoveries.seconds.values())),
            "seconds": round(result.seconds),
            "most memory, MiB": result.max_rss_mib,
        },
        "answers": dict(sorted(verdicts.by_source.items())),
        "recoveries": dataclasses.asdict(result.recoveries),
        "examples": result.examples,
    }


def _by_source(answers: Counter[str]) -> dict[str, int]:
    """`200 HIT`, `304 HIT` and `404 HIT` are all `HIT`s."""
    return {
        f"`{source}`": sum(count for kind, count in answers.items() if kind.endswith(f" {source}"))
        for source in ("HIT", "MISS", "CACHED", "STALE")
    }


def tables(runs: Sequence[Plain]) -> str:
    """Markdown: what came of the answers, and how soon each fault was recovered from."""
    if not runs:
        return NOT_RUN
    where = "; ".join(dict.fromkeys(_where(run["machine"]) for run in runs))
    kinds = sorted({kind for run in runs for kind in run["recoveries"]["seconds"]}, key=str.lower)
    lines = [
        f"({where})",
        "",
        *_head("", runs),
        *(_row(f"**forbidden**: {name}", values) for name, values in _side_by_side("forbidden", runs)),
        *(_row(name, values) for name, values in _side_by_side("figures", runs)),
        "",
        *_head("seconds until the models are back, p50 / max; direct reads (times)", runs),
        *(_row(kind, [_recovery(run["recoveries"], kind) for run in runs]) for kind in kinds),
    ]
    return "\n".join(lines)


def _recovery(recoveries: Mapping[str, Any], kind: str) -> str:
    """`reads` is missing from runs of old."""
    models, reads = recoveries["seconds"].get(kind, []), recoveries.get("reads", {}).get(kind, [])
    if not models:
        return NONE
    return f"{_spread(models)}; {_spread(reads) if reads else NONE} ({len(models)})"


def _head(title: str, runs: Sequence[Plain]) -> list[str]:
    names = " | ".join(f"`{run['listener']}`" for run in runs)
    return [f"| {title} | {names} |" if title else f"| | {names} |", f"| --- |{' ---: |' * len(runs)}"]


def _side_by_side(part: str, runs: Sequence[Plain]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for run in runs for name in run[part])
    return [(name, [f"{run[part].get(name, 0):,}" for run in runs]) for name in names]


def _row(name: str, values: list[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} / {max(seconds):.2f}"


def _where(machine: dict[str, Any]) -> str:
    versions = machine["versions"]
    names = [name for name in ("Python", "aiohttp", "google-cloud-firestore") if name in versions]
    told = [machine["processor"], f"{machine['cores']} cores", *(f"{name} {versions[name]}" for name in names)]
    return ", ".join([*told, machine["date"]])


def kept(file: Path) -> list[Plain]:
    """The runs in a file; none where there is no such file."""
    return json.loads(file.read_text()) if file.exists() else []


def keep(file: Path, run: Plain) -> None:
    """Put a run into a file, in the place of the same listener's last one."""
    runs = {each["listener"]: each for each in kept(file)} | {run["listener"]: run}
    file.write_text(json.dumps(sorted(runs.values(), key=lambda each: each["listener"], reverse=True), indent=2) + "\n")
