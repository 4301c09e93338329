"""The caller of a request: the holder of an API key, or the user that an ID token names.

Nothing that this module returns or raises contains a key or a token.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from service.api.caller import SEES_EVERYTHING, Caller
from service.api.headers import OPEN_PATHS
from service.errors import NotAdmitted

AUTHORIZATION, X_API_KEY = b"authorization", b"x-api-key"


class Tokens(Protocol):
    """See service.access.callers."""

    def remembered(self, token: bytes) -> Caller | None: ...

    async def caller(self, token: bytes) -> Caller: ...


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Without `keys` and `tokens`, all requests are admitted; `open_paths` always are.

    `token_header` is the header with the token. If it is `Authorization`, it is a bearer token, like keys are.
    """

    keys: tuple[bytes, ...] = ()
    origins: tuple[str, ...] = ()
    open_paths: frozenset[str] = OPEN_PATHS
    tokens: Tokens | None = None
    token_header: bytes = AUTHORIZATION

    @property
    def is_open(self) -> bool:
        """Whether all requests are admitted."""
        return not self.keys and self.tokens is None

    def caller(self, path: str, fields: Mapping[bytes, bytes]) -> Caller | None:
        """The caller of a request with these fields (as in Head), if it can be found without awaiting."""
        if self.is_open or path in self.open_paths:
            return SEES_EVERYTHING
        if self.tokens is not None and X_API_KEY not in fields:
            token = self._token(fields)
            caller = None if token is None else self.tokens.remembered(token)
            if caller is not None:
                return caller
        place = place_of_key(self.keys, fields.get(AUTHORIZATION, b""), fields.get(X_API_KEY, b""))
        return None if place is None else _holder_of_key(place)

    async def admit(self, path: str, fields: Mapping[bytes, bytes]) -> Caller:
        """The caller of the request. Raises: NotAdmitted, WrongToken, ProviderUnreachable."""
        caller = self.caller(path, fields)
        if caller is not None:
            return caller
        token = self._token(fields)
        if self.tokens is None or token is None or token.count(b".") != 2:  # or it is a wrong key
            raise NotAdmitted(self._what_is_needed())
        return await self.tokens.caller(token)

    def credential_headers(self) -> frozenset[bytes]:
        """The headers with keys and tokens. A request must not have one of them twice."""
        return frozenset() if self.is_open else frozenset({AUTHORIZATION, X_API_KEY, self.token_header})

    def _token(self, fields: Mapping[bytes, bytes]) -> bytes | None:
        """The value in the place of a token; it can also be a key."""
        value = fields.get(self.token_header, b"")
        if value[:7].lower() == b"bearer ":
            return value[7:].strip()
        return None if self.token_header == AUTHORIZATION else value

    def _what_is_needed(self) -> str:
        key = "'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
        if self.tokens is None:
            return f"An API key is needed: send it as {key}"
        header = self.token_header.decode()
        token = "'Authorization: Bearer TOKEN'" if header == "authorization" else f"'{header}: TOKEN'"
        if not self.keys:
            return f"An ID token is needed: send it as {token}"
        return f"An ID token or an API key is needed: send a token as {token}, a key as 'X-API-Key: KEY'"


@cache
def _holder_of_key(place: int) -> Caller:
    return Caller(name=f"key {place}")


def place_of_key(keys: Sequence[bytes], authorization: bytes, x_api_key: bytes) -> int | None:
    """The number of the key that the request has, or None. Takes the same time for all keys."""
    scheme, _, token = authorization.partition(b" ")
    bearer = token.strip() if scheme.lower() == b"bearer" else b""
    matches = [hmac.compare_digest(key, candidate) for key in keys for candidate in (bearer, x_api_key)]
    return matches.index(True) // 2 if any(matches) else None
