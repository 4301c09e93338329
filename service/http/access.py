"""Who may ask, from where: API keys and cross-origin requests. Pure; keys never appear in anything it returns."""

import hmac
from collections.abc import Sequence


def is_allowed(keys: Sequence[bytes], authorization: str, x_api_key: str) -> bool:
    """Whether the request carries one of the keys; takes the same time whichever key, or none, it is."""
    if not keys:
        return True
    scheme, _, token = authorization.partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    given = [candidate.encode("utf-8", "surrogateescape") for candidate in (bearer, x_api_key)]
    matches = [hmac.compare_digest(key, candidate) for key in keys for candidate in given]
    return any(matches)


def cors_headers(origins: Sequence[str], origin: str | None) -> dict[str, str]:
    """The headers that let a page of `origin` read the answer; none where it is not among the configured ones."""
    if not origins:
        return {}
    if origin is None or ("*" not in origins and origin not in origins):
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": "*" if "*" in origins else origin,
        "Access-Control-Expose-Headers": "Age, ETag, Preference-Applied, Retry-After, X-Cache, X-Request-Id",
        "Vary": "Origin",
    }


PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, Cache-Control, If-None-Match, Last-Event-ID, Prefer, X-Api-Key",
    "Access-Control-Max-Age": "600",
}
