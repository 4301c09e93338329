"""What a chaos run is made of, and the settings it gives the service: all of them short, none of them special."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.checker import Bounds
from benchmarks.chaos.history import STATUSES
from benchmarks.chaos.times import Times
from benchmarks.firestore import PROJECT
from service.reads.audit import SETTLE_S

REPOSITORY = Path(__file__).parents[2]

CACHE_TTL_S = 1.0
STALE_IF_ERROR_S = 6.0


@dataclass(frozen=True)
class Options:
    """What to run. `answers` 0: as many as come in `seconds`; else on until so many, at most three times as long.

    `audit_sample` 0: the whole window, so that an audit is a proof, and no lie outlasts its bound.
    `kinds`: only these faults; `rounds`: so many times all of them, and then the end. `refused_s`: the longest outage.
    `timeout_s`: an audit that gets no answer within it notices nothing; on a machine with no CPU left, lies outlast
    their bound. `late_s`: how much longer than its bound an answer may take on a machine that is busy. `pause_s`:
    between two batches of a client. `checkout`: whose service. `is_group`: the processes are a collection group's.
    """

    listener: str
    seconds: float
    answers: int = 0
    seed: int = 1
    ids: int = 100
    window: int = 60
    lease_s: float = 3.0
    audit_s: float = 2.0
    audit_sample: int = 0
    shortest_s: float = 0.5
    longest_s: float = 7.0
    refused_s: float = 30.0
    recovered_s: float = 10.0
    timeout_s: float = 2.0
    late_s: float = 2.0
    commits_per_second: float = 40.0
    client_processes: int = 2
    connections: int = 12
    pause_s: float = 0.0
    crowd: int = 300
    mirrors: int = 6
    replicas: int = 2
    kinds: tuple[str, ...] = ()
    rounds: int = 0
    checkout: Path = REPOSITORY
    is_group: bool = False

    @property
    def title(self) -> str:
        """What the report calls the run."""
        return f"{self.listener}, group" if self.is_group else self.listener

    @property
    def held(self) -> int:
        """How many processes the model may hold."""
        return self.window or self.ids

    @property
    def settings(self) -> dict[str, str]:
        """The service's environment: everything short, nothing special."""
        return {
            "LISTENER": self.listener,
            "WINDOW_SIZE": str(self.window),
            "LISTENER_LEASE_S": str(self.lease_s),
            "PROBE_INTERVAL_S": str(self.lease_s / 5),
            "CACHE_TTL_S": str(CACHE_TTL_S),
            "NEGATIVE_TTL_S": "0.5",
            "STALE_IF_ERROR_S": str(STALE_IF_ERROR_S),
            "FIRESTORE_TIMEOUT_S": str(self.timeout_s),
            "FALLBACK_CONCURRENCY": "64",
            "FALLBACK_RATE": "150",
            "AUDIT_INTERVAL_S": str(self.audit_s),
            "AUDIT_SAMPLE": str(self.audit_sample or min(100, self.held + 1)),
            "LOG_LEVEL": "WARNING",
            "HOST": "127.0.0.1",
            "PROJECT_ID": PROJECT,
        }

    @property
    def lie_noticed_s(self) -> float:
        """A lie comes just after an audit's reads, that audit waits for others to settle, the next one finds it.

        Each has two reads before it waits and one after; the first of the first one came before the lie."""
        return 1.1 * self.audit_s + 2 * SETTLE_S + 5 * self.timeout_s

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.lease_s, CACHE_TTL_S, STALE_IF_ERROR_S, self.timeout_s + self.late_s)

    @property
    def times(self) -> Times:
        return Times(
            self.lease_s,
            self.shortest_s,
            self.longest_s,
            self.refused_s,
            self.lie_noticed_s,
            self.recovered_s,
            STALE_IF_ERROR_S,
            self.held,
        )

    @property
    def mirrored(self) -> tuple[str | None, ...]:
        """The filter of each mirror."""
        filters = (None, *STATUSES[:2])
        return tuple(filters[number % len(filters)] for number in range(self.mirrors))
