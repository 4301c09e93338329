"""Access: API keys and cross-origin requests. Pure; keys never appear in anything it returns."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from service.api.caller import SEES_EVERYTHING, Caller
from service.api.cors import ALLOWED_HEADERS, EXPOSED_HEADERS
from service.api.headers import OPEN_PATHS


@dataclass(frozen=True, slots=True)
class AccessRules:
    """`keys` empty: no key is needed. `open_paths` need none either."""

    keys: tuple[bytes, ...] = ()
    origins: tuple[str, ...] = ()
    open_paths: frozenset[str] = OPEN_PATHS

    def caller(self, path: str, fields: Mapping[bytes, bytes]) -> Caller | None:
        """Who sends a request with these fields (as in Head); None where it lacks the key that it needs."""
        if not self.keys or path in self.open_paths:
            return SEES_EVERYTHING
        place = place_of_key(self.keys, fields.get(b"authorization", b""), fields.get(b"x-api-key", b""))
        return None if place is None else _holder_of_key(place)


@cache
def _holder_of_key(place: int) -> Caller:
    return Caller(name=f"key {place}")


def place_of_key(keys: Sequence[bytes], authorization: bytes, x_api_key: bytes) -> int | None:
    """Which of the keys the request carries, if any; takes the same time whichever it is."""
    scheme, _, token = authorization.partition(b" ")
    bearer = token.strip() if scheme.lower() == b"bearer" else b""
    matches = [hmac.compare_digest(key, candidate) for key in keys for candidate in (bearer, x_api_key)]
    return matches.index(True) // 2 if any(matches) else None


def cors_headers(origins: Sequence[str], origin: str | None) -> dict[str, str]:
    """The headers that let a page of `origin` read the answer; none where it is not among the configured ones."""
    if not origins:
        return {}
    if origin is None or ("*" not in origins and origin not in origins):
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": "*" if "*" in origins else origin,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
        "Vary": "Origin",
    }


PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": ALLOWED_HEADERS,
    "Access-Control-Max-Age": "600",
}
