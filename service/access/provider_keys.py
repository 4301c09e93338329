"""The provider's keys, kept current in memory.

`run` fetches them at the start, and again before their Cache-Control ends. During an outage of the provider the old
keys stay in use. If a token names an unknown key ID, the keys are fetched again, but at most once per
REFETCH_INTERVAL_S.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from listeners.listener import Clock
from service.access.key_fetcher import CannotFetch
from service.access.key_set import Keys, SigningKey
from service.errors import ProviderUnreachable

REFETCH_INTERVAL_S = 10.0
"""The shortest time between two fetches for unknown key IDs. Providers publish a key hours before they sign with it."""

AHEAD = 0.8
"""Keys are fetched again after this share of their time."""

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0

log = logging.getLogger(__name__)


class Fetcher(Protocol):
    """See KeyFetcher."""

    async def fetch(self) -> tuple[Keys, float]: ...


class ProviderKeys:
    """The keys of one provider. Lives on the event loop."""

    def __init__(self, fetcher: Fetcher, *, clock: Clock, rng: random.Random) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._rng = rng
        self._keys: Keys = {}
        self._kept_s = 0.0
        self._failures = 0
        self._refetch: asyncio.Task[None] | None = None
        self._refetched_at = float("-inf")
        self.fetches = 0

    def __repr__(self) -> str:
        return f"<ProviderKeys {len(self._keys)} keys, {self._failures} failures in a row>"

    async def key(self, key_id: str) -> SigningKey | None:
        """The key; None if the provider has no such key. Raises: ProviderUnreachable if no key at all is known."""
        if key_id not in self._keys:
            await self._fetch_for_unknown_id()
        if not self._keys:
            raise ProviderUnreachable(FIRST_RETRY_S)
        return self._keys.get(key_id)

    @property
    def has_keys(self) -> bool:
        """Whether tokens can be verified."""
        return bool(self._keys)

    async def run(self, sleep: Callable[[float], Awaitable[object]]) -> None:
        """Keep the keys current, without end."""
        while True:
            await self._fetch()
            await sleep(self._pause_s())

    async def close(self) -> None:
        """Cancel a fetch that is under way."""
        if self._refetch is not None:
            self._refetch.cancel()
            await asyncio.gather(self._refetch, return_exceptions=True)

    def _pause_s(self) -> float:
        if not self._failures:
            return self._kept_s * AHEAD * self._rng.uniform(0.9, 1.0)
        return min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10), LAST_RETRY_S) * self._rng.uniform(0.75, 1.25)

    async def _fetch_for_unknown_id(self) -> None:
        """Fetch the keys again. Requests that come during a fetch wait for that fetch."""
        if self._refetch is None or self._refetch.done():
            now = self._clock()
            if now < self._refetched_at + REFETCH_INTERVAL_S:
                return
            self._refetched_at = now
            self._refetch = asyncio.create_task(self._fetch(), name="keys for an unknown ID")
        await asyncio.shield(self._refetch)

    async def _fetch(self) -> None:
        self.fetches += 1
        try:
            keys, self._kept_s = await self._fetcher.fetch()
        except CannotFetch as error:
            self._failures += 1
            stay = "the keys that are here stay in use" if self._keys else "ID tokens get 503 until this works"
            log.warning("the keys for ID tokens cannot be fetched: %s; %s", error, stay)
            return
        if self._failures or not self._keys:
            log.info("fetched the keys for ID tokens: %d", len(keys))
        self._keys, self._failures = keys, 0
