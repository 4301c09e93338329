"""The sources of answers."""

from enum import StrEnum


class Source(StrEnum):
    """The X-Cache header's values."""

    HIT = "HIT"
    MISS = "MISS"
    CACHED = "CACHED"
    STALE = "STALE"
