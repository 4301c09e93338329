"""Access: API keys and cross-origin requests. Pure; keys never appear in anything it returns."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.api.cors import ALLOWED_HEADERS, EXPOSED_HEADERS
from service.api.headers import OPEN_PATHS


@dataclass(frozen=True, slots=True)
class AccessRules:
    """`keys` empty: no key is needed. `open_paths` need none either."""

    keys: tuple[bytes, ...] = ()
    origins: tuple[str, ...] = ()
    open_paths: frozenset[str] = OPEN_PATHS

    def admits(self, path: str, fields: Mapping[bytes, bytes]) -> bool:
        """Whether a request carries a key, or needs none; `fields` as in Head."""
        if not self.keys or path in self.open_paths:
            return True
        return is_allowed(self.keys, fields.get(b"authorization", b""), fields.get(b"x-api-key", b""))


def is_allowed(keys: Sequence[bytes], authorization: bytes, x_api_key: bytes) -> bool:
    """Whether the request carries one of the keys; takes the same time whichever key, or none, it is."""
    if not keys:
        return True
    scheme, _, token = authorization.partition(b" ")
    bearer = token.strip() if scheme.lower() == b"bearer" else b""
    matches = [hmac.compare_digest(key, candidate) for key in keys for candidate in (bearer, x_api_key)]
    return any(matches)


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
