"""Faults of the network between the replicas and Firestore: refused, reset, half-open, late, slow."""

from benchmarks.chaos.stage import Stage

BOTH = ("requests", "answers")

CHANGES_OF_PLACE = 4
TRICKLE_BYTES_PER_S = 2_000
"""A RESET of the whole window takes several times as long as any answer may."""


def outage(stage: Stage) -> None:
    stage.network("refuse")
    stage.hold()


def refused_for_long(stage: Stage) -> None:
    """Long enough for every back-off to grow."""
    stage.network("refuse")
    stage.is_over.wait(stage.times.refused_s)


def reset_connections(stage: Stage) -> None:
    stage.network("reset", replica=stage.some_number())


def half_open(stage: Stage) -> None:
    """The open connections carry nothing any more, and nothing says so; a new one would work."""
    stage.network("lose", *BOTH)


def lost_requests(stage: Stage) -> None:
    """What the service sends is lost, what Firestore sends arrives."""
    stage.network("lose", "requests")
    stage.hold()


def lost_answers(stage: Stage) -> None:
    stage.network("lose", "answers", replica=stage.some_number())
    stage.hold()


def stop_reading(stage: Stage) -> None:
    stage.network("stop_reading", *stage.chance.choice((("requests",), ("answers",), BOTH)))
    stage.hold()


def one_replica_behind(stage: Stage) -> None:
    """One hears nothing for a while and the other hears all: clients that change between them see both.

    It catches up change by change where its stream was slow, and all at once where it has to connect anew.
    """
    for number in range(CHANGES_OF_PLACE):
        replica = stage.some_number()
        if number % 2:
            stage.network("stop_reading", "answers", replica=replica)
        else:
            stage.network("refuse", replica=replica)
        stage.is_over.wait(stage.times.lease_s * stage.chance.uniform(0.3, 0.8))
        stage.network("heal", replica=replica)


def slow_network(stage: Stage) -> None:
    stage.network("delay", stage.chance.uniform(0.1, 0.6), *BOTH)
    stage.hold()


def slow_reset(stage: Stage) -> None:
    """The whole window is sent again over a slow line, as a large one is over a fast line."""
    stage.network("throttle", TRICKLE_BYTES_PER_S, "answers")
    stage.fault("send_reset")
    stage.hold()
