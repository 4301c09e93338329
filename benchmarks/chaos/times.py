"""How long things may last in a chaos run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """In seconds; `held`: how many processes the model may hold."""

    lease_s: float
    shortest_s: float
    longest_s: float
    refused_s: float
    lie_noticed_s: float
    recovered_s: float
    stale_if_error_s: float
    held: int
