"""The bound on the age of what Firestore says: never too young, whatever happens to messages, process or clocks.

Firestore's clock is written as the local one plus 1,000 s, in microseconds.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners.stream.freshness import DRIFT, Freshness

AHEAD_S = 1000


def firestore_time(local_s: float, ahead_s: float = AHEAD_S) -> int:
    return round((local_s + ahead_s) * 1_000_000)


def test_the_answer_to_a_probe_is_as_of_its_sending_at_least() -> None:
    freshness = Freshness()
    freshness.prove(10.0, firestore_time(10.3))
    assert freshness.as_of(firestore_time(10.3), 10.4) >= 10.0


def test_a_message_read_late_keeps_its_age() -> None:
    freshness = Freshness()
    freshness.prove(10.0, firestore_time(10.01))
    assert freshness.as_of(firestore_time(11.0), 611.0) == pytest.approx(10.99, abs=601 * DRIFT)
    assert freshness.as_of(firestore_time(11.0), 611.0) <= 10.99


def test_the_tightest_of_recent_proofs_counts() -> None:
    freshness = Freshness()
    freshness.prove(10.0, firestore_time(12.0))
    freshness.prove(15.0, firestore_time(15.01))
    freshness.prove(20.0, firestore_time(21.0))
    assert freshness.as_of(firestore_time(22.0), 22.0) == pytest.approx(21.99, abs=0.01)


def test_nothing_is_as_of_the_future() -> None:
    freshness = Freshness()
    freshness.prove(10.0, firestore_time(10.0))
    assert freshness.as_of(firestore_time(11.0015), 11.0) == 11.0


def test_a_point_from_the_future_shows_that_the_clock_stood_still_and_proves_nothing() -> None:
    freshness = Freshness()
    freshness.prove(10.0, firestore_time(10.01))
    last = freshness.as_of(firestore_time(12.0), 12.0)
    paused = AHEAD_S + 60  # the machine was paused for a minute that its clock has missed
    assert freshness.as_of(firestore_time(12.5, paused), 12.5) == last
    freshness.prove(13.0, firestore_time(13.01, paused))
    assert freshness.as_of(firestore_time(14.0, paused), 14.0) == pytest.approx(13.99, abs=0.002)


def test_before_any_proof_nothing_is_known() -> None:
    assert Freshness().as_of(firestore_time(10.0), 10.0) == float("-inf")


seconds = st.floats(0, 100, allow_nan=False)


@given(
    drift=st.floats(-DRIFT / 2, DRIFT / 2),
    steps=st.lists(
        st.tuples(st.sampled_from(["probe", "heartbeat"]), seconds, st.floats(0, 5), st.floats(0, 600)), max_size=30
    ),
)
def test_no_point_is_ever_said_to_be_younger_than_it_is(
    drift: float, steps: list[tuple[str, float, float, float]]
) -> None:
    """Firestore's clock drifts, answers are made late, and are read later still."""
    freshness, now, last_read = Freshness(), 0.0, 0.0
    for kind, pause_s, made_after_s, read_after_s in [("probe", 0.0, 0.1, 0.1), *steps]:
        sent_at = now = max(now + pause_s, last_read)
        made_at = sent_at + made_after_s
        now = last_read = made_at + read_after_s
        read_time = int((made_at * (1 + drift) + AHEAD_S) * 1_000_000)
        if kind == "probe":
            freshness.prove(sent_at, read_time)
        assert freshness.as_of(read_time, now) <= made_at + 1e-5
