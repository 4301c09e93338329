"""Who asks, as every way of answering needs it. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` tells callers apart where they share a budget; it is never shown, logged or a label.

    `owner`: the value of the schema's owner filter; the caller sees the processes that have it, and no others. None
    sees every process. `expires_at`, in seconds since the epoch: when waits and streams of this caller end.
    """

    name: str = ""
    owner: Hashable | None = None
    expires_at: float | None = None


SEES_EVERYTHING = Caller()
"""A client with an API key, and every client where no key is needed."""
