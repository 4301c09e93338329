"""When a watch that says nothing is probed, and when it is given up."""

from listeners.endpoints import OPENING_S
from listeners.on_snapshot.silence import Silence

INTERVAL_S, IDLE_S = 2.0, 120.0


class Watched:
    """A watch whose time the test lets pass; it has been opened."""

    def __init__(self, *, heard: int = 1, is_probed: bool = True) -> None:
        self.silence = Silence(INTERVAL_S, IDLE_S)
        self.heard, self.is_working, self.is_probed = heard, False, is_probed
        self.now_s = 0.0
        self.probed_at: list[float] = []
        self._step()

    def _step(self) -> None:
        self.silence.pass_step(self.heard, is_working=self.is_working, is_probed=self.is_probed)

    def lives_for(self, seconds: float) -> bool:
        """Let so much time pass. Whether the watch is not given up by then."""
        until_s = self.now_s + seconds
        while self.now_s < until_s and not self.silence.is_over_limit:
            self.now_s += self.silence.step_s
            self._step()
            if not self.silence.is_over_limit and self.is_probed and self.silence.takes_probe():
                self.probed_at.append(self.now_s)
        return not self.silence.is_over_limit


def test_two_probes_without_an_answer_are_the_end_after_a_third_interval() -> None:
    watched = Watched()
    assert watched.lives_for(3 * INTERVAL_S)
    assert watched.probed_at[:2] == [INTERVAL_S, 2 * INTERVAL_S]
    assert not watched.lives_for(watched.silence.step_s)


def test_an_answer_begins_the_silence_anew() -> None:
    watched = Watched()
    for _ in range(10):
        assert watched.lives_for(2 * INTERVAL_S)
        watched.heard += 1
        watched.lives_for(watched.silence.step_s)
    assert len(watched.probed_at) == 20


def test_a_watch_that_hears_enough_is_not_probed() -> None:
    watched = Watched()
    for _ in range(100):
        watched.heard += 1
        assert watched.lives_for(INTERVAL_S / 2)
    assert watched.probed_at == []


def test_a_watch_at_work_is_not_silent() -> None:
    watched = Watched()
    watched.is_working = True
    assert watched.lives_for(100 * INTERVAL_S)
    assert watched.probed_at == []


def test_what_cannot_be_probed_has_the_time_of_the_idle_timeout() -> None:
    watched = Watched(is_probed=False)
    assert watched.lives_for(IDLE_S)
    assert not watched.lives_for(watched.silence.step_s)


def test_the_first_word_comes_within_the_time_of_an_opening() -> None:
    watched = Watched(heard=0, is_probed=False)
    assert not watched.lives_for(OPENING_S)


def test_steps_are_short_enough_for_the_interval_and_at_most_a_second() -> None:
    assert [Silence(interval_s, IDLE_S).step_s for interval_s in (0.4, 2.0, 40.0)] == [0.1, 0.5, 1.0]
