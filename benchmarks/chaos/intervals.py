"""Spans of time in which something is excused, noted by the thread that causes it and read by the one that judges."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time_ns

from benchmarks.chaos.history import FOREVER


@dataclass
class Interval:
    """Microseconds since the epoch."""

    from_us: int
    until_us: int = FOREVER


@dataclass
class Intervals:
    """Those of one kind. One that goes on has no end yet."""

    spans: list[Interval] = field(default_factory=list)

    @contextmanager
    def noted(self, aftermath_s: float = 0.0) -> Iterator[None]:
        """What happens within, and for so long after it."""
        span = Interval(time_ns() // 1000)
        self.spans.append(span)
        try:
            yield
        finally:
            span.until_us = time_ns() // 1000 + int(aftermath_s * 1_000_000)

    def overlap_us(self, from_us: int, until_us: int) -> int:
        """How much of that time is excused."""
        return sum(max(0, min(span.until_us, until_us) - max(span.from_us, from_us)) for span in self.spans)

    def contains(self, instant_us: int) -> bool:
        return any(span.from_us <= instant_us <= span.until_us for span in self.spans)
