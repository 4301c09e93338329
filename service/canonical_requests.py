"""Which bytes are a request as nearly all clients send it, so plain that they can be read without a parser. Pure.

What is not canonical is not wrong: aiohttp reads it. What is canonical, aiohttp reads to the same effect.
"""

import re
from collections.abc import Set as AbstractSet

MAX_HEAD_BYTES = 8000
"""Less than any limit of aiohttp's."""

_TARGET = rb"GET (/status(?:/([A-Za-z0-9._~!$&'()*+,;=:@-]+)|\?([A-Za-z0-9._~:=&%+,@/-]+))?)"
POLL_TARGET = re.compile(_TARGET)
POLL_LINE = re.compile(_TARGET + rb" HTTP/1\.1\r\n")
"""Groups: path and query together, then a process ID or a list's query.

Without escapes a path is the ID, and what may stand in either stands for itself in JSON as well.
"""

_BODILESS_LINE = re.compile(rb"(?:GET|HEAD) /[!-~]*( HTTP/1\.1\r\n)")
_HOLDS_ON = re.compile(rb"/events|[?&]wait=")
"""In the target of a request that may take a minute, or for ever: its connection need not remember anything here."""

_ETAG_LINE = re.compile(rb'\r\n[Ii]f-[Nn]one-[Mm]atch: ("(?:v[1-9][0-9]{0,18}|[0-9a-f]{24})")(?=\r\n)')
"""As this service makes them: a version, or the hash of a page."""

_HEADER = re.compile(r"([A-Za-z0-9-]+): ([!-~](?:[ -~]*[!-~])?)")

_READ = frozenset(
    {
        "authorization",
        "connection",
        "host",
        "origin",
        "traceparent",
        "user-agent",
        "x-api-key",
        "x-cloud-trace-context",
        "x-request-id",
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cookie",
        "dnt",
        "forwarded",
        "priority",
        "referer",
        "sec-ch-ua",
        "sec-ch-ua-mobile",
        "sec-ch-ua-platform",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-user",
        "sec-gpc",
        "tracestate",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
_OF_A_POLL = _READ | _WITHOUT_EFFECT
_OF_THE_BODILESS = _OF_A_POLL | {"cache-control", "if-modified-since", "if-none-match", "pragma", "x-requested-with"}
"""None of them says that a body or another protocol follows."""


def around_etag(rest: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before the ETag that a client has seen, that ETag, and what stands after it.

    All before it where there is none of ours. The rest of a request begins behind its target, with ` HTTP/1.1`, and
    ends with the empty line.
    """
    line = _ETAG_LINE.search(rest)
    return (rest, b"", b"") if line is None else (rest[: line.start(1)], line[1], rest[line.end(1) :])


def without_etag(before: bytes, after: bytes) -> bytes:
    """The rest without the ETag's line: what a client sends with every request, whatever it asks for."""
    return before[: before.rindex(b"\r\n")] + after if after else before


def poll_headers(rest: bytes) -> dict[str, str] | None:
    """The headers of a poll, but for its ETag, by their names in lower case.

    None where one is unknown, repeated or written unusually, or where the connection is not to be kept.
    """
    headers = _canonical(rest, _OF_A_POLL)
    return headers if headers is not None and "host" in headers else None


def is_bodiless(data: bytes, known_rest: bytes | None) -> bool:
    """Whether this is one whole request, nothing of which can follow, and which is answered soon.

    `known_rest` is one that `poll_headers` has taken.
    """
    line = _BODILESS_LINE.match(data)
    if line is None or _HOLDS_ON.search(data, 0, line.end()):
        return False
    if len(data) > MAX_HEAD_BYTES or data.find(b"\r\n\r\n", line.end()) + 4 != len(data):
        return False
    rest = data[line.start(1) :]
    return rest == known_rest or _canonical(rest, _OF_THE_BODILESS) is not None


def _canonical(rest: bytes, known: AbstractSet[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in rest.decode("latin-1").split("\r\n")[1:-2]:
        match = _HEADER.fullmatch(line)
        name = match[1].lower() if match else ""
        if match is None or name not in known or name in headers:
            return None
        headers[name] = match[2]
    return headers if headers.get("connection", "keep-alive").lower() == "keep-alive" else None
