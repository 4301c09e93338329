"""Many connections and few file descriptors: who is closed, who waits, and what is kept for Firestore."""

import asyncio
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import Program, program
from tests.service.running import COLLECTION
from tests.waiting import until, until_async

PATIENCE_S = 40.0


def limited(limit: str) -> tuple[str, ...]:
    command = f"ulimit {limit}; exec {sys.executable} -m service serve"
    return ("-c", "import os, sys; os.execl('/bin/sh', 'sh', '-c', sys.argv[1])", command)


class Client:
    """One connection, and all that came on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, path: str, **headers: str) -> int:
        """The status of the answer, read to its end; 0 where the connection was closed without one."""
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        try:
            self._writer.write("\r\n".join([*lines, "", ""]).encode())
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            await self._reader.readexactly(length)
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0
        return int(head.split()[1])

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof()


@asynccontextmanager
async def client(started: Program) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(started.url.rpartition(":")[2]))
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def test_more_clients_than_descriptors_are_all_answered_and_the_listener_comes_back(project: str) -> None:
    with BackgroundFirestore() as firestore:
        firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
        environment = {"FIRESTORE_EMULATOR_HOST": firestore.host, "PROJECT_ID": project, "WINDOW_SIZE": "0"}
        async with program(*limited("-n 256"), **environment) as started, AsyncExitStack() as stack:
            await until_async(started.is_ready, "the service is ready")
            clients = [await stack.enter_async_context(client(started)) for _ in range(400)]
            async with asyncio.timeout(PATIENCE_S):
                statuses = await asyncio.gather(*(each.ask("/status/import-1") for each in clients))
            assert statuses.count(200) == 400
            firestore.faults.refuse_connections()
            await until(lambda: firestore.streams == 0, "the listener has lost its stream")
            firestore.faults.accept_connections()
            await until(lambda: firestore.streams == 1, "the listener is back while clients stay")
            assert [each.is_closed for each in clients].count(False) > 100
            started.process.send_signal(signal.SIGTERM)
            code, output = await started.ended()
    assert code == 0
    warnings = [line for line in map(json.loads, output.splitlines()) if "descriptors run short" in line["message"]]
    assert 1 <= len(warnings) <= 2


async def test_connections_that_wait_for_a_change_are_not_closed_for_new_ones(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    version = local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    environment = {"FIRESTORE_EMULATOR_HOST": local_firestore.host, "PROJECT_ID": project, "WINDOW_SIZE": "0"}
    async with program(*limited("-n 256"), **environment) as started, AsyncExitStack() as stack:
        await until_async(started.is_ready, "the service is ready")
        waiters = [await stack.enter_async_context(client(started)) for _ in range(120)]
        waits = [
            asyncio.create_task(each.ask("/status/import-1?wait=50", **{"If-None-Match": f'"v{version}"'}))
            for each in waiters
        ]
        silent = [await stack.enter_async_context(client(started)) for _ in range(150)]
        async with asyncio.timeout(PATIENCE_S):
            assert [await each.ask("/status/import-1") for each in silent] == [200] * 150
            local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "completed"}})
            assert await asyncio.gather(*waits) == [200] * 120


async def test_the_soft_limit_is_raised_to_the_hard_one(local_firestore: BackgroundFirestore) -> None:
    async with program(*limited("-Sn 100"), FIRESTORE_EMULATOR_HOST=local_firestore.host) as started:
        await until_async(started.is_ready, "the service is ready")
        soft, hard = resource.prlimit(started.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard
        assert soft > 100
