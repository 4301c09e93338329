"""Writes, reads and matches ETags; no other module does. Pure.

The ETag of a process is the version that last changed its answer: versions are ordered and mean the same on every
replica. The names of included children follow, because answers with other children are other representations. The ETag
of a list is a hash of its content. Proxies that compress change the tags that clients send back: they make a tag weak,
or add a suffix (`"v5-gzip"`, `"v5--gzip"`, `"v5;br"`). Such a tag still means its version, in every header: `W/` and
suffixes are removed before tags are compared, also for If-Match, which RFC 9110 would compare strongly.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Protocol

_TAG = re.compile(r'"([^"]*)"')
_SUFFIX = re.compile(r"(?:(?:--?|[;:+.])(?:x-gzip|gzip|gz|brotli|br|deflate|compress|zstd|dcb|dcz)){1,2}\Z")
"""Apache writes `-gzip` and `-br`, Jetty `--gzip`, LiteSpeed `;gz` and `;br`. Two proxies can add two of them. The
pattern is bounded, because an unbounded repetition takes quadratic time on hostile tags."""

_PLAIN_VERSION = re.compile(r"v([0-9]{1,19})")
_VERSION = re.compile(r"v([0-9]{1,19})(?:-p|~[A-Za-z_][A-Za-z0-9_]*)*+")


def version_etag(version: int, children: Sequence[str] = ()) -> str:
    """`"v<update time in microseconds>"`, followed by the children in the answer.

    Products are `-p`, others `~` and their name. No suffix of a proxy begins in this way, whatever the name is.
    """
    named = "".join("-p" if child == "products" else f"~{child}" for child in children)
    return f'"v{version}{named}"'


class Versioned(Protocol):
    """The content of a process, which several versions can have."""

    content_version: int
    version: int

    def is_same_as(self, version: int) -> bool:
        """Whether that version is known to have this content."""

    def known_as(self, version: int) -> int:
        """The version of this content for a client that knows `version`."""


def etag_for(content: Versioned, header: str, children: Sequence[str] = ()) -> str:
    """The ETag of an answer, with these children, to a client that sent these tags.

    If one of the client's tags has this content, it is that tag. It is never less than a tag of older content that the
    client has. The model holds no children, so for an answer with children only the newest version is certain.
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
    """Whether one of the header's tags means this ETag; `*` means every ETag."""
    if header == etag:  # nearly all clients send this form
        return True
    return header.strip() == "*" or etag[1:-1] in _tags(header)


def precondition_failed(if_match: str, etag: str) -> bool:
    """Whether an answer with this ETag becomes a 412. An empty `if_match` means that the header is absent.

    Only an answer that would be 200 or 304 is tested (RFC 9110, 13.2.1), and If-Match comes before If-None-Match.
    """
    return bool(if_match) and not matches(if_match, etag)


def known_version(*headers: str) -> int:
    """The newest version in the tags of these headers; 0 if there is none."""
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
