"""Whether direct reads are back is found out over new connections, which reads use from then on."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc
import pytest

from listeners.endpoints import EmulatorEndpoint
from listeners.window import Window
from service.errors import Unreachable
from service.reads.attempts import Attempts
from service.reads.circuit import Circuit
from service.reads.connection import Connection
from service.reads.firestore_reader import FirestoreReader
from service.reads.recovery import Recovery
from service.runtime.clock import boottime
from tests.firestore_servers import BackgroundFirestore
from tests.service.reads.direct_reads import Bills
from tests.service.running import COLLECTION
from tests.service.schemas import order, schema
from tests.waiting import until

TIMEOUT_S = 1.0


class Wire:
    """A way to Firestore whose connections can lose everything that is sent, both ways, and stay open."""

    def __init__(self, host: str) -> None:
        self._host, _, self._port = host.rpartition(":")
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.host = ""

    @property
    def open_now(self) -> int:
        return len(self._open) // 2

    def lose_open_connections(self) -> None:
        """Half-open ones, to their client: what it sends never arrives."""
        self._lost |= self._open

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        from_firestore, to_firestore = await asyncio.open_connection(self._host, int(self._port))
        ways = [(reader, to_firestore), (from_firestore, writer)]
        tasks = [asyncio.create_task(self._pass_on(*way)) for way in ways]
        self._tasks.update(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(ConnectionError):
                while data := await reader.read(2**16):
                    if writer not in self._lost:
                        writer.write(data)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def wire_to(host: str) -> AsyncIterator[Wire]:
    wire = Wire(host)
    async with await asyncio.start_server(wire.serve, "127.0.0.1", 0) as server:
        wire.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield wire
        await wire.close()


class Reading:
    """A reader and what recovers it."""

    def __init__(self, host: str, project: str) -> None:
        window = Window(project, "(default)", COLLECTION, order(), 0)
        rng, opened = random.Random(1), asyncio.Event()
        self.circuit = Circuit(clock=boottime, rng=rng, on_open=opened.set)
        self.connection = Connection(EmulatorEndpoint(host), window.database_path, longest_call_s=10)
        attempts = Attempts(self.connection, self.circuit, clock=boottime, rng=rng)
        self.reader = FirestoreReader(attempts, window, schema(), timeout_s=TIMEOUT_S, clock=boottime, observer=Bills())
        self.recovery = Recovery(self.connection, self.circuit, self.reader.prove, timeout_s=TIMEOUT_S, opened=opened)


@asynccontextmanager
async def reading(host: str, project: str) -> AsyncIterator[Reading]:
    made = Reading(host, project)
    running = asyncio.create_task(made.recovery.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.connection.close()


async def test_a_half_open_connection_fails_one_read_and_is_replaced(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    async with wire_to(local_firestore.host) as wire, reading(wire.host, project) as made:
        await made.reader.get("a")
        wire.lose_open_connections()
        with pytest.raises(Unreachable):
            await made.reader.get("a")
        await until(lambda: made.circuit.is_closed, "an attempt over a new connection succeeded")
        assert (await made.reader.get("a")).summary is None
        assert wire.connections == 2


async def test_calls_under_way_finish_on_the_connection_that_was_replaced(project: str) -> None:
    with BackgroundFirestore() as firestore:
        async with wire_to(firestore.host) as wire, reading(wire.host, project) as made:
            await made.reader.get("a")
            with firestore.faults.hold_calls("BatchGetDocuments") as held:
                slow = asyncio.create_task(made.reader.get("slow"))
                await held.until_struck()
                made.connection.exchange(await made.connection.another())
            assert (await slow).summary is None
            await made.reader.get("b")
            await until(lambda: wire.open_now == 1, "the old connection is closed after its calls")


async def test_attempts_that_fail_leave_no_connection_behind(project: str) -> None:
    with BackgroundFirestore() as firestore:
        async with wire_to(firestore.host) as wire, reading(wire.host, project) as made:
            with firestore.faults.fail_calls("BatchGetDocuments", grpc.StatusCode.PERMISSION_DENIED, calls=None):
                with pytest.raises(Unreachable, match=r"permission_denied.*roles/datastore\.viewer"):
                    await made.reader.get("a")
                await until(lambda: wire.connections >= 3, "two attempts were made")
            await until(lambda: made.circuit.is_closed, "the next attempt succeeded")
            await made.reader.get("a")
            await until(lambda: wire.open_now == 1, "one connection is left")
