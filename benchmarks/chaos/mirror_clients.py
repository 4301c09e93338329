"""The clients behind the mirrors: each follows `/events` at one replica, leaves, and goes on at another. In a process.

A client sends the last ID it was given. It leaves in the middle of whatever is being said, once its stream has begun.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.chaos.mirror import Batch, Event
from benchmarks.processes import Child, answer_requests

STAYS_S = (0.05, 4.0)
"""How long a client stays at one replica."""

PAUSE_S = 0.1
_FIELD = re.compile(rb"(event|id|data): ?(.*)")


def mirrors_process(urls: Sequence[str], statuses: Sequence[str | None], seed: int) -> Child:
    """Answers `start`, `taken` (the batches since) and `settle`: from then on each stays where it is."""
    return Child(_main, list(urls), list(statuses), seed, name="chaos mirrors")


def _main(pipe: Connection, urls: list[str], statuses: list[str | None], seed: int) -> None:
    import uvloop

    uvloop.run(_serve(pipe, urls, statuses, seed))


async def _serve(pipe: Connection, urls: list[str], statuses: list[str | None], seed: int) -> None:
    clients = [Follower(number, urls, status, random.Random(seed + number)) for number, status in enumerate(statuses)]
    following: list[asyncio.Task[None]] = []

    async def start() -> None:
        following.extend(asyncio.create_task(client.follow()) for client in clients)

    async def taken() -> list[Batch]:
        for task in following:
            if task.done():
                task.result()
        batches = [batch for client in clients for batch in client.batches]
        for client in clients:
            client.batches.clear()
        return batches

    async def settle() -> None:
        for client in clients:
            client.is_settled = True

    handlers: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {"start": start, "taken": taken, "settle": settle}
    await answer_requests(pipe, handlers)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


class Follower:
    """One client. `batches`: what it received and nobody has taken yet."""

    def __init__(self, number: int, urls: Sequence[str], status: str | None, chance: random.Random) -> None:
        self.batches: list[Batch] = []
        self.is_settled = False
        self._number = number
        self._urls = urls
        self._path = "/events" if status is None else f"/events?status={status}"
        self._chance = chance
        self._last_id = ""

    async def follow(self) -> None:
        """For ever."""
        while True:
            url = self._chance.choice(self._urls)
            stay = None if self.is_settled else self._chance.uniform(*STAYS_S)
            try:
                await self._read(url, stay)
            except TimeoutError:
                continue  # it has stayed long enough
            except (OSError, EOFError):
                pass
            await asyncio.sleep(PAUSE_S)

    async def _read(self, url: str, stay_s: float | None) -> None:
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            seen = f"Last-Event-ID: {self._last_id}\r\n" if self._last_id else ""
            writer.write(f"GET {self._path} HTTP/1.1\r\nHost: mirrors\r\n{seen}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200"):
                async with asyncio.timeout(stay_s):
                    await self._note(url, _events(_body(reader)))
        finally:
            writer.transport.abort()

    async def _note(self, url: str, events: "AsyncIterator[tuple[Event, str]]") -> None:
        """Events up to an ID are a batch; those without one at the end have not been said.

        0 begins a batch of several: a client that is cut off within it begins anew.
        """
        pending: list[Event] = []
        async for event, event_id in events:
            pending.append(event)
            self._last_id = event_id or self._last_id
            if event_id not in ("", "0"):
                self.batches.append(Batch(self._number, url, int(event_id), tuple(pending)))
                pending = []


async def _body(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The chunks of a chunked body."""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[Event, str]]:
    """Each with its ID, "" where it has none."""
    unread = b""
    async for chunk in chunks:
        *blocks, unread = (unread + chunk).split(b"\n\n")
        for block in blocks:
            matches = [match for line in block.split(b"\n") if (match := _FIELD.fullmatch(line))]
            fields: dict[bytes, bytes] = {match[1]: match[2] for match in matches}
            if b"data" in fields:
                event = Event(fields.get(b"event", b"").decode(), fields[b"data"])
                yield event, fields.get(b"id", b"").decode()
