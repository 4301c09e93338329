"""Summaries of measured values: medians to quote, spreads to judge them by, ratios of what ran side by side."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above. Raises: ValueError where nothing was measured."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Minimum, median and maximum, and of how many."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values), "runs": len(values)}


def spreads(rounds: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Of each figure that every round has."""
    return {name: spread([each[name] for each in rounds]) for name in rounds[0]}


def ratios(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Of each figure that both have: the spread of ours over theirs, each round by itself.

    The two of one round were measured one after the other, so what slows the machine for a while slows both. A figure
    that is 0 in a round of theirs has no ratio.
    """
    shared = [name for name in ours[0] if name in theirs[0] and all(each[name] for each in theirs)]
    return {name: spread([mine[name] / its[name] for mine, its in zip(ours, theirs, strict=True)]) for name in shared}
