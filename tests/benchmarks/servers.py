"""Servers for the load clients to load, on the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cache: HIT\r\n\r\n{}"

Answer = Callable[[bytes], Awaitable[bytes]]
"""The head of a request → the bytes of its answer; b"" closes the connection."""


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """Answer every request with what `answer` returns. Gives the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while answered := await answer(await reader.readuntil(b"\r\n\r\n")):
                writer.write(answered)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone: that is how every connection of a load ends
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
