"""A provider's key set (RFC 7517), and how long it can be kept. Pure.

Keys that cannot verify an ID token are left out: keys of other types, curves and purposes, keys without an ID, and RSA
keys of unusual sizes, whose signatures are weak or slow to verify.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

MAX_KEYS = 64
MODULUS_BYTES = range(256, 512 + 2)
"""RSA keys of 2048 to 4096 bits, with or without a leading zero. Verifying takes at most a sixth of a millisecond."""

MIN_KEPT_S, DEFAULT_KEPT_S, MAX_KEPT_S = 60.0, 300.0, 86_400.0

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})", re.IGNORECASE)


class WrongKeySet(ValueError):
    """The answer is no key set; the text gives the reason for the log."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and its one algorithm."""

    algorithm: str
    key: RSAKey | ECKey


Keys = Mapping[str, SigningKey]
"""Keys by their IDs."""


def read_key_set(body: bytes) -> Keys:
    """The keys that can verify ID tokens. Raises: WrongKeySet, also if there are none."""
    try:
        listed = orjson.loads(body)["keys"]
    except (KeyError, TypeError, ValueError):
        raise WrongKeySet("it is no JSON object with a list `keys`") from None
    if not isinstance(listed, list):
        raise WrongKeySet("its `keys` are no list")
    keys = {key_id: key for entry in listed[:MAX_KEYS] for key_id, key in _read_key(entry)}
    if not keys:
        raise WrongKeySet("it has no RSA or P-256 key with an ID")
    return keys


def _read_key(entry: Any) -> list[tuple[str, SigningKey]]:
    """A list with the key; empty if the key is left out."""
    public: dict[str, str | list[str]]
    match entry:
        case {"kid": str() as key_id, "kty": "RSA", "n": str() as n, "e": str() as e}:
            algorithm, public = "RS256", {"kty": "RSA", "n": n, "e": e}
        case {"kid": str() as key_id, "kty": "EC", "crv": "P-256", "x": str() as x, "y": str() as y}:
            algorithm, public = "ES256", {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        case _:
            return []
    if entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return []
    try:
        if algorithm == "ES256":
            return [(key_id, SigningKey(algorithm, ECKey.import_key(public)))]
        is_usual = len(entry["n"]) * 3 // 4 in MODULUS_BYTES
        return [(key_id, SigningKey(algorithm, RSAKey.import_key(public)))] if is_usual else []
    except (JoseError, ValueError):
        return []


def kept_s(headers: Mapping[str, str]) -> float:
    """The seconds for which an answer with these headers is current, within bounds (RFC 9111, 4.2.1)."""
    control = headers.get("Cache-Control", "")
    found = _MAX_AGE.search(control)
    if found is None or "no-store" in control.lower() or "no-cache" in control.lower():
        return DEFAULT_KEPT_S
    age = headers.get("Age", "0")
    current_s = float(found[1]) - (float(age) if age.isascii() and age.isdecimal() else 0.0)
    return min(max(current_s, MIN_KEPT_S), MAX_KEPT_S)
