"""Where an answer comes from."""

from enum import StrEnum


class Source(StrEnum):
    """The X-Cache header's values."""

    HIT = "HIT"
    MISS = "MISS"
    CACHED = "CACHED"
    STALE = "STALE"
