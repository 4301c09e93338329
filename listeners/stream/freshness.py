"""How old is the state that Firestore has sent? An upper bound, from what was sent and what came back. Pure.

Suppose that a target was added at local time s, and answered by a consistent point of Firestore time r. Then it was
added before r: at the local instant s or later, Firestore's clock showed r or less. So Firestore's clock is ahead of
the local one by at most r - s. It follows that any Firestore time r' was at the local instant r' - (r - s) or later.
The time at which a message is *received* proves nothing: a process that was frozen reads minutes-old messages from its
socket.

The smallest such difference is the tightest bound. It grows with time, by what two clocks can drift apart, so that
newer proofs replace an old one.
"""

DRIFT = 0.001
"""Seconds per second: twice what NTP is allowed to slew a clock (500 ppm); Firestore's leap smear adds 12 ppm."""

TOLERANCE_S = 0.001
"""How much too early a message can seem to come, because both clocks have a granularity."""


class Freshness:
    """The difference of the two clocks on one stream, and what it proves."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None  # Firestore's clock minus the local one, at most
        self._proven_at = float("-inf")
        self._as_of = float("-inf")

    @property
    def reached(self) -> float:
        """The local instant that the stream's consistent points have reached, as far as it is proven."""
        return self._as_of

    def prove(self, sent_at: float, read_time: int) -> None:
        """A target added at `sent_at` was answered by a consistent point of `read_time` (microseconds)."""
        ahead_s = read_time / 1_000_000 - sent_at
        if self._ahead_s is None or ahead_s <= self._bound_s(sent_at):
            self._ahead_s, self._proven_at = ahead_s, sent_at
        self._as_of = max(self._as_of, sent_at)

    def as_of(self, read_time: int, received_at: float) -> float:
        """The local instant at or after which Firestore's clock showed `read_time`. It never goes back on one stream.

        If a point seems to come from the future, a clock has jumped (the clock of a paused machine stands still). Then
        nothing is proven before the next answer.
        """
        if self._ahead_s is not None:
            instant = read_time / 1_000_000 - self._bound_s(received_at)
            if instant > received_at + TOLERANCE_S:
                self._ahead_s = None
            else:
                self._as_of = max(self._as_of, min(instant, received_at))
        return self._as_of

    def _bound_s(self, at: float) -> float:
        assert self._ahead_s is not None  # noqa: S101 - asked only where there is a proof
        return self._ahead_s + DRIFT * max(0.0, at - self._proven_at)
