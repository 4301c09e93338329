"""A circuit breaker for direct reads: it knows whether Firestore can be read at all.

Pure: time and randomness are injected, and nothing here waits. While the circuit is not closed, no read goes out;
`Recovery` makes one attempt at a time. This module logs every transition, but no single read: so during an outage, the
polls that fail write no lines.
"""

import logging
from collections.abc import Callable
from enum import StrEnum
from random import Random

from listeners.listener import Clock
from listeners.supervisor import LogPace
from service.errors import Unreachable

log = logging.getLogger(__name__)


class CircuitState(StrEnum):
    """Closed: reads go out. Open: none goes out before the next attempt. Half-open: an attempt is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """Opens when a read fails and no read has succeeded since that one began. The next success closes it."""

    FIRST_DELAY_S = 1.0
    LONGEST_DELAY_S = 3.0
    """The longest pause between two attempts.

    With the time of an attempt, reads work within 10 s of Firestore's return.
    """
    FACTOR = 1.5
    JITTER = 0.25

    def __init__(self, *, clock: Clock, rng: Random, on_open: Callable[[], None] = lambda: None) -> None:
        self.state = CircuitState.CLOSED
        self.reason = ""
        self.is_refused = False
        """Whether Firestore has answered that it refuses all reads, until an operator changes something."""
        self.successes = 0
        """The number of successful reads. Each read notes this number when it begins."""
        self._clock = clock
        self._rng = rng
        self._on_open = on_open
        self._log_pace = LogPace(clock)
        self._is_shown = False
        self._opened_at = 0.0
        self._delay_s = 0.0
        self._due_at = 0.0

    def __repr__(self) -> str:
        return f"<Circuit {self.state} {self.reason!r}>"

    @property
    def is_closed(self) -> bool:
        return self.state is CircuitState.CLOSED

    def check(self) -> None:
        """Raises Unreachable while the circuit is not closed."""
        if self.state is not CircuitState.CLOSED:
            raise Unreachable(self.reason)

    @property
    def due_in_s(self) -> float:
        """Seconds until the next attempt."""
        return max(0.0, self._due_at - self._clock())

    def succeeded(self) -> None:
        """A read or an attempt succeeded."""
        self.successes += 1
        if self.state is not CircuitState.CLOSED:
            self._enter(CircuitState.CLOSED, "")

    def read_failed(self, successes_before: int, reason: str, *, is_refused: bool = False) -> None:
        """A read and its retries ended without an answer.

        `successes_before` is the number of successes when it began.
        """
        if self.state is CircuitState.CLOSED and self.successes == successes_before:
            self.is_refused = is_refused
            self._delay_s, self._opened_at = 0.0, self._clock()
            self._schedule()
            self._enter(CircuitState.OPEN, reason)
            self._on_open()

    def attempt_begins(self) -> None:
        """An attempt begins. No other may begin before it has succeeded or failed."""
        self._enter(CircuitState.HALF_OPEN, self.reason)

    def attempt_failed(self, reason: str, *, is_refused: bool = False) -> None:
        """An attempt failed. Ignored if a read has succeeded meanwhile."""
        if self.state is CircuitState.HALF_OPEN:
            self.is_refused = is_refused
            self._schedule()
            self._enter(CircuitState.OPEN, reason)

    def _schedule(self) -> None:
        """Set the time of the next attempt: the first is due at once, later ones at growing intervals."""
        jitter = self._rng.uniform(1 - self.JITTER, 1 + self.JITTER)
        self._due_at = self._clock() + self._delay_s * jitter
        self._delay_s = min(max(self.FIRST_DELAY_S, self._delay_s * self.FACTOR), self.LONGEST_DELAY_S)

    def _enter(self, state: CircuitState, reason: str) -> None:
        previous, self.state, self.reason = self.state, state, reason
        facts = {"circuit": state.value, "previous_circuit": previous.value}
        if state is CircuitState.CLOSED:
            level = logging.WARNING if self._is_shown else logging.DEBUG
            log.log(level, "direct reads work again after %.1f s", self._clock() - self._opened_at, extra=facts)
            self._is_shown = False
        elif state is CircuitState.OPEN:
            self._log_outage(reason, facts)

    def _log_outage(self, reason: str, facts: dict[str, str]) -> None:
        kind = "refused" if self.is_refused else "unreachable"
        level = logging.ERROR if self.is_refused else logging.WARNING
        is_due = self._log_pace.is_due(kind)
        self._is_shown = self._is_shown or is_due
        message = "Firestore refuses direct reads: %s" if self.is_refused else "direct reads do not reach Firestore: %s"
        log.log(level if is_due else logging.DEBUG, message, reason, extra=facts)
