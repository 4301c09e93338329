"""The ID tokens of one provider, and all parts that they need. `callers` finds the caller of a token."""

import asyncio
import logging
import random

from listeners.listener import Clock
from service.access.callers import ClaimNames, TokenCallers
from service.access.key_fetcher import KeyFetcher
from service.access.provider_keys import ProviderKeys
from service.access.providers import Provider
from service.access.token_reader import TokenReader
from service.runtime.tasks import BackgroundTasks

log = logging.getLogger(__name__)


class IdTokens:
    """`start` it with the service, `close` it at the end. With the Auth emulator it fetches nothing."""

    def __init__(
        self, provider: Provider, names: ClaimNames, *, clock: Clock, wall_clock: Clock, rng: random.Random
    ) -> None:
        self._fetcher = KeyFetcher(provider)
        self._keys = None if provider.is_emulator else ProviderKeys(self._fetcher, clock=clock, rng=rng)
        self.callers = TokenCallers(TokenReader(provider), self._keys, names, wall_clock=wall_clock)

    @property
    def trouble(self) -> str:
        """Why no token can be checked; "" if they can be."""
        if self._keys is None or self._keys.has_keys:
            return ""
        return "ID tokens cannot be checked, because the keys of their provider have not been fetched yet"

    def start(self, background: BackgroundTasks) -> None:
        """Begin to keep the provider's keys current."""
        if self._keys is None:
            log.warning("FIREBASE_AUTH_EMULATOR_HOST is set: ID tokens need no signature, so anyone can make them")
        else:
            background.start("keys", self._keys.run(asyncio.sleep))

    async def close(self) -> None:
        """Close the connections. Call this after the background tasks have ended."""
        if self._keys is not None:
            await self._keys.close()
        await self._fetcher.close()
