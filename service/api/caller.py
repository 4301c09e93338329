"""The caller of a request. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` distinguishes callers that share a budget. It is never shown or logged, and never a label.

    `owner`: the caller sees only processes with this value in the schema's owner filter; with None it sees every
    process. `expires_at`, in seconds since the epoch: the time when waits and streams of this caller end.
    """

    name: str = ""
    owner: Hashable | None = None
    expires_at: float | None = None


def seconds_left(caller: Caller, now: float) -> float:
    """How long waits and streams of this caller can last. `now` is in seconds since the epoch."""
    return inf if caller.expires_at is None else max(0.0, caller.expires_at - now)


SEES_EVERYTHING = Caller()
"""A client with an API key; every client, if no key is needed."""
