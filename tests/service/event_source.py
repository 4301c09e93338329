"""An event stream as a client of the standard reads it: httpx-sse, on a connection of its own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.programs.program import Program
from tests.service.cut_connections import CutConnections
from tests.service.running import RunningService
from tests.waiting import PATIENCE_S

_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS, and loading those that are trusted takes longer than most tests."""


@dataclass(frozen=True)
class Event:
    """One event; `last_event_id` is what a client would send on coming back after it."""

    name: str
    data: Any
    last_event_id: str


class EventSource:
    """An open stream."""

    def __init__(self, response: httpx.Response, events: AsyncIterator[ServerSentEvent]) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._events = events

    async def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            async for sent in self._events:
                self.last_event_id = sent.id
                if sent.retry is not None:
                    self.retry_ms = sent.retry
                if sent.data:  # the standard dispatches no event without data
                    return Event(sent.event, orjson.loads(sent.data), sent.id)
        return None

    async def take(self, count: int) -> list[Event]:
        """So many events. Raises: AssertionError where the stream ends before."""
        events = []
        for _ in range(count):
            event = await self.next()
            assert event is not None, "the stream has ended"
            events.append(event)
        return events

    async def rest(self) -> list[Event]:
        """All events to the end of the stream."""
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events


@asynccontextmanager
async def event_source(
    service: RunningService | CutConnections | Program, path: str, last_event_id: str | None = None, **headers: str
) -> AsyncIterator[EventSource]:
    """Connect; a stream that is no longer needed is cut off at the end."""
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False, verify=_NO_AUTHORITIES) as client,
        aconnect_sse(client, "GET", service.url + path, headers=headers) as source,
    ):
        yield EventSource(source.response, source.aiter_sse())
