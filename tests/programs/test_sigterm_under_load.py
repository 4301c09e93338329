"""SIGTERM in the middle of load: whatever was sent on a kept connection is answered, to the last byte,
the last answer of each says `Connection: close`, and then the service ends.
"""

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import SERVE, program
from tests.service.raw_http import RawConnection, raw_connection
from tests.service.running import COLLECTION
from tests.waiting import until, until_async

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
POLLING, READING = 12, 8
PATIENT = {"FIRESTORE_TIMEOUT_S": "30", "DRAIN_S": "30", "LISTENER_LEASE_S": "60"}


RESTARTS = 5
PAUSE_S = 0.02


class Poller:
    """A client that asks again a little after it has its answer, on one connection, until it is told to close it."""

    def __init__(self, connection: RawConnection, pause_s: float = 0.0) -> None:
        self.answers = self.unanswered = 0
        self._connection = connection
        self._pause_s = pause_s

    async def run(self) -> None:
        while True:
            try:
                await self._connection.send(b"GET /status/import-1 HTTP/1.1\r\nHost: a\r\n\r\n")
                head = await self._connection.head()
                await self._connection.rest(b"}")
            except (ConnectionError, asyncio.IncompleteReadError):
                self.unanswered += 1
                return
            assert head.startswith(b"HTTP/1.1 200 ")
            self.answers += 1
            if b"Connection: close\r\n" in head:
                return
            await asyncio.sleep(self._pause_s)


async def read_slowly(connection: RawConnection, number: int) -> int:
    """The status of a process that Firestore is slow to tell of."""
    await connection.send(f"GET /status/nobody-{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    status, _ = await connection.reply()
    return status


async def test_no_request_that_was_accepted_is_lost(local_firestore: BackgroundFirestore, project: str) -> None:
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running", "start_time": T0}})
    async with (
        program(*SERVE, **PATIENT, FIRESTORE_EMULATOR_HOST=local_firestore.host, PROJECT_ID=project) as started,
        AsyncExitStack() as stack,
    ):

        async def is_trusted() -> bool:
            if not await started.is_ready():
                return False
            async with started.http.get(f"{started.url}/readyz") as response:
                return bool((await response.json())["model_trusted"])

        await until_async(is_trusted, "the model answers")
        connections = [await stack.enter_async_context(raw_connection(started.url)) for _ in range(POLLING + READING)]
        pollers = [Poller(connection) for connection in connections[READING:]]
        with local_firestore.faults.hold_calls("BatchGetDocuments") as held:
            reading = [
                asyncio.create_task(read_slowly(*each)) for each in zip(connections, range(READING), strict=False)
            ]
            await held.until_struck(READING)
            polling = [asyncio.create_task(poller.run()) for poller in pollers]
            await until(lambda: all(poller.answers > 20 for poller in pollers), "all are polling")
            started.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*polling)
        assert await asyncio.gather(*reading) == [404] * READING
        code, output = await started.ended()

    assert code == 0
    assert [poller.unanswered for poller in pollers] == [0] * POLLING
    logged = [json.loads(line)["httpRequest"] for line in output.splitlines() if '"httpRequest"' in line]
    asked = [(each["requestUrl"].rpartition("/")[2], each["status"]) for each in logged]
    assert asked.count(("import-1", 200)) == sum(poller.answers for poller in pollers)
    assert sorted(each for each in asked if each[0].startswith("nobody")) == [
        (f"nobody-{number}", 404) for number in range(READING)
    ]


async def test_five_restarts_leave_no_request_on_a_kept_connection_unanswered(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    """Also of clients that are between two polls when the signal comes."""
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running", "start_time": T0}})
    environment = {**PATIENT, "FIRESTORE_EMULATOR_HOST": local_firestore.host, "PROJECT_ID": project}
    for _ in range(RESTARTS):
        async with program(*SERVE, **environment) as started, AsyncExitStack() as stack:
            await until_async(started.is_ready, "the service is ready")
            opened = [await stack.enter_async_context(raw_connection(started.url)) for _ in range(POLLING)]
            pollers = [Poller(each, PAUSE_S * number / POLLING) for number, each in enumerate(opened)]
            polling = [asyncio.create_task(poller.run()) for poller in pollers]
            await until(lambda: all(poller.answers > 3 for poller in pollers), "all are polling")  # noqa: B023
            started.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*polling)
            code, output = await started.ended()
        assert (code, [poller.unanswered for poller in pollers]) == (0, [0] * POLLING), output


async def test_no_grace_is_no_grace(local_firestore: BackgroundFirestore, project: str) -> None:
    environment = {**PATIENT, "DRAIN_S": "0", "FIRESTORE_EMULATOR_HOST": local_firestore.host, "PROJECT_ID": project}
    async with program(*SERVE, **environment) as started:
        await until_async(started.is_ready, "the service is ready")
        with local_firestore.faults.hold_calls("BatchGetDocuments") as held:
            async with raw_connection(started.url) as connection:
                reading = asyncio.create_task(read_slowly(connection, 0))
                await held.until_struck()
                started.process.send_signal(signal.SIGTERM)
                code, output = await started.ended()
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reading
    assert code == 0, output
