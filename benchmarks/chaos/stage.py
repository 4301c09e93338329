"""What faults act on: Firestore, the network before each replica, the replicas, and the clients. And what they find."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chaos.intervals import Intervals
from benchmarks.chaos.service import Service
from benchmarks.chaos.times import Times
from benchmarks.processes import Child


@dataclass
class Findings:
    """What the faults themselves have found: things that never may happen, by the row that the report has for them."""

    forbidden: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    """The worst of each."""

    def blame(self, row: str, count: int, why: str) -> None:
        """So many; 0 keeps the row at what it is."""
        self.forbidden[row] += count
        if count:
            self.examples.append(f"{row}: {why}")

    def note(self, figure: str, value: float) -> None:
        self.figures[figure] = max(value, self.figures.get(figure, value))


@dataclass
class Excuses:
    """When something is excused."""

    frozen: Intervals = field(default_factory=Intervals)
    """A replica does not run: its answers are late."""

    lies: Intervals = field(default_factory=Intervals)
    """Firestore keeps something from its listeners: the audit is right to raise an alarm."""

    refusals: Intervals = field(default_factory=Intervals)
    """Firestore refuses the service: it is right to log errors that name the refusal."""


class SharedChild:
    """A process that is asked by two threads."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._lock = threading.Lock()

    def ask(self, *request: object) -> Any:
        with self._lock:
            return self._child.ask(*request, timeout_s=60)


@dataclass
class Stage:
    """`is_over`: no more faults are wanted; what is under way ends soon."""

    firestore: SharedChild
    replicas: Sequence[Service]
    clients: Sequence[SharedChild]
    crowd: SharedChild
    times: Times
    chance: random.Random
    commits_per_second: float
    marker: str
    """The key of the process that recoveries are measured with."""

    is_over: threading.Event = field(default_factory=threading.Event)
    findings: Findings = field(default_factory=Findings)
    excuses: Excuses = field(default_factory=Excuses)

    def fault(self, name: str, **options: object) -> None:
        """A method of the local Firestore's `Faults`."""
        self.firestore.ask("fault", name, options)

    def network(self, name: str, *arguments: object, replica: int | None = None) -> None:
        """A method of `Proxy`, before one replica or before all."""
        self.firestore.ask("network", name, arguments, replica)

    def hold(self, longest_s: float | None = None) -> None:
        """For a while."""
        self.is_over.wait(self.chance.uniform(self.times.shortest_s, longest_s or self.times.longest_s))

    def some_replica(self) -> Service:
        return self.chance.choice(self.replicas)

    def some_number(self) -> int:
        """Of a replica."""
        return self.chance.randrange(len(self.replicas))

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """No commits, and nobody asks."""
        self.firestore.ask("write", 0.0)
        for each in self.clients:
            each.ask("pause")
        try:
            yield
        finally:
            for each in self.clients:
                each.ask("start")
            self.firestore.ask("write", self.commits_per_second)

    def wait_until(self, claim: Callable[[], bool], patience_s: float) -> bool:
        """Whether it came true."""
        deadline = time.monotonic() + patience_s
        while not claim():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
