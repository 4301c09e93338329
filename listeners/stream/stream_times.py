"""How long a Listen stream can be silent, unanswered and open. Pure."""

from dataclasses import dataclass

from listeners.endpoints import OPENING_S

SYNCING_INTERVALS = 3
"""Probe intervals of complete silence in which a stream that has begun can come to its first consistent point."""

STEPS = 8
"""Timers are looked at so often in the shortest of their times."""


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """The limits of one stream, in seconds."""

    probe_interval_s: float
    idle_timeout_s: float
    lifetime_s: float
    confirm_timeout_s: float
    opening_s: float = OPENING_S

    @property
    def step_s(self) -> float:
        """How often the timers are looked at."""
        return min(self.probe_interval_s, self.idle_timeout_s, self.lifetime_s) / STEPS

    def silence_limit_s(self, *, has_begun: bool, has_synced: bool) -> float:
        """How long a stream can be silent that has had its first message, or its first consistent point, or neither."""
        if has_synced:
            return self.idle_timeout_s
        if not has_begun:
            return min(self.idle_timeout_s, self.opening_s)
        return min(self.idle_timeout_s, SYNCING_INTERVALS * self.probe_interval_s)
