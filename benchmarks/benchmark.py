"""What a benchmark is: parts, in each of which contenders are measured side by side, round after round.

A benchmark's file says what it asks and starts what is measured; the alternation, the ratios and the refusals are here,
once for all. The first contender of a part is the one that is asked about, the others are its baselines.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from benchmarks.load.loader import Loader
from benchmarks.machine import Cores
from benchmarks.refusal import NotMeasured
from benchmarks.statistics import ratios, spreads

Figures = dict[str, float]
"""Name, unit included (`p99_ms`), → value, of one round."""

Round = Callable[[], Figures]
"""Measures once. Raises: NotMeasured."""

QUICK_SECONDS, FULL_SECONDS = 1, 2
QUICK_ROUNDS, FULL_ROUNDS = 2, 5


class Progress(Protocol):
    """Whoever shows how far the run is."""

    def step(self, text: str) -> None:
        """This begins now."""


class Kept(ExitStack):
    """What several benchmarks of one run measure and takes minutes to start; ended with the run."""

    def __init__(self) -> None:
        super().__init__()
        self.services: dict[int, Any] = {}
        """`start.Held` by the number of processes held."""


@dataclass(frozen=True)
class Run:
    """What a benchmark is given."""

    quick: bool
    loader: Loader
    directory: Path
    """For logs and configurations; gone after the run."""
    progress: Progress
    cores: Cores = field(default_factory=Cores.of_this_machine)
    alone: bool = False
    """Without baselines."""
    asked_rounds: int | None = None
    kept: Kept = field(default_factory=Kept)

    @property
    def rounds(self) -> int:
        return self.asked_rounds or (QUICK_ROUNDS if self.quick else FULL_ROUNDS)

    @property
    def seconds(self) -> int:
        """How long one round of load takes."""
        return QUICK_SECONDS if self.quick else FULL_SECONDS


@dataclass(frozen=True)
class Part:
    """Contenders under the same conditions."""

    name: str
    contenders: Mapping[str, Round]
    rounds: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Baselines that can't be measured here, and why."""


@dataclass(frozen=True)
class Benchmark:
    """One file of `benchmarks/suite`."""

    name: str
    asks: str
    headline: tuple[str, ...]
    """The figures that the report shows, the one whose ratio counts first."""
    parts: Callable[[Run], Iterator[Part]]
    """A generator: what a part needs runs from before its `yield` until after it."""


def measure_all(benchmark: Benchmark, run: Run) -> dict[str, Any]:
    """Measure every part. The result is plain values, as `benchmarks/results` keeps them."""
    parts = benchmark.parts(run)
    try:
        measured = [measure(part, benchmark.name, run.progress) for part in parts]
    finally:
        parts.close()  # type: ignore[attr-defined]  # a generator: what it started ends now, Ctrl-C or not
    return {
        "benchmark": benchmark.name,
        "asks": benchmark.asks,
        "headline": list(benchmark.headline),
        "parts": measured,
    }


def measure(part: Part, name: str, progress: Progress) -> dict[str, Any]:
    """Measure the contenders in alternation, every second round the other way round."""
    rounds: dict[str, list[Figures]] = {contender: [] for contender in part.contenders}
    refused = dict(part.left_out)
    for number in range(part.rounds):
        order = list(part.contenders) if number % 2 == 0 else list(part.contenders)[::-1]
        for contender in order:
            if contender in refused:
                continue
            progress.step(f"{name}, {part.name}: {contender}, round {number + 1} of {part.rounds}")
            try:
                rounds[contender].append(part.contenders[contender]())
            except NotMeasured as why:
                refused[contender] = str(why)
            except (OSError, HTTPException, RuntimeError) as error:  # it did not start, or not answer, or not in time
                refused[contender] = f"{type(error).__name__}: {_last_line(error)}"
    return _summary(part, {contender: made for contender, made in rounds.items() if contender not in refused}, refused)


def _last_line(error: Exception) -> str:
    """What it says in the end: an error of another process brings its traceback along."""
    return str(error).strip().rpartition("\n")[2]


def _summary(part: Part, rounds: Mapping[str, list[Figures]], refused: Mapping[str, str]) -> dict[str, Any]:
    subject = next(iter(part.contenders))
    baselines = [contender for contender in rounds if contender != subject]
    return {
        "part": part.name,
        "subject": subject,
        "figures": {contender: spreads(made) for contender, made in rounds.items()},
        "ratios": {baseline: ratios(rounds[subject], rounds[baseline]) for baseline in baselines}
        if subject in rounds
        else {},
        "not_measured": dict(refused),
    }
