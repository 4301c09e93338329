"""The pause before the next attempt after a failure, by the kind of failure. Randomness is injected.

After an outage, of whatever length, the model must be back within 10 s of Firestore's return. Opening a stream takes up
to 5 s (`OPENING_S`), so the pause before an attempt never exceeds 4.5 s. Jitter keeps replicas from trying all at once.
"""

import random

from listeners.listener import TOO_MANY_OPEN_FILES, ListenerFailure

FIRST_S = 1.0
FACTOR = 1.5
JITTER = 0.5

MAXIMUM_S = 3.0
"""Before jitter, like the constants below."""

REFUSED_S = 20.0
"""The pause after a refusal that only an operator can end, and after RESOURCE_EXHAUSTED: attempts cost Firestore
something and seldom help. With jitter the pause is at most 30 s, so a repaired permission takes effect within 30 s."""

OWN_LIMIT_S = 1.0
"""The pause when this process has no file descriptor left: such attempts cost Firestore nothing."""


class BackOff:
    """First 0, then 1 s, then half as much again each time, up to a maximum. Jitter changes each pause by ± 50 %."""

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._next_s = 0.0

    def reset(self) -> None:
        """Start again: the next failure counts as the first in a row."""
        self._next_s = 0.0

    def delay_s(self, failure: ListenerFailure) -> float:
        """Count `failure`, and return the pause after it."""
        if failure.permanent or failure.reason == "resource_exhausted":
            wait_s = REFUSED_S
        elif failure.reason == TOO_MANY_OPEN_FILES:
            wait_s = min(self._next_s, OWN_LIMIT_S)
        else:
            wait_s = self._next_s
        self._next_s = min(max(FIRST_S, self._next_s * FACTOR), MAXIMUM_S)
        return wait_s * self._random.uniform(1 - JITTER, 1 + JITTER)
