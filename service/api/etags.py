"""ETags: of a process its version, ordered and the same on every replica; of a list a hash of its content. Pure."""

import hashlib


def version_etag(version: int, *, with_products: bool = False) -> str:
    """`"v<update time in microseconds>"`, with `-p` where the products are part of the answer."""
    return f'"v{version}-p"' if with_products else f'"v{version}"'


def content_etag(body: bytes) -> str:
    """A hash of what the client gets."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
