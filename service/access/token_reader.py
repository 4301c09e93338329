"""Reads an ID token: returns its claims, or raises what is wrong with it. Pure, and takes less than a millisecond.

The checks come in this order: size and form, algorithm and key, signature, then the claims: issuer, audience, expiry,
not-before, time of issue, subject. No message contains any part of a token.
"""

import json
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from service.access.key_set import SigningKey
from service.access.providers import Provider
from service.errors import WrongToken

ALGORITHMS = ("RS256", "ES256")
MAX_TOKEN_BYTES = 8192
SKEW_S = 60
"""The greatest difference between the clocks of the provider and of this machine."""

Claims = dict[str, Any]

_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_FOR_ONE = {name: JWSRegistry(algorithms=(name,), strict_check_header=False) for name in ALGORITHMS}
_MALFORMED = (JoseError, ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What the library raises for texts that are no tokens, because it trusts the types in a token's header."""

_WRONG = {
    "iss": "the token is from another issuer",
    "aud": "the token is for another audience",
    "exp": "the token's expiry is no number",
    "nbf": "the token is not valid yet",
    "iat": "the token was issued in the future",
    "sub": "the token has no subject",
}


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token of the right form. `key_id` is empty if the provider does not sign."""

    key_id: str
    content: CompactSignature


class TokenReader:
    """Reads the tokens of one provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def parse(self, token: bytes) -> UnverifiedToken:
        """Check size, form, algorithm and key ID. Raises: WrongToken."""
        if len(token) > MAX_TOKEN_BYTES:
            raise WrongToken(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        try:
            content = jws.extract_compact(token, None, _REGISTRY)
            header = content.headers()
            algorithm, key_id = header.get("alg"), header.get("kid")
        except _MALFORMED:
            raise WrongToken("it is no ID token") from None
        if self._provider.is_emulator:
            if algorithm != "none" or not token.endswith(b"."):
                raise WrongToken("the token is not one of the Auth emulator, which signs nothing")
            return UnverifiedToken("", content)
        if algorithm not in ALGORITHMS:
            raise WrongToken(f"the token is not signed with {' or '.join(ALGORITHMS)}")
        if not isinstance(key_id, str) or not key_id:
            raise WrongToken("the token names no key")
        return UnverifiedToken(key_id, content)

    def claims(self, token: UnverifiedToken, key: SigningKey | None, now: float) -> Claims:
        """The claims of the token. `key` is the key with its key ID. Raises: WrongToken."""
        if not self._provider.is_emulator:
            _verify(token.content, key)
        try:
            claims = json.loads(token.content.payload, parse_constant=_refuse)
        except _MALFORMED:
            raise WrongToken("it is no ID token") from None
        if not isinstance(claims, dict):
            raise WrongToken("it is no ID token")
        self._check(claims, now)
        return claims

    def _check(self, claims: Claims, now: float) -> None:
        registry = JWTClaimsRegistry(
            int(now),
            SKEW_S,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "values": list(self._provider.audiences)},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError:
            raise WrongToken("the token has expired") from None
        except MissingClaimError as missing:
            raise WrongToken(f"the token lacks {' and '.join(str(missing.claim).split(','))}") from None
        except ClaimError as wrong:
            raise WrongToken(_WRONG.get(str(wrong.claim), "the token has a malformed claim")) from None


def _refuse(constant: str) -> None:
    """NaN and infinities are no valid JSON, and no valid times either."""
    raise ValueError(constant)


def _verify(content: CompactSignature, key: SigningKey | None) -> None:
    """Verify the signature, with the one algorithm of the key."""
    if key is None:
        raise WrongToken("the token is signed with a key that its provider does not have")
    try:
        is_genuine = jws.validate_compact(content, key.key, registry=_FOR_ONE[key.algorithm])
    except _MALFORMED:
        is_genuine = False
    if not is_genuine:
        raise WrongToken("the token's signature is wrong")
