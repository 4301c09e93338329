"""Writes, reads and matches ETags; no other module does. Pure.

A process's ETag is the version that last changed what is answered: ordered, and understood by every replica. Children
that the answer includes follow it by name, for answers with other children are other representations. A list's ETag is
a hash of its content. Proxies that compress change what clients send back: they make a tag weak, or add a suffix
(`"v5-gzip"`, `"v5--gzip"`, `"v5;br"`). Such a tag still names its version, in every header: `W/` and suffixes are
dropped before tags are compared, for If-Match too, which RFC 9110 would compare strongly.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Protocol

_TAG = re.compile(r'"([^"]*)"')
_SUFFIX = re.compile(r"(?:(?:--?|[;:+.])(?:x-gzip|gzip|gz|brotli|br|deflate|compress|zstd|dcb|dcz)){1,2}\Z")
"""Apache writes `-gzip` and `-br`, Jetty `--gzip`, LiteSpeed `;gz` and `;br`; two of them, where two proxies compress.
Bounded, because a pattern that repeats without a bound takes quadratic time on hostile tags."""

_PLAIN_VERSION = re.compile(r"v([0-9]{1,19})")
_VERSION = re.compile(r"v([0-9]{1,19})(?:-p|~[A-Za-z_][A-Za-z0-9_]*)*+")


def version_etag(version: int, children: Sequence[str] = ()) -> str:
    """`"v<update time in microseconds>"`, and behind it the children that are part of the answer.

    Products are `-p`, others `~` and their name: no suffix of a proxy begins with that, whatever a child is called.
    """
    named = "".join("-p" if child == "products" else f"~{child}" for child in children)
    return f'"v{version}{named}"'


class Versioned(Protocol):
    """A process's content, which can go by several versions."""

    content_version: int
    version: int

    def is_same_as(self, version: int) -> bool:
        """Whether that version is known to have had this content."""

    def known_as(self, version: int) -> int:
        """The version to name it by to a client that knows `version`."""


def etag_for(content: Versioned, header: str, children: Sequence[str] = ()) -> str:
    """The ETag of an answer, with these children, to a client that sent these tags.

    It is one of the client's where that names this content, and never one below those of older content that the client
    has. Children are in no model, so with them only the newest write's version is certain to name the whole.
    """
    if children:
        return version_etag(content.version, children)
    return version_etag(_version_for(content, header))


def _version_for(content: Versioned, header: str) -> int:
    if not header:
        return content.content_version
    named = [int(found[1]) for tag in _tags(header) if (found := _PLAIN_VERSION.fullmatch(tag)) is not None]
    same = [version for version in named if content.is_same_as(version)]
    return max(same) if same else content.known_as(known_version(header))


def content_etag(body: bytes) -> str:
    """A hash of the body."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def matches(header: str, etag: str) -> bool:
    """Whether one of the header's tags names this ETag; `*` names every ETag."""
    if header == etag:  # as nearly all clients send it
        return True
    return header.strip() == "*" or etag[1:-1] in _tags(header)


def precondition_failed(if_match: str, etag: str) -> bool:
    """Whether an answer with this ETag becomes a 412. An empty `if_match` means that the header is absent.

    Only an answer that would be 200 or 304 is tested (RFC 9110, 13.2.1), and If-Match comes before If-None-Match.
    """
    return bool(if_match) and not matches(if_match, etag)


def known_version(*headers: str) -> int:
    """The newest version that a tag of these headers names; 0 where none does."""
    newest = 0
    for header in headers:
        for tag in _tags(header):
            version = _VERSION.fullmatch(tag)
            if version is not None:
                newest = max(newest, int(version[1]))
    return newest


def _tags(header: str) -> list[str]:
    """The opaque tags of a list, without quotes, weakness and suffixes."""
    return [_SUFFIX.sub("", tag) for tag in _TAG.findall(header)]
