"""A way to the service on which connections break off in the middle of an answer."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.service.running import RunningService

_ENOUGH = 2**30


class CutConnections:
    """Passes requests on to the service. The first answers break off after so many bytes; then connections hold."""

    def __init__(self, running: RunningService, breaks_after: Iterable[int]) -> None:
        where = urlsplit(running.url)
        self._service = where.hostname, where.port
        self._breaks_after = list(breaks_after)
        self.tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    @property
    def hold(self) -> bool:
        """Whether all have broken off that will."""
        return not self._breaks_after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        from_service, to_service = await asyncio.open_connection(*self._service)
        try:
            to_service.write(await reader.readuntil(b"\r\n\r\n"))
            left = self._breaks_after[-1] if self._breaks_after else _ENOUGH
            while left and (data := await from_service.read(left)):
                writer.write(data)
                await writer.drain()
                left -= len(data)
            if left:
                writer.close()  # the answer has come to its end
                await writer.wait_closed()
            else:
                self._breaks_after.pop()
        except ConnectionError:
            pass  # the client has gone first
        finally:
            writer.transport.abort()
            to_service.transport.abort()
            self.tasks.discard(task)


@asynccontextmanager
async def cut_connections(running: RunningService, breaks_after: Iterable[int]) -> AsyncIterator[CutConnections]:
    """Open that way; `url` is where it begins."""
    way = CutConnections(running, breaks_after)
    async with await asyncio.start_server(way.serve, "127.0.0.1", 0) as server:
        way.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield way
        server.close()
        for task in way.tasks:
            task.cancel()
        await asyncio.gather(*way.tasks, return_exceptions=True)
