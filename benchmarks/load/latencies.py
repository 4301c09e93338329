"""Latencies in an HDR histogram: three digits of each, from a microsecond to an hour, in little memory."""

from hdrh.histogram import HdrHistogram

_LONGEST_US = 3_600_000_000
_DIGITS = 3
_TOLD = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}


class Latencies:
    """Values are recorded in seconds and told in milliseconds."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def record(self, seconds: float) -> None:
        self._histogram.record_value(min(max(round(seconds * 1e6), 1), _LONGEST_US))

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent are not above. Raises: ValueError where nothing was recorded."""
        if not len(self):
            raise ValueError("nothing was measured")
        return float(self._histogram.get_value_at_percentile(percent)) / 1e3

    def percentiles_ms(self) -> dict[str, float]:
        """Those that a report shows."""
        return {name: self.percentile_ms(percent) for name, percent in _TOLD.items()}
