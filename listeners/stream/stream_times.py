"""How long a Listen stream can be silent, unanswered and open. Pure."""

from dataclasses import dataclass

from listeners.endpoints import OPENING_S

SYNCING_INTERVALS = 3
"""The silence, in probe intervals, that a stream is allowed before its first consistent point."""

STEPS = 8
"""How often the timers are checked within the shortest of their times."""


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
        """The time between two checks of the timers."""
        return min(self.probe_interval_s, self.idle_timeout_s, self.lifetime_s) / STEPS

    def silence_limit_s(self, *, has_begun: bool, has_synced: bool) -> float:
        """The longest silence that a stream is allowed: it differs before its first message, and before its first
        point.
        """
        if has_synced:
            return self.idle_timeout_s
        if not has_begun:
            return min(self.idle_timeout_s, self.opening_s)
        return min(self.idle_timeout_s, SYNCING_INTERVALS * self.probe_interval_s)
