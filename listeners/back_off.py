"""How long to wait after the nth failure in a row, by what has failed. Randomness is injected.

An outage can last for hours: the model must be back within 10 s of Firestore's return. An attempt to open a stream
takes up to 5 s (`OPENING_S` of the listeners), so no wait after it exceeds 4.5 s. Jitter spreads the replicas.
"""

import random

from listeners.listener import TOO_MANY_OPEN_FILES, ListenerFailure

FIRST_S = 1.0
FACTOR = 1.5
JITTER = 0.5

MAXIMUM_S = 3.0
"""Without jitter, as all of these."""

REFUSED_S = 20.0
"""After a refusal that an operator must end, and after RESOURCE_EXHAUSTED: attempts cost Firestore something and seldom
help, but with jitter 30 s are the most that a repaired permission has to wait."""

OWN_LIMIT_S = 1.0
"""Where this process has no file descriptor left, attempts cost Firestore nothing."""


class BackOff:
    """0, then 1 s growing by half up to a maximum, all ± 50 %."""

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._next_s = 0.0

    def reset(self) -> None:
        """The next failure is the first in a row."""
        self._next_s = 0.0

    def delay_s(self, failure: ListenerFailure) -> float:
        """Count `failure`, and say how long to wait after it."""
        if failure.permanent or failure.reason == "resource_exhausted":
            wait_s = REFUSED_S
        elif failure.reason == TOO_MANY_OPEN_FILES:
            wait_s = min(self._next_s, OWN_LIMIT_S)
        else:
            wait_s = self._next_s
        self._next_s = min(max(FIRST_S, self._next_s * FACTOR), MAXIMUM_S)
        return wait_s * self._random.uniform(1 - JITTER, 1 + JITTER)
