"""A PNG for each benchmark: the medians of its first figure as bars, with the spread of the rounds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import number, title

OURS, THEIRS = "#1f6feb", "#8b949e"


def plot(result: Mapping[str, Any], file: Path) -> bool:
    """Draw it. Returns whether there was something to draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    bars = _bars(result)
    if not bars:
        return False
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.36 * len(bars)), layout="constrained")
    for place, (_, of, is_subject) in enumerate(bars):
        median = of["median"]
        spread = [[median - of["min"]], [of["max"] - median]]
        axes.barh(place, median, xerr=spread, color=OURS if is_subject else THEIRS, ecolor="#444444", capsize=2)
        axes.annotate(f" {number(median)}", (of["max"], place), va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(title(_figure(result)))
    axes.set_title(f"{result['benchmark']}: {result['asks']}", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
    return True


def _figure(result: Mapping[str, Any]) -> str:
    return str(result["headline"][0])


def _bars(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float], bool]]:
    name = _figure(result)
    return [
        (f"{part['part']}: {contender}", figures[name], contender == part["subject"])
        for part in result["parts"]
        for contender, figures in part["figures"].items()
        if name in figures
    ]
