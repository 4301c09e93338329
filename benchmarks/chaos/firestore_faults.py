"""Faults of Firestore itself, and of a replica's process: streams, calls, targets, lies, freezes, restarts, clocks."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.chaos.service import Service
from benchmarks.chaos.stage import Stage

READS = ("BatchGetDocuments", "RunQuery")
AFTERMATH_S = 2.0
"""How much longer it is looked whether a lie is still believed."""

TRANSIENT = ("UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED", "UNKNOWN")

STARVED_S, SLICE_S, SHARE = 6.0, 0.1, 0.05
"""A starved process runs for this share of each slice."""

STORM = 25
"""Ends of streams in a row."""

STORM_LEFT = "storms that left connections or threads"
THREADS_MORE = 8
JUMP_S = 3600.0


def stall(stage: Stage) -> None:
    stage.fault("stall_streams")
    stage.hold()


def slow_reads(stage: Stage) -> None:
    for rpc in READS:
        stage.fault("delay_calls", rpc=rpc, delay_s=stage.chance.uniform(0.1, 0.9), calls=None)
    stage.hold()


def failing_reads(stage: Stage) -> None:
    for rpc in READS:
        stage.fault("fail_calls", rpc=rpc, code=stage.chance.choice(TRANSIENT), calls=None)
    stage.hold()


def hanging_reads(stage: Stage) -> None:
    for rpc in READS:
        stage.fault("hold_calls", rpc=rpc)
    stage.hold()


def end_streams(stage: Stage) -> None:
    code = stage.chance.choice(("OK", "UNAVAILABLE", "ABORTED", "CANCELLED"))
    stage.fault("end_streams", code=code, after_messages=stage.chance.choice((0, 1, 5)))


def refuse_streams(stage: Stage) -> None:
    stage.fault("fail_calls", rpc="Listen", code=stage.chance.choice(TRANSIENT), calls=None)
    stage.fault("end_streams", code="UNAVAILABLE")
    stage.hold()


def remove_targets(stage: Stage) -> None:
    stage.fault("remove_targets", code=stage.chance.choice(TRANSIENT))


def false_filter(stage: Stage) -> None:
    stage.fault("send_existence_filter", off_by=stage.chance.choice((-1, 1, 2)))


def reset(stage: Stage) -> None:
    stage.fault("send_reset")


def expire_tokens(stage: Stage) -> None:
    stage.fault("expire_tokens")
    stage.fault("end_streams", code="UNAVAILABLE")


def storm(stage: Stage) -> None:
    """Streams end again and again; afterwards there are no more connections and threads than before."""
    before = _usage(stage)
    for _ in range(STORM):
        stage.fault("end_streams", code="OK")
        time.sleep(stage.chance.uniform(0.05, 0.3))

    def is_bounded() -> bool:
        pairs = zip(before, _usage(stage), strict=True)
        return all(
            now.connections <= max(then.connections, 2) + 1 and now.threads <= then.threads + THREADS_MORE
            for then, now in pairs
        )

    if not stage.wait_until(is_bounded, stage.times.recovered_s):
        stage.findings.blame(STORM_LEFT, 1, f"{before} → {_usage(stage)}")


class Usage(NamedTuple):
    """Of one replica."""

    connections: int
    threads: int


def _usage(stage: Stage) -> list[Usage]:
    connections = stage.firestore.ask("connections")
    return [Usage(count, replica.threads()) for count, replica in zip(connections, stage.replicas, strict=True)]


def lie(stage: Stage, *, deletion: bool) -> None:
    """Nothing else goes wrong until the audit must have noticed."""
    with stage.excuses.lies.noted():
        stage.firestore.ask("lie", stage.times.held, deletion)
        time.sleep(stage.times.lie_noticed_s + AFTERMATH_S)


# -- the replica's process


@contextmanager
def frozen(stage: Stage, replica: Service) -> Iterator[None]:
    with stage.excuses.frozen.noted(aftermath_s=1.0):
        replica.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            replica.signal(signal.SIGCONT)


def freeze(stage: Stage) -> None:
    with frozen(stage, stage.some_replica()):
        time.sleep(stage.times.lease_s * stage.chance.uniform(1.1, 1.6))


def freeze_in_an_outage(stage: Stage) -> None:
    stage.network("refuse")
    with frozen(stage, stage.some_replica()):
        time.sleep(stage.times.lease_s * stage.chance.uniform(1.1, 1.6))
        if stage.chance.random() < 0.5:
            stage.firestore.ask("release")
            time.sleep(stage.times.shortest_s)


def starve(stage: Stage) -> None:
    """A replica hardly runs, while documents change. Whatever is seen late is no difference."""
    replica, until = stage.some_replica(), time.monotonic() + min(STARVED_S, 2 * stage.times.lease_s)
    with stage.excuses.frozen.noted(aftermath_s=2.0):
        while time.monotonic() < until:
            replica.signal(signal.SIGSTOP)
            time.sleep(SLICE_S * (1 - SHARE))
            replica.signal(signal.SIGCONT)
            time.sleep(SLICE_S * SHARE)


def restart(stage: Stage) -> None:
    """One replica after the other ends and comes back, while clients keep their connections."""
    for replica in stage.replicas:
        replica.restart()


def move_clock(stage: Stage) -> None:
    """A replica's wall clock jumps, and jumps back."""
    replica = stage.some_replica()
    replica.move_clock(stage.chance.choice((-JUMP_S, JUMP_S)))
    stage.hold()
    replica.move_clock(0.0)
