"""Reads `Last-Event-ID`: the ID of the last event that a client got. Pure."""

import re

from service.api.etags import known_version

BEFORE_ALL = 0
"""An ID that is not a version: for a client with this ID, every event is new."""

_EVENT_ID = re.compile(r"v?([0-9]{1,19})")


def read_event_id(text: str) -> int:
    """`Last-Event-ID` as a number: the ID itself, or the version that an ETag names; BEFORE_ALL for any other text.

    Never raises, because an error ends an EventSource for good.
    """
    match = _EVENT_ID.fullmatch(text.strip())
    return known_version(text) if match is None else int(match[1])
