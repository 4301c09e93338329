"""Server-Sent Events as bytes (WHATWG HTML, section 9.2). Pure.

A frame is rendered once, and all its clients share its bytes. It has two forms: plain, and in the chunked transfer
coding, which HTTP/1.1 uses for a stream of unknown length.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from listeners.times import moment
from service.api.event_ids import BEFORE_ALL
from service.runtime.times import render_time


@dataclass(frozen=True, slots=True)
class Frame:
    """One or more blocks of an event stream: `plain`, and the same as one chunk."""

    plain: bytes
    chunk: bytes


def frame(plain: bytes) -> Frame:
    """A frame of these bytes, ready for both codings."""
    return Frame(plain, b"%x\r\n%b\r\n" % (len(plain), plain))


def _id_line(event_id: int | None) -> bytes:
    return b"" if event_id is None else b"id: %d\n" % event_id


def status_block(body: bytes, event_id: int | None) -> bytes:
    """The event with the present state of a process. `body` is the JSON of the 200 answer, which has no line breaks."""
    return b"event: status\n%bdata: %b\n\n" % (_id_line(event_id), body)


Identify = Callable[[str], Mapping[str, str]]
"""From the key of a process to the keys that identify it in answers: its ID, and visible variables of its path."""


def stalled_block(identity: Mapping[str, str], version: int, event_id: int | None) -> bytes:
    """The event that a process stalls. Nothing else has changed since its last event."""
    data = orjson.dumps({**identity, "last_written": render_time(moment(version))})
    return b"event: stalled\n%bdata: %b\n\n" % (_id_line(event_id), data)


def removed_block(identity: Mapping[str, str], deleted: bool | None, event_id: int | None) -> bytes:
    """The event that a process has left the model. `deleted`: True if it was deleted, False if it
    only left the window.
    """
    data = orjson.dumps({**identity, "deleted": deleted})
    return b"event: removed\n%bdata: %b\n\n" % (_id_line(event_id), data)


def reset_block(event_id: int) -> bytes:
    """The client must forget everything it knows: its changes are not known here. The whole present state follows."""
    return b"event: reset\nid: %d\ndata: {}\n\n" % event_id


def retry_block(milliseconds: int) -> bytes:
    """How long a client should wait before it connects again."""
    return b"retry: %d\n\n" % milliseconds


RESET = frame(reset_block(BEFORE_ALL))
"""Sent before the present state, whose event has an ID of its own."""

COMMENT = frame(b": nothing new\n\n")
"""Shows proxies and clients that the connection is alive."""

CALLER_EXPIRES = frame(b": the token of this stream has expired; connect again with another\n\n")
"""The last frame of a stream whose caller's token has expired."""

SERVER_STOPS = frame(b": this server is stopping; connect again\n\n")
"""The last frame of a stream that ends although its process has not ended."""
