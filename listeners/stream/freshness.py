"""How old is what Firestore says? A bound that is never too young, from what was sent and what came back. Pure.

A target added at local time s, answered by a consistent point of Firestore time r, was added before r: at the local
instant s or later Firestore's clock showed r or less. So Firestore's clock is ahead of the local one by at most r - s,
and any Firestore time r' was at the local instant r' - (r - s) or later. When a message is *received* proves nothing: a
process that was frozen reads minutes-old messages from its socket.

The smallest such difference is the tightest bound; it is widened by what two clocks can drift apart since it was
proven, so an old proof gives way to newer ones.
"""

DRIFT = 0.001
"""Seconds per second: twice what NTP may slew a clock (500 ppm); Firestore's leap smear adds 12 ppm."""

TOLERANCE_S = 0.001
"""How far a message can come before its time, both clocks' granularity considered."""


class Freshness:
    """The clocks' difference on one stream, and what it proves."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None  # Firestore's clock minus the local one, at most
        self._proven_at = float("-inf")
        self._as_of = float("-inf")

    @property
    def reached(self) -> float:
        """The local instant up to which the stream's consistent points have come, as far as it is proven."""
        return self._as_of

    def prove(self, sent_at: float, read_time: int) -> None:
        """A target added at `sent_at` was answered by a consistent point of `read_time` (microseconds)."""
        ahead_s = read_time / 1_000_000 - sent_at
        if self._ahead_s is None or ahead_s <= self._bound_s(sent_at):
            self._ahead_s, self._proven_at = ahead_s, sent_at
        self._as_of = max(self._as_of, sent_at)

    def as_of(self, read_time: int, received_at: float) -> float:
        """The local instant at or after which `read_time` was. Never goes back: a stream's read times don't.

        A point that seems to come from the future shows that a clock has jumped (a paused machine's stands still):
        then nothing is proven before the next answer.
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
