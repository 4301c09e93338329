"""The IDs of events, as a client sends the last one back. Pure."""

import re

from service.api.etags import known_version

BEFORE_ALL = 0
"""Stands for an ID that means nothing here: everything is news to its client."""

_EVENT_ID = re.compile(r"v?([0-9]{1,19})")


def read_event_id(text: str) -> int:
    """`Last-Event-ID` as a number: the one that an event's ID is, or the version that an ETag names.

    Never an error: one would end an EventSource for good.
    """
    match = _EVENT_ID.fullmatch(text.strip())
    return known_version(text) if match is None else int(match[1])
