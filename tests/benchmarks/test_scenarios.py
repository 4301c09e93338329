"""What can happen to a service does happen, and is refused where it does not: small, and not for the figures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import scenarios
from benchmarks.benchmark import Run
from benchmarks.load.loader import BuiltIn
from benchmarks.refusal import NotMeasured
from benchmarks.scenarios import Scenario, Scene
from benchmarks.start import firestore
from benchmarks.suite import loop
from benchmarks.turning_service import turning_service

HELD = 2_000


class Silent:
    def step(self, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("run")
    return Run(True, BuiltIn(directory), directory, Silent(), asked_rounds=1)


@pytest.fixture(scope="module")
def scene(run: Run) -> Iterator[Scene]:
    with firestore(run, HELD) as database:
        scenarios.furnish(database)
        with turning_service(database.ask("host"), **loop.SETTINGS) as child:
            child.ask("start", HELD + 2)
            yield Scene(database, child, HELD)


def kinds() -> dict[str, Scenario]:
    return loop.kinds(Run(True, BuiltIn(Path()), Path(), Silent()))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", list(kinds()))
def test_it_happens_and_its_hold_is_a_figure(run: Run, scene: Scene, name: str) -> None:
    figures = loop.longest(run, scene, kinds()[name])
    assert set(figures) == {"longest_cpu_ms", "longest_wall_ms", "turns"}
    assert figures["longest_cpu_ms"] > 0


@pytest.mark.parametrize(
    "other",
    [
        scenarios.asks("/status/nobody"),
        scenarios.asks("/healthz", b"something else"),
        scenarios.asks("/status?limit=1001"),
    ],
    ids=["404", "another body", "400"],
)
def test_another_answer_than_meant_is_no_measurement(run: Run, scene: Scene, other: Scenario) -> None:
    with pytest.raises(NotMeasured, match="was answered"):
        loop.longest(run, scene, other)
