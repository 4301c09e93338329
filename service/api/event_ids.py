"""The IDs of events, as a client sends the last one back. Pure."""

import re

EVENT_ID_PATTERN = r'"?v?([0-9]{1,19})"?'
"""What `Last-Event-ID` may be: the number an event's ID is, or the ETag of that version."""

_EVENT_ID = re.compile(EVENT_ID_PATTERN)


def read_event_id(text: str) -> int | None:
    """`Last-Event-ID` as the number it was sent as; the forms of an ETag are taken too. None: not one of ours."""
    match = _EVENT_ID.fullmatch(text.strip())
    return None if match is None else int(match[1])
