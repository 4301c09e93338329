"""From an ID token to the caller that it identifies.

A token is verified once. Its caller is remembered until the token expires, within a bound: the oldest are forgotten
first. Wrong tokens are not remembered, so forged ones take no memory. Looking a token up needs no await. The key is the
token's text: a digest would cost more than the rest of the look-up.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Protocol

from listeners.listener import Clock
from service.access.key_set import SigningKey
from service.access.pace import Pace
from service.access.token_reader import SKEW_S, Claims, TokenReader, UnverifiedToken
from service.api.caller import Caller
from service.errors import WrongToken

MAX_REMEMBERED_BYTES = 32 * 1024 * 1024
"""Some 20,000 callers with usual tokens."""

_ENTRY_BYTES = 512
"""The memory of one caller, in addition to its token."""

MAX_REMEMBERED_S = 86_400.0
"""A token that is valid for longer than this is verified again."""


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """`owner` is the claim with the caller's owner value; None if the schema has no owner.

    `admin` is the claim that gives access to all processes; "" if there is none.
    """

    owner: str | None = None
    admin: str = ""


class Keys(Protocol):
    """See ProviderKeys."""

    async def key(self, key_id: str) -> SigningKey | None: ...


class TokenCallers:
    """Finds the callers of tokens. `wall_clock`: seconds since the epoch."""

    def __init__(self, reader: TokenReader, keys: Keys | None, names: ClaimNames, *, wall_clock: Clock) -> None:
        self._reader = reader
        self._keys = keys
        self._names = names
        self._wall_clock = wall_clock
        self._pace = Pace()
        self._remembered: dict[bytes, Caller] = {}
        self._remembered_bytes = 0

    def __repr__(self) -> str:
        return f"<TokenCallers {len(self._remembered)} remembered>"

    def remembered(self, token: bytes) -> Caller | None:
        """The caller of a token that was verified before and is still valid."""
        caller = self._remembered.get(token)
        if caller is not None and (caller.expires_at or 0.0) <= self._wall_clock():
            self._forget(token)
            return None
        return caller

    async def caller(self, token: bytes) -> Caller:
        """The caller of a token. Raises: WrongToken, ProviderUnreachable."""
        unverified = self._reader.parse(token)
        key = None if self._keys is None else await self._keys.key(unverified.key_id)
        return await self._pace.run(partial(self._verified, token, unverified, key))

    def _verified(self, token: bytes, unverified: UnverifiedToken, key: SigningKey | None) -> Caller:
        known = self.remembered(token)  # another request with it was faster, while this one waited for its turn
        if known is not None:
            return known
        now = self._wall_clock()
        caller = caller_of(self._reader.claims(unverified, key, now), self._names, now)
        self._remember(token, caller)
        return caller

    def _remember(self, token: bytes, caller: Caller) -> None:
        self._remembered[token] = caller
        self._remembered_bytes += len(token) + _ENTRY_BYTES
        while self._remembered_bytes > MAX_REMEMBERED_BYTES:
            self._forget(next(iter(self._remembered)))

    def _forget(self, token: bytes) -> None:
        del self._remembered[token]
        self._remembered_bytes -= len(token) + _ENTRY_BYTES


def caller_of(claims: Claims, names: ClaimNames, now: float) -> Caller:
    """The caller that these claims identify. Raises: WrongToken if they lack the claim for it."""
    name = f"token {claims['sub']}"
    expires_at = min(ceil(claims["exp"]) + SKEW_S, now + MAX_REMEMBERED_S)  # tokens are checked at whole seconds
    if names.owner is None or (names.admin and claims.get(names.admin) is True):
        return Caller(name, None, expires_at)
    return Caller(name, _owner(claims, names.owner), expires_at)


def _owner(claims: Claims, name: str) -> Hashable:
    owner = claims.get(name)
    if isinstance(owner, bool) or not isinstance(owner, str | int) or owner == "":
        raise WrongToken(f"the token lacks {name}")
    return owner
