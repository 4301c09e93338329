"""Network addresses in settings: checks them and brings them into one form. Pure: looks nothing up.

Each function raises ValueError. Its text says what is wrong with the value and, if possible, what to write instead.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

ANY_IPV4 = "0.0.0.0"  # noqa: S104 - compared, not bound
ANY_IPV6 = "::"
"""Covers IPv4 too: the socket takes both families."""

DEFAULT_PORTS = {"http": 80, "https": 443}
"""Browsers omit these ports from an origin."""

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def bind_addresses(parts: Iterable[str]) -> tuple[str, ...]:
    """The addresses to bind: without brackets, each once, and without those that another one covers.

    >>> bind_addresses(["[::1]", " 127.0.0.1 "])
    ('::1', '127.0.0.1')
    """
    addresses = list(dict.fromkeys(_bind_address(part) for part in parts))
    if ANY_IPV6 in addresses:
        return (ANY_IPV6, *(each for each in addresses if not _is_address(each)))
    if ANY_IPV4 in addresses:
        return tuple(each for each in addresses if each == ANY_IPV4 or ":" in each or not _is_address(each))
    return tuple(addresses)


def authority(host: str, port: int) -> str:
    """`host:port` as in URLs: an IPv6 address is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def emulator_host(text: str) -> str:
    """`host:port` of an emulator, unchanged, because Google's client library reads the same variable."""
    example = "write it as HOST:PORT, for instance 127.0.0.1:8089"
    host, colon, port = text.rpartition(":")
    if "://" in text or "/" in text:
        raise ValueError(f"must be without a scheme or path: {example}")
    if not colon or not host:
        raise ValueError(f"must name a host and a port: {example}")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise ValueError(f"must end in a port, 1 to 65535: {example}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("must have its IPv6 address in brackets, for instance [::1]:8089")
    if host != host.strip() or not _is_host(host.removeprefix("[").removesuffix("]")):
        raise ValueError(f"must name a host, without spaces: {example}")
    return text


def web_origin(text: str) -> str:
    """An origin exactly as browsers send it: scheme and host in lower case, no default port, no path.

    Upper case, one slash at the end and the scheme's own port are removed, because the meaning is clear without them.
    """
    if text == "*":
        return text
    example = "write it as https://app.example"
    parts = _split(text)
    if not parts.scheme or not _SCHEME.fullmatch(parts.scheme) or "://" not in text:
        raise ValueError(f"'{text}' has no scheme: {example}")
    if "*" in parts.netloc:
        raise ValueError(f"'{text}' has a wildcard: name each origin, or '*' alone for all of them")
    if (
        parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
        or "?" in text
        or "#" in text
    ):
        raise ValueError(f"'{text}' has more than a scheme, a host and a port: {example}")
    host = parts.hostname or ""
    if not host.isascii():
        raise ValueError(f"'{text}' has letters beyond ASCII: write the host in its xn-- form, as browsers send it")
    if not _is_host(host) or parts.netloc.endswith(":"):
        raise ValueError(f"'{text}' names no host: {example}")
    shown = f"[{host}]" if ":" in host else host
    is_default = parts.port is None or parts.port == DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{shown}" if is_default else f"{parts.scheme}://{shown}:{parts.port}"


def provider_url(text: str) -> str:
    """A URL whose answers can be trusted, unchanged: https, or http on this machine."""
    parts = _split(text)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not _is_host(host) or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"'{text}' is no URL: write it as https://login.example")
    if parts.scheme == "http" and not (host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)):
        raise ValueError(f"'{text}' must be https: over http anyone in between could put in keys")
    return text


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as wrong:
        raise ValueError(f"'{text}' cannot be read: {wrong}") from None
    return parts


def _bind_address(text: str) -> str:
    written = text.strip()
    host = written[1:-1] if written.startswith("[") and written.endswith("]") else written
    if host != written and ":" not in host:
        raise ValueError(f"'{written}' is no IPv6 address, and only those stand in brackets")
    if not _is_host(host):
        raise ValueError(f"'{written}' is no address: write addresses without ports, for instance 127.0.0.1 or ::")
    return str(ip_address(host)) if _is_address(host) else host


def _is_host(text: str) -> bool:
    looks_like_address = ":" in text or text.rpartition(".")[2].isdecimal()
    return _is_address(text) if looks_like_address else bool(_HOST_NAME.fullmatch(text))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
