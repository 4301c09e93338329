"""Who asks, as every way of answering needs it. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` tells callers apart where they share a budget; it is never shown, logged or a label.

    `owner`: the value of the schema's owner filter; the caller sees the processes that have it, and no others. None
    sees every process. `expires_at`, in seconds since the epoch: when waits and streams of this caller end.
    """

    name: str = ""
    owner: Hashable | None = None
    expires_at: float | None = None


def seconds_left(caller: Caller, now: float) -> float:
    """How long this caller's waits and streams can last; `now` in seconds since the epoch."""
    return inf if caller.expires_at is None else max(0.0, caller.expires_at - now)


SEES_EVERYTHING = Caller()
"""A client with an API key, and every client where no key is needed."""
