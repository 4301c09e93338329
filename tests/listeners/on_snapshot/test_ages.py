"""Ages without probes, while the wall clock jumps. Times are in seconds; Firestore's clock is the right one."""

import pytest

from listeners.on_snapshot.ages import Ages

EPOCH_S = 1_700_000_000.0
HOUR_S = 3600.0


class Machine:
    """A machine whose own clock runs on, and whose wall clock is off by `error_s`."""

    def __init__(self, error_s: float = 0.0) -> None:
        self.now = 1000.0
        self.error_s = error_s
        self.ages = Ages(lambda: self.now, lambda: EPOCH_S + self.now + self.error_s)

    def age_of_point(self, true_age_s: float) -> float:
        """What is claimed of a point of this age that arrives now."""
        return self.now - self.ages.as_of(round((EPOCH_S + self.now - true_age_s) * 1_000_000))


def test_a_right_wall_clock_shows_the_age() -> None:
    machine = Machine()
    for true_age_s in (0.0, 0.2, 30.0):
        machine.now += 40
        assert machine.age_of_point(true_age_s) == pytest.approx(true_age_s, abs=0.001)


@pytest.mark.parametrize("true_age_s", [0.0, 3.0, 300.0])
def test_a_wall_clock_that_jumps_back_makes_no_point_younger(
    true_age_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    machine.age_of_point(0.0)
    machine.now += 10
    machine.error_s = -HOUR_S
    assert machine.age_of_point(true_age_s) == pytest.approx(true_age_s, abs=0.02)
    assert "the wall clock has jumped by -3600.0 s" in caplog.text
    assert "behind Firestore's" in caplog.text


def test_a_wall_clock_that_jumps_ahead_makes_points_old_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.age_of_point(0.0)
    machine.error_s = HOUR_S
    assert machine.age_of_point(0.0) == pytest.approx(HOUR_S, abs=0.001)
    assert "the wall clock has jumped by +3600.0 s" in caplog.text
    machine.error_s = 0.0
    assert machine.age_of_point(0.0) == pytest.approx(0.0, abs=0.001)


def test_a_wall_clock_that_was_behind_from_the_start_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(error_s=-HOUR_S)
    for _ in range(5):
        machine.now += 1
        machine.age_of_point(0.1)
    assert machine.age_of_point(20.0) == pytest.approx(19.9, abs=0.01)
    assert len(caplog.records) == 1


def test_small_steps_of_the_wall_clock_are_no_jump(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    for number in range(20):
        machine.now += 1
        machine.error_s = 0.01 * (number % 3)
        machine.age_of_point(0.0)
    assert caplog.records == []


def test_an_early_estimate_gives_way_as_clocks_drift_apart() -> None:
    """Firestore's clock runs slower than this machine's, by 500 ppm, for a day."""
    machine = Machine()
    machine.age_of_point(0.0)
    machine.now += 86_400
    machine.error_s = -86_400 * 0.0005
    assert machine.age_of_point(86_400 * 0.0005) == pytest.approx(0.0, abs=0.01)
