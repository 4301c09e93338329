"""One direct read: the call, its retries within a deadline, and the report of its result to the circuit.

Raises Unreachable if Firestore does not answer in time or refuses everything, and ReadRefused if Firestore refuses this
one request. No gRPC exception leaves this module. Only this module and the circuit log failures, at growing intervals.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import grpc.aio

from listeners.grpc_status import Remedy, remedy_of
from listeners.listener import Clock, ListenerFailure, failure_of_status
from listeners.supervisor import WHAT_TO_DO, LogPace
from service.errors import ReadRefused, Unreachable
from service.reads.circuit import Circuit
from service.reads.connection import Connection
from service.reads.firestore_calls import FirestoreCalls

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 1.0
"""The pause between two tries of one read: it doubles each time, and a random part of it is used."""

GIVEN_UP_AFTER = 0.4
"""If a read is cancelled after this share of its time, it counts as failed. Then no request waits for it any longer:
some requests have spent half of their time on a confirmation by the listener."""

_TOO_LATE = "no answer in time"

Ask = Callable[[FirestoreCalls, float], Awaitable[T]]
"""Makes one call. The number is the time for it, in seconds."""


class Attempts:
    """Makes calls over the present connection, and reports the end of each read to the circuit."""

    def __init__(self, connection: Connection, circuit: Circuit, *, clock: Clock, rng: Random) -> None:
        self.connection = connection
        self.circuit = circuit
        self._rng = rng
        self._log_pace = LogPace(clock)

    async def answer(self, ask: Ask[T], deadline: float) -> T:
        """Firestore's answer. `deadline` is on the loop's clock."""
        loop = asyncio.get_running_loop()
        began, successes = loop.time(), self.circuit.successes
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._until_answered(ask, deadline)
        except asyncio.CancelledError:
            if loop.time() >= began + GIVEN_UP_AFTER * (deadline - began):
                self.circuit.read_failed(successes, _TOO_LATE)
            raise
        except TimeoutError:
            reason = _TOO_LATE
            self.circuit.read_failed(successes, reason)
        except _Refused as refused:
            reason = str(refused)
            self.circuit.read_failed(successes, reason, is_refused=True)
        else:
            self.circuit.succeeded()
            return answer
        if self.circuit.is_closed:
            self._log(logging.WARNING, "a direct read failed while others succeed: %s", reason)
        raise Unreachable(reason)

    async def _until_answered(self, ask: Ask[T], deadline: float) -> T:
        delay_s = FIRST_DELAY_S
        while True:
            try:
                return await ask(await self.connection.calls(), deadline - asyncio.get_running_loop().time())
            except grpc.aio.AioRpcError as error:
                reason, remedy = describe(error), remedy_of(error.code())
            except ListenerFailure as failure:
                reason, remedy = str(failure), Remedy.OPERATOR if failure.permanent else Remedy.RETRY
            if remedy is Remedy.OPERATOR:
                raise _Refused(reason)
            if remedy is Remedy.OTHER_REQUEST:
                self._log(logging.ERROR, "Firestore refuses a direct read: %s", reason)
                raise ReadRefused(reason)
            self.circuit.check()  # raises during a known outage: then there is no reason to wait
            await asyncio.sleep(self._rng.uniform(0, delay_s))
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def _log(self, level: int, message: str, reason: str) -> None:
        """Log at growing intervals: a poll that fails again and again must not fill the log."""
        log.log(level if self._log_pace.is_due(message) else logging.DEBUG, message, reason)


class _Refused(Exception):
    """Firestore refuses all reads, until an operator changes something."""


def describe(error: grpc.aio.AioRpcError) -> str:
    """The status, its text, and what to do about it."""
    failure = failure_of_status(error.code(), error.details() or "")
    return f"{failure} - {WHAT_TO_DO[failure.reason]}" if failure.reason in WHAT_TO_DO else str(failure)
