"""The connection of all direct reads: the first read opens it, `exchange` replaces it, `close` ends it.

Runs on the event loop. Calls that are under way during an exchange finish on the old connection, which closes after
them.
"""

import asyncio

from listeners.endpoints import Endpoint
from service.reads.firestore_calls import FirestoreCalls


class Connection:
    """The present channel to one database of one Firestore."""

    def __init__(self, endpoint: Endpoint, database: str, *, longest_call_s: float) -> None:
        self._endpoint = endpoint
        self._database = database
        self._longest_call_s = longest_call_s
        self._calls: FirestoreCalls | None = None
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def calls(self) -> FirestoreCalls:
        """The calls of the present connection. Raises: ListenerFailure if there are no credentials."""
        if self._calls is None:
            async with self._opening:
                if self._calls is None:
                    self._calls = await self.another()
        return self._calls

    async def another(self) -> FirestoreCalls:
        """The calls of a new connection, which the caller must close or pass to `exchange`. Raises: ListenerFailure."""
        return FirestoreCalls(await self._endpoint.open_channel(), self._database, self._endpoint.metadata)

    def exchange(self, calls: FirestoreCalls) -> None:
        """Use this connection for reads from now on."""
        preceding, self._calls = self._calls, calls
        if preceding is not None:
            closing = asyncio.create_task(preceding.close(self._longest_call_s), name="close a reading channel")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all calls, and close."""
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._calls is not None:
            await self._calls.close()
