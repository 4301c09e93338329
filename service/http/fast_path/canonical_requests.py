"""Which bytes are a request as nearly all clients send it, so plain that they can be read without a parser. Pure.

What is not canonical is not wrong: aiohttp reads it. What is canonical, aiohttp reads to the same effect.
"""

import re
from collections.abc import Set as AbstractSet
from typing import NamedTuple

MAX_HEAD_BYTES = 8000
"""Less than any limit of aiohttp's."""

_ID = rb"([A-Za-z0-9._~!$&'()*+,;=:@-]+)"
_TARGET = rb"GET (/status(?:/" + _ID + rb"|\?([A-Za-z0-9._~:=&%+,@/-]+))?)"
POLL_TARGET = re.compile(_TARGET)
POLL_LINE = re.compile(_TARGET + rb" HTTP/1\.1\r\n")
"""Groups: path and query together, then a process ID or a list's query.

Without escapes a path is the ID, and what may stand in either stands for itself in JSON as well.
"""

WAIT_LINE = re.compile(rb"GET (/status/" + _ID + rb"\?([a-z_]+=[a-z0-9]+(?:&[a-z_]+=[a-z0-9]+)*)) HTTP/1\.1\r\n")
"""A poll that may have to wait. Groups as above, but that the query is one of a process."""

_BODILESS_LINE = re.compile(rb"(?:GET|HEAD) /[!-~]*( HTTP/1\.1\r\n)")
_HOLDS_ON = re.compile(rb"/events|[?&]wait=")
"""In the target of a request that may take a minute, or for ever: its connection need not remember anything here."""

# ETags as this service makes them: a version, or the hash of a page.
_VALUE = rb"([!-~](?:[ -~]*[!-~])?)"
_DIFFERENT_LINE = re.compile(
    rb"\r\n(?:"
    rb'(?i:if-none-match): ("(?:v[1-9][0-9]{0,18}|[0-9a-f]{24})")|'
    rb"(?i:traceparent): " + _VALUE + rb"|"
    rb"(?i:x-cloud-trace-context): " + _VALUE + rb"|"
    rb"(?i:x-request-id): " + _VALUE + rb")(?=\r\n)"
)

_HEADER = re.compile(r"([A-Za-z0-9-]+): ([!-~](?:[ -~]*[!-~])?)")

_READ = frozenset(
    {
        "authorization",
        "connection",
        "host",
        "origin",
        "user-agent",
        "x-api-key",
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
_OF_THE_BODILESS = _OF_A_POLL | {
    "cache-control",
    "if-modified-since",
    "if-none-match",
    "pragma",
    "traceparent",
    "x-cloud-trace-context",
    "x-request-id",
    "x-requested-with",
}
"""None of them says that a body or another protocol follows."""


class Different(NamedTuple):
    """What differs from one request of a client to the next, None where it was not sent.

    The ETag it has seen (where that is one of ours), where in the rest that stands and whether nothing else differs;
    its traceparent, X-Cloud-Trace-Context and X-Request-Id.
    """

    etag: bytes | None = None
    etag_at: int = 0
    etag_alone: bool = False
    traceparent: bytes | None = None
    cloud_trace_context: bytes | None = None
    request_id: bytes | None = None


NOTHING_DIFFERENT = Different()


def apart(rest: bytes) -> tuple[bytes, Different] | None:
    """What a client sends with every request, whatever it asks for, and what differs. None where that comes twice.

    The rest of a request begins behind its target, with ` HTTP/1.1`, and ends with the empty line.
    """
    begin, lasting, etag_at = 0, [], 0
    different: list[bytes | None] = [None, None, None, None]
    for line in _DIFFERENT_LINE.finditer(rest):
        which = line.lastindex or 0
        if different[which - 1] is not None:
            return None
        if which == 1:
            etag_at = line.start(1)
        different[which - 1] = line[which]
        lasting.append(rest[begin : line.start()])
        begin = line.end()
    if not begin:
        return rest, NOTHING_DIFFERENT
    lasting.append(rest[begin:])
    etag, traceparent, cloud_trace_context, request_id = different
    is_alone = etag is not None and len(lasting) == 2
    return b"".join(lasting), Different(etag, etag_at, is_alone, traceparent, cloud_trace_context, request_id)


def poll_headers(rest: bytes) -> dict[str, str] | None:
    """The headers of a poll, but for what differs, by their names in lower case.

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
