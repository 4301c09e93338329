"""A TCP proxy between one replica and Firestore: the network between them, which can break on demand.

Every change concerns the connections that are open now; what `heal` does not undo is lost bytes. A connection with a
gap can't go on, so it stays half-open until one of its ends gives it up. New connections pass, unless they are refused.
The kernel acknowledges what the proxy reads and drops: only what looks beyond TCP (a ping, a deadline) notices a loss.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from enum import Enum

CHUNK_BYTES = 65_536
PACE_S = 0.1
"""A throttled direction passes a tenth of its bytes per second every so often."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction(Enum):
    """Of bytes."""

    REQUESTS = "requests"
    ANSWERS = "answers"


@dataclass(eq=False)
class Lane:
    """One direction of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    network: "Network"
    is_lost: bool = False

    async def pump(self) -> None:
        """Carry bytes until one end closes."""
        while data := await self.reader.read(CHUNK_BYTES):
            while data:
                await self.network.passes.wait()
                if self.network.delay_s:
                    await asyncio.sleep(self.network.delay_s)
                piece, data = data[: self.network.chunk_bytes], data[self.network.chunk_bytes :]
                if not self.is_lost:
                    self.writer.write(piece)
                    await self.writer.drain()


@dataclass(eq=False)
class Network:
    """The state of one direction, for every connection."""

    delay_s: float = 0.0
    chunk_bytes: int = CHUNK_BYTES
    passes: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.heal()

    def heal(self) -> None:
        self.delay_s, self.chunk_bytes = 0.0, CHUNK_BYTES
        self.passes.set()


@dataclass(eq=False)
class Link:
    """One connection: a lane in each direction."""

    lanes: dict[Direction, Lane]

    def reset(self) -> None:
        """Both ends get a RST."""
        for lane in self.lanes.values():
            connection = lane.writer.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            lane.writer.transport.abort()


class Proxy:
    """Listens on a free port of this host, for as long as it is not refusing. `start` and `stop` frame its life."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rsplit(":", 1)
        self._networks = {direction: Network() for direction in Direction}
        self._links: set[Link] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._port, limit=CHUNK_BYTES)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        await self.refuse()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pump = asyncio.current_task()
        assert pump is not None
        self._pumps.add(pump)
        try:
            await self._carry(reader, writer)
        except OSError:
            pass  # an end is gone, as it is meant to be
        finally:
            writer.transport.abort()
            self._pumps.discard(pump)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._upstream
        from_firestore, to_firestore = await asyncio.open_connection(host, int(port), limit=CHUNK_BYTES)
        requests, answers = (self._networks[direction] for direction in Direction)
        lanes = {
            Direction.REQUESTS: Lane(reader, to_firestore, requests),
            Direction.ANSWERS: Lane(from_firestore, writer, answers),
        }
        link = Link(lanes)
        self._links.add(link)
        pumps = [asyncio.create_task(lane.pump()) for lane in lanes.values()]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_firestore.transport.abort()

    # -- what can go wrong

    async def refuse(self) -> None:
        """Reset what is open and accept nothing more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.reset()

    async def reset(self) -> None:
        for link in list(self._links):
            link.reset()

    async def lose(self, *directions: str) -> None:
        """What the open connections carry in these directions is gone, for as long as they last."""
        for link in self._links:
            for name in directions:
                link.lanes[Direction(name)].is_lost = True

    async def stop_reading(self, *directions: str) -> None:
        """Bytes pile up at their sender, and arrive once this is healed."""
        for name in directions:
            self._networks[Direction(name)].passes.clear()

    async def delay(self, seconds: float, *directions: str) -> None:
        for name in directions:
            self._networks[Direction(name)].delay_s = seconds

    async def throttle(self, bytes_per_s: int, *directions: str) -> None:
        for name in directions:
            network = self._networks[Direction(name)]
            network.delay_s, network.chunk_bytes = PACE_S, max(1, int(bytes_per_s * PACE_S))

    async def heal(self) -> None:
        """All but bytes that are lost."""
        for network in self._networks.values():
            network.heal()
        if self._server is None:
            await self.start()
