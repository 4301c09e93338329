"""Ends an outage of direct reads: makes one attempt at a time, each over a new connection, and keeps the one that
works.

A new connection does not inherit gRPC's back-off. It also replaces a half-open connection, whose calls get lost
although Firestore can be reached.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import grpc.aio

from listeners.grpc_status import Remedy, remedy_of
from listeners.listener import ListenerFailure
from service.reads.attempts import describe
from service.reads.circuit import Circuit
from service.reads.connection import Connection
from service.reads.firestore_calls import FirestoreCalls

LONGEST_ATTEMPT_S = 6.0
"""With the longest pause between two attempts, this is less than the 10 s within which reads must work again."""


class Recovery:
    """Runs as long as the service. Sleeps while the circuit is closed."""

    def __init__(
        self,
        connection: Connection,
        circuit: Circuit,
        probe: Callable[[FirestoreCalls, float], Awaitable[object]],
        *,
        timeout_s: float,
        opened: asyncio.Event,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`probe` makes one read of any document. The circuit sets `opened` whenever it opens."""
        self._connection = connection
        self._circuit = circuit
        self._probe = probe
        self._timeout_s = min(timeout_s, LONGEST_ATTEMPT_S)
        self._opened = opened
        self._sleep = sleep

    async def run(self) -> NoReturn:
        """Run until cancelled."""
        while True:
            await self._opened.wait()
            self._opened.clear()
            while not self._circuit.is_closed:
                await self._sleep(self._circuit.due_in_s)
                if not self._circuit.is_closed:
                    await asyncio.create_task(self._attempt(), name="read to find out whether Firestore is back")

    async def _attempt(self) -> None:
        self._circuit.attempt_begins()
        calls: FirestoreCalls | None = None
        try:
            calls = await self._connection.another()
            async with asyncio.timeout(self._timeout_s):
                await self._probe(calls, self._timeout_s)
            self._connection.exchange(calls)
            calls = None
            self._circuit.succeeded()
        except TimeoutError:
            self._circuit.attempt_failed("no answer in time")
        except grpc.aio.AioRpcError as error:
            is_refused = remedy_of(error.code()) is Remedy.OPERATOR
            self._circuit.attempt_failed(describe(error), is_refused=is_refused)
        except ListenerFailure as failure:
            self._circuit.attempt_failed(str(failure), is_refused=failure.permanent)
        finally:
            if calls is not None:
                await calls.close()
