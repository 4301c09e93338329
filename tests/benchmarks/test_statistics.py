"""What the figures of a benchmark are made of, with the results written out."""

import pytest

from benchmarks.load.latencies import Latencies
from benchmarks.statistics import percentile, ratios, spread, spreads

ONE_TO_A_HUNDRED = list(range(100, 0, -1))


def test_a_percentile_is_the_value_that_so_many_are_not_above() -> None:
    assert percentile(ONE_TO_A_HUNDRED, 0.5) == 51
    assert percentile(ONE_TO_A_HUNDRED, 0.99) == 100
    assert percentile([7.0], 0.0) == percentile([7.0], 1.0) == 7.0


def test_nothing_measured_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match="nothing was measured"):
        Latencies().percentile_ms(50)


def test_a_spread_tells_how_far_the_rounds_were_apart() -> None:
    assert spread([3.0, 1.0, 2.0, 10.0]) == {"min": 1.0, "median": 2.5, "max": 10.0, "runs": 4}


def test_spreads_are_told_of_each_figure() -> None:
    assert spreads([{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.0}]) == {
        "a": {"min": 1.0, "median": 2.0, "max": 3.0, "runs": 2},
        "b": {"min": 5.0, "median": 5.0, "max": 5.0, "runs": 2},
    }


def test_a_ratio_compares_what_ran_in_the_same_round() -> None:
    ours = [{"per_s": 20.0}, {"per_s": 2.0}, {"per_s": 30.0}]  # the machine was busy in the second round
    theirs = [{"per_s": 10.0}, {"per_s": 1.0}, {"per_s": 10.0}]
    assert ratios(ours, theirs) == {"per_s": {"min": 2.0, "median": 2.0, "max": 3.0, "runs": 3}}


def test_a_figure_that_one_lacks_or_that_is_zero_has_no_ratio() -> None:
    assert ratios([{"a": 1.0, "b": 1.0, "c": 1.0}], [{"b": 0.0, "c": 4.0}]) == {
        "c": {"min": 0.25, "median": 0.25, "max": 0.25, "runs": 1}
    }


def test_latencies_keep_three_digits_of_a_microsecond_and_of_a_minute() -> None:
    latencies = Latencies()
    for seconds in (0.000_123, 0.004_56, 60.0):
        latencies.record(seconds)
    assert latencies.percentile_ms(33) == pytest.approx(0.123, rel=0.001)
    assert latencies.percentile_ms(66) == pytest.approx(4.56, rel=0.001)
    assert latencies.percentile_ms(100) == pytest.approx(60_000, rel=0.001)
    assert len(latencies) == 3


def test_a_latency_of_nothing_and_one_without_end_are_counted() -> None:
    latencies = Latencies()
    latencies.record(0.0)
    latencies.record(1e9)
    assert len(latencies) == 2
    assert latencies.percentile_ms(100) == pytest.approx(3_600_000, rel=0.001)
