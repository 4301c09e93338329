"""How long a watch has been silent, and what to do about it. Pure.

Time counts in steps, so a freeze counts as one step. A watch is not silent while it handles a response.
"""

from listeners.endpoints import OPENING_S

INTERVALS = 3
"""Probe intervals that a watch can be silent. A probe is sent at the end of the first and of the second."""

LONGEST_STEP_S = 1.0
STEPS = 4
"""The least number of steps in a probe interval."""


class Silence:
    """The silence of one watch. `idle_timeout_s` is the limit if no probe can break the silence."""

    def __init__(self, probe_interval_s: float, idle_timeout_s: float) -> None:
        self._probe_interval_s = probe_interval_s
        self._idle_timeout_s = idle_timeout_s
        self._heard = 0
        self._seconds = 0.0
        self._probes = 0
        self.step_s = min(LONGEST_STEP_S, probe_interval_s / STEPS)
        self.limit_s = min(OPENING_S, idle_timeout_s)

    def pass_step(self, heard: int, *, is_working: bool, is_probed: bool) -> None:
        """Let one step pass. `heard`: the number of responses so far.

        `is_probed`: whether a probe would be answered.
        """
        self._seconds += self.step_s
        if is_working or heard != self._heard:
            self._heard, self._seconds, self._probes = heard, 0.0, 0
        if is_probed:
            self.limit_s = INTERVALS * self._probe_interval_s
        elif heard:
            self.limit_s = self._idle_timeout_s

    @property
    def is_over_limit(self) -> bool:
        """Whether the watch counts as stalled."""
        return self._seconds > self.limit_s

    def takes_probe(self) -> bool:
        """Whether to send another probe now: once per interval of silence."""
        if self._seconds < (self._probes + 1) * self._probe_interval_s:
            return False
        self._probes += 1
        return True
