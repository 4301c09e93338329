"""The processes that a chaos run writes. Apart from the rest, so that clients start without Firestore's libraries."""

MARKER = "process-marker"
"""Always there and always among the newest: what recoveries are measured with."""


def process_ids(count: int) -> list[str]:
    """The processes that come and go."""
    return [f"process-{number:03}" for number in range(count)]
