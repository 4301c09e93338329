"""Fetches the provider's keys over HTTP: only over https or from this machine, with bounds, without redirects."""

import aiohttp
import orjson

from service.access.key_set import Keys, WrongKeySet, kept_s, read_key_set
from service.access.providers import Provider
from service.runtime.addresses import provider_url

MAX_BODY_BYTES = 256 * 1024
TIMEOUT_S = 5.0
_ACCEPT = {"Accept": "application/json"}


class CannotFetch(Exception):
    """The keys could not be fetched; the text gives the reason for the log."""


class KeyFetcher:
    """Opens a client session with the first fetch; `close` it at the end."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self) -> tuple[Keys, float]:
        """The keys, and the seconds for which they are current. Raises: CannotFetch."""
        url = self._provider.keys_url or await self._discovered_url()
        body, seconds = await self._get(url)
        try:
            return read_key_set(body), seconds
        except WrongKeySet as wrong:
            raise CannotFetch(f"the key set at {url} cannot be used: {wrong}") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _discovered_url(self) -> str:
        provider = self._provider
        body, _ = await self._get(provider.discovery_url)
        try:
            document = orjson.loads(body)
            issuer, url = document["issuer"], provider_url(document["jwks_uri"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise CannotFetch(f"{provider.discovery_url} names no key set over https") from None
        if issuer != provider.issuer:
            raise CannotFetch(f"{provider.discovery_url} belongs to another issuer: {str(issuer)[:200]!r}")
        return url

    async def _get(self, url: str) -> tuple[bytes, float]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), headers=_ACCEPT, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise CannotFetch(f"{url} answered {answer.status}")
                body = await _bounded(answer.content)
                return body, kept_s(answer.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CannotFetch(f"{url} cannot be reached ({type(error).__name__})") from None
        except ValueError:
            raise CannotFetch(f"{url} sends more than {MAX_BODY_BYTES} bytes") from None


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The whole content. Raises: ValueError if it is too long."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise ValueError
    return bytes(body)
