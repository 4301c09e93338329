"""An event stream as a client of the standard reads it (WHATWG HTML, 9.2.6), on a connection of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.service.running import RunningService

PATIENCE_S = 15.0


@dataclass(frozen=True)
class Event:
    """One event; `last_event_id` is what a client would send on coming back after it."""

    name: str
    data: Any
    last_event_id: str


class EventSource:
    """An open stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.last_event_id = ""
        self.comments: list[str] = []
        self.retry_ms = 0
        self._response = response

    async def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._next()

    async def _next(self) -> Event | None:
        name, data = "message", ""
        while line := (await self._response.content.readline()).decode():
            field, _, value = line.rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if not line.rstrip("\n"):
                if data:
                    return Event(name, orjson.loads(data), self.last_event_id)
                name = "message"
            elif not field:
                self.comments.append(value)
            elif field == "event":
                name = value
            elif field == "data":
                data += value
            elif field == "id":
                self.last_event_id = value
            elif field == "retry":
                self.retry_ms = int(value)
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
    running: RunningService, path: str, last_event_id: str | None = None, **headers: str
) -> AsyncIterator[EventSource]:
    """Connect; a stream that is no longer needed is closed at the end."""
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with aiohttp.ClientSession() as session, session.get(running.url + path, headers=headers) as response:
        yield EventSource(response)
