"""Clients that mean harm, or act as if they did: each kind at a bounded rate, from a process of its own.

What one of them sends must cost others nothing: not their answers, not their time, not the memory they need.
"""

import asyncio
import gzip
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.firestore import process_id
from benchmarks.processes import Child, answer_requests

BOMB_BYTES = 10 * 1024 * 1024
TRACE_DIGITS = 4_301
BALLAST = bytes(500_000)
"""Behind a request: few objects, which take much memory for as long as the request waits."""

WATCHED = process_id(0)
"""What a well-behaved client waits for meanwhile."""

PATIENCE_S = 2.0
"""After it a hostile client gives up."""

SILENT = 3_000
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NUMBERS = itertools.count()

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _say(port: int, request: bytes) -> None:
    """On a new connection; and read what comes until it is closed."""
    async with _connection(port) as (reader, writer):
        writer.write(request)
        while await reader.read(65_536):
            pass


def _request(head: str, body: bytes = b"") -> Callable[[int], Awaitable[None]]:
    request = head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
    return lambda port: _say(port, request)


def _bomb() -> Callable[[int], Awaitable[None]]:
    body = gzip.compress(bytes(BOMB_BYTES))
    return _request(f"POST /status HTTP/1.1\nHost: x\nContent-Encoding: gzip\nContent-Length: {len(body)}", body)


async def _leave_at_once(port: int) -> None:
    """Ask for what is not held, and be gone before the answer is made."""
    async with _connection(port) as (_, writer):
        writer.write(f"GET /status/left-{next(_NUMBERS)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def _invent(port: int) -> None:
    """Ask for a process that nobody has heard of."""
    await _say(port, f"GET /status/invented-{next(_NUMBERS)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


async def _begin_a_second_head(port: int) -> None:
    """A whole request, and the beginning of another that never ends."""
    await _say(port, b"GET /status/import-00000000 HTTP/1.1\r\nHost: x\r\n\r\nGET /sta")


async def _be_silent(port: int) -> None:
    """Connect, and say nothing for as long as it lasts."""
    async with _connection(port) as (reader, _):
        await reader.read(1)
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Kind:
    """One kind of hostile client. `patience_s`: how long each stays at most."""

    act: Callable[[int], Awaitable[None]]
    per_s: float
    patience_s: float = PATIENCE_S


_TRACE = f"X-Cloud-Trace-Context: {'ab' * 16}/1;o={'1' * TRACE_DIGITS}"
_WAIT = "GET /status/import-00000001?wait=50 HTTP/1.1\nHost: x\nX-Odd: 1\nIf-None-Match: *"
_LEAVES_S = 0.7

KINDS: dict[str, Kind] = {
    "harmless requests": Kind(_request("GET /status/import-00000002 HTTP/1.1\nHost: x\nConnection: close"), 300),
    "malformed requests": Kind(_request(_WAIT, BALLAST), 100, _LEAVES_S),
    "Upgrade": Kind(_request(f"{_WAIT}\nConnection: Upgrade\nUpgrade: websocket", BALLAST), 100, _LEAVES_S),
    "abandoned requests": Kind(_request(f"{_WAIT}\nContent-Length: 9999999", BALLAST), 100, _LEAVES_S),
    "malformed heads": Kind(_request("GET /status HTTP/1.1\nHost: x\nno header at all"), 300),
    "gzip bodies": Kind(_bomb(), 20),
    "huge trace headers": Kind(_request(f"GET /status/nothing HTTP/1.1\nHost: x\nConnection: close\n{_TRACE}"), 200),
    "waits with huge trace headers": Kind(
        _request(f"GET /status/{WATCHED}?wait=5 HTTP/1.1\nHost: x\nIf-None-Match: *\nConnection: close\n{_TRACE}"), 50
    ),
    "invented IDs": Kind(_invent, 300),
    "left at once": Kind(_leave_at_once, 300),
    "slow heads": Kind(_begin_a_second_head, 200),
    "silent connections": Kind(_be_silent, SILENT, 60.0),
}
"""By the name that the report calls them, each with how many begin in a second. The first kind is for comparison: new
connections, each with a request that costs nothing."""


def hostile_process(port: int) -> Child:
    """Answers `flood(kind, seconds, share)`, which returns how many began; `share` of the rate is what comes.

    Gives way: well-behaved clients on the same core suffer from what is done to the service, and from nothing else.
    """
    return Child(_main, port, name="hostile clients", gives_way=True)


def _main(pipe: Connection, port: int) -> None:
    import uvloop

    uvloop.run(answer_requests(pipe, {"flood": lambda *arguments: flood(port, *arguments)}))


async def flood(port: int, name: str, seconds: float, share: float) -> int:
    """So many seconds of one kind; those still there are ended with it."""
    loop, kind = asyncio.get_running_loop(), KINDS[name]
    began, count = loop.time(), int(kind.per_s * seconds * share)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(count):
            await asyncio.sleep(began + number / (kind.per_s * share) - loop.time())
            tasks.append(group.create_task(_act(kind, port)))
        await asyncio.sleep(began + seconds - loop.time())
        for task in tasks:
            task.cancel()
    return count


async def _act(kind: Kind, port: int) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError: whatever is done to it is right
        async with asyncio.timeout(kind.patience_s):
            await kind.act(port)
