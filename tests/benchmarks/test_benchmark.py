"""How contenders are measured: in alternation, with ratios of the same round, and no figure that was not measured."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.benchmark import Benchmark, Figures, Part, Run, measure, measure_all
from benchmarks.load.loader import BuiltIn
from benchmarks.machine import Cores
from benchmarks.refusal import NotMeasured


class Steps:
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def step(self, text: str) -> None:
        self.told.append(text)


def turns(*values: float) -> Callable[[], Figures]:
    left = iter(values)
    return lambda: {"per_s": next(left)}


def refuses() -> Figures:
    raise NotMeasured("errors among 7 answers")


def does_not_answer() -> Figures:
    raise TimeoutError("timed out")


def breaks_elsewhere() -> Figures:
    raise RuntimeError("service: Traceback (most recent call last):\n  File x\nCannotConfirm: why\n")


def test_every_second_round_is_the_other_way_round() -> None:
    steps = Steps()
    measure(Part("hits", {"ours": turns(1, 1, 1), "theirs": turns(1, 1, 1)}, 3), "hit", steps)
    assert [step.partition(": ")[2] for step in steps.told] == [
        "ours, round 1 of 3",
        "theirs, round 1 of 3",
        "theirs, round 2 of 3",
        "ours, round 2 of 3",
        "ours, round 3 of 3",
        "theirs, round 3 of 3",
    ]


def test_the_first_is_compared_with_the_others() -> None:
    result = measure(Part("hits", {"ours": turns(20, 60), "theirs": turns(10, 10)}, 2), "hit", Steps())
    assert result == {
        "part": "hits",
        "subject": "ours",
        "figures": {
            "ours": {"per_s": {"min": 20, "median": 40, "max": 60, "runs": 2}},
            "theirs": {"per_s": {"min": 10, "median": 10, "max": 10, "runs": 2}},
        },
        "ratios": {"theirs": {"per_s": {"min": 2, "median": 4, "max": 6, "runs": 2}}},
        "not_measured": {},
    }


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        (refuses, "errors among 7 answers"),
        (does_not_answer, "TimeoutError: timed out"),
        (breaks_elsewhere, "RuntimeError: CannotConfirm: why"),
    ],
)
def test_one_that_is_refused_in_any_round_has_no_figure(fails: Callable[[], Figures], why: str) -> None:
    first = turns(10)

    def later_refused() -> Figures:
        try:
            return first()
        except StopIteration:
            return fails()

    result = measure(Part("hits", {"ours": turns(1, 1), "theirs": later_refused}, 2), "hit", Steps())
    assert set(result["figures"]) == {"ours"}
    assert result["ratios"] == {}
    assert result["not_measured"] == {"theirs": why}


def test_without_the_one_that_is_asked_about_there_is_no_ratio() -> None:
    result = measure(Part("hits", {"ours": refuses, "theirs": turns(1)}, 1), "hit", Steps())
    assert set(result["figures"]) == {"theirs"}
    assert result["ratios"] == {}


def test_baselines_that_are_left_out_are_named() -> None:
    result = measure(Part("hits", {"ours": turns(1)}, 1, {"nginx": "not installed: nginx"}), "hit", Steps())
    assert result["not_measured"] == {"nginx": "not installed: nginx"}


def test_what_a_part_needs_is_ended_even_where_a_round_breaks(tmp_path: Path) -> None:
    ended: list[str] = []

    def breaks() -> Figures:
        raise KeyboardInterrupt

    def parts(_: Run) -> Iterator[Part]:
        try:
            yield Part("hits", {"ours": breaks}, 1)
        finally:
            ended.append("the server")

    benchmark = Benchmark("hit", "?", ("per_s",), parts)
    with pytest.raises(KeyboardInterrupt) as broken:
        measure_all(benchmark, Run(True, BuiltIn(tmp_path), tmp_path, Steps()))
    assert ended == ["the server"]
    assert broken.tb  # its frames are still there: nothing was ended merely because nobody needed it any more


@pytest.mark.parametrize(
    ("available", "server", "loader", "helpers"),
    [
        ([], set(), set(), set()),
        ([3], set(), set(), set()),
        ([0, 1], {0}, {1}, {1}),
        ([2, 4, 6, 8], {2}, {4}, {6, 8}),
    ],
)
def test_nothing_is_pinned_where_there_is_one_core(
    available: list[int], server: set[int], loader: set[int], helpers: set[int]
) -> None:
    assert Cores.shared_out(available) == Cores(frozenset(server), frozenset(loader), frozenset(helpers))


def test_workers_take_the_loaders_core_last() -> None:
    assert Cores.shared_out([0, 1]).first(1) == {0}
    assert Cores.shared_out([0, 1]).first(2) == {0, 1}
    assert Cores.shared_out([0, 1, 2, 3]).first(3) == {0, 2, 3}
    assert Cores.shared_out([0]).first(2) == set()
