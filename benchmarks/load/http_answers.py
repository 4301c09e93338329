"""HTTP/1.1 answers out of a stream of bytes, without I/O: as much of a client as a load generator needs.

Reads bodies of a known length and chunked ones; an answer to HEAD, or one that ends with its connection, is not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_X_CACHE = re.compile(rb"\r\nx-cache:[ \t]*([A-Za-z]+)", re.IGNORECASE)
_END = b"\r\n\r\n"


class NotHttp(ValueError):
    """What came can't be read as an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One, whole."""

    status: int
    head: bytes
    size: int
    """Bytes, head and body."""

    @property
    def closes(self) -> bool:
        """Whether nothing more comes on this connection."""
        return _CLOSE.search(self.head) is not None or self.head.startswith(b"HTTP/1.0")

    @property
    def x_cache(self) -> str:
        """The header's value, "" where there is none."""
        found = _X_CACHE.search(self.head)
        return found[1].decode() if found else ""


class AnswerReader:
    """The answers of one connection."""

    __slots__ = ("_unread",)

    def __init__(self) -> None:
        self._unread = b""

    def feed(self, data: bytes) -> Iterator[Answer]:
        """Every answer that these bytes complete. Raises: NotHttp."""
        unread = self._unread + data
        while (head_end := unread.find(_END)) >= 0:
            head = unread[: head_end + 2]
            found = _STATUS.match(head)
            if found is None:
                raise NotHttp(f"not an HTTP answer: {head[:60]!r}")
            status = int(found[1])
            end = _end_of_body(status, head, unread, head_end + len(_END))
            if end is None or end > len(unread):
                break
            if status >= 200:
                yield Answer(status, head, end)
            unread = unread[end:]
        self._unread = unread


def _end_of_body(status: int, head: bytes, unread: bytes, start: int) -> int | None:
    """Where the answer ends; None where that has not come yet."""
    if status in (204, 304) or status < 200:
        return start
    if found := _LENGTH.search(head):
        return start + int(found[1])
    if _CHUNKED.search(head):
        return _end_of_chunks(unread, start)
    raise NotHttp("an answer that does not tell its length")


def _end_of_chunks(unread: bytes, at: int) -> int | None:
    while (line_end := unread.find(b"\r\n", at)) >= 0:
        try:
            size = int(unread[at:line_end].partition(b";")[0], 16)
        except ValueError:
            raise NotHttp(f"not the size of a chunk: {unread[at:line_end][:20]!r}") from None
        if size == 0:
            trailer_end = unread.find(_END, line_end)  # the last chunk's line end, then trailers, then an empty line
            return None if trailer_end < 0 else trailer_end + len(_END)
        at = line_end + 2 + size + 2
    return None
