"""CORS: the pages of other origins that can read answers, and the headers that they can send and read. Pure.

They can send every request header that the service reads, and read every declared response header. The names come from
the declarations: of the operations, of keys, and of the headers that every request and every answer has.
"""

from collections.abc import Iterable, Sequence

from service.api.contract import Operation
from service.api.headers import LOGGED_HEADERS
from service.api.openapi import EVERY_ANSWER, OF_REFUSALS, security_schemes
from service.api.operations import OPERATIONS
from service.api.parameters import REQUEST_ID

ALWAYS_READABLE = frozenset({"Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires"})
"""Response headers that browsers show to every page (Fetch, CORS-safelisted response-header name)."""


def sent_to(operations: Iterable[Operation], token_header: str) -> list[str]:
    """The names of the request headers that the service reads, in order. `token_header` is the header of ID tokens."""
    declared = (each.name for operation in operations for each in operation.parameters if each.location == "header")
    schemes = security_schemes(needs_key=True, token_header=token_header)
    keys = (scheme.get("name", "Authorization") for scheme in schemes.values())
    return sorted({*declared, *keys, REQUEST_ID.name, *LOGGED_HEADERS})


def read_from(operations: Iterable[Operation]) -> list[str]:
    """The names of the response headers that a page can read only with permission, in order."""
    responses = (response for operation in operations for response in operation.responses.values())
    declared = (header for response in responses for header in response.headers)
    return sorted({header.name for header in (*declared, *EVERY_ANSWER, *OF_REFUSALS)} - ALWAYS_READABLE)


def allowed_headers(token_header: str) -> str:
    """The headers that a page of another origin can send."""
    return ", ".join(sent_to(OPERATIONS, token_header))


EXPOSED_HEADERS = ", ".join(read_from(OPERATIONS))


def cors_headers(origins: Sequence[str], origin: str | None) -> dict[str, str]:
    """The headers that let a page of `origin` read the answer; none if this origin is not configured."""
    if not origins:
        return {}
    if origin is None or ("*" not in origins and origin not in origins):
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": "*" if "*" in origins else origin,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
        "Vary": "Origin",
    }


def preflight_headers(token_header: bytes) -> dict[str, str]:
    """The answer to a preflight request."""
    return {
        "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Allow-Headers": allowed_headers(token_header.decode()),
        "Access-Control-Max-Age": "600",
    }
