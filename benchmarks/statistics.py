"""Summaries of measured values: medians to quote, spreads to judge them by."""

import statistics
from collections.abc import Sequence
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above. Raises: ValueError where nothing was measured."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Minimum, median and maximum, and of how many."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values), "runs": len(values)}
