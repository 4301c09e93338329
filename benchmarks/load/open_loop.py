"""An open loop: requests begin at their appointed times, whether or not those before were answered.

Latency is counted from the appointed time, so a server that stalls is charged for every request that had to wait for
it, the unsent ones too (no coordinated omission). What is never answered counts with the time it has waited:
percentiles are of all requests but those that were answered with an error, and never look better for what got lost.
"""

import asyncio
import itertools
import os
import resource
import ssl
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load.http_answers import Answer, AnswerReader, NotHttp
from benchmarks.load.latencies import Latencies
from benchmarks.load.target import Target

ERROR_STATUS = 400


@dataclass(frozen=True)
class Pace:
    """What is asked of the server."""

    per_second: float
    seconds: float
    connections: int
    timeout_s: float


@dataclass
class Outcome:
    """What came of it so far."""

    started_at: float = 0.0
    ended_at: float = 0.0
    begun: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    x_cache: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    """Requests without an answer, by what happened to them."""
    latencies: Latencies = field(default_factory=Latencies)
    cpu_s: float = 0.0

    @property
    def answered(self) -> int:
        return self.answers.total()


class OpenLoop:
    """One run. `outcome` may be read at any time."""

    def __init__(self, target: Target, requests: Sequence[bytes], pace: Pace) -> None:
        self.outcome = Outcome()
        self._target = target
        self._requests = itertools.cycle(requests)
        self._pace = pace
        self._tls = ssl.create_default_context() if target.tls else None
        self._waiting: deque[float] = deque()
        """Appointed times of requests for which no connection was free."""
        self._idle: list[_Connection] = []
        self._open = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._connections: set[_Connection] = set()

    async def run(self) -> None:
        """Until every request has been answered or given up; ends early, with what there is, where it is cancelled."""
        outcome, usage = self.outcome, resource.getrusage(resource.RUSAGE_SELF)
        outcome.started_at = time.perf_counter()
        try:
            await self._begin_requests()
            await self._end_of_all(time.perf_counter() + self._pace.timeout_s)
        finally:
            self._give_up("unanswered at the end")
            outcome.ended_at = time.perf_counter()
            now = resource.getrusage(resource.RUSAGE_SELF)
            outcome.cpu_s = now.ru_utime + now.ru_stime - usage.ru_utime - usage.ru_stime

    async def _begin_requests(self) -> None:
        outcome, pace = self.outcome, self._pace
        for number in range(round(pace.per_second * pace.seconds)):
            appointed = outcome.started_at + number / pace.per_second
            await asyncio.sleep(appointed - time.perf_counter())  # a turn for the answers, where that has passed
            outcome.begun += 1
            self._waiting.append(appointed)
            self._send_what_waits()
            if number % 100 == 0:
                self._drop_overdue()

    async def _end_of_all(self, deadline: float) -> None:
        while self._is_owed_an_answer and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
            self._drop_overdue()

    @property
    def _is_owed_an_answer(self) -> bool:
        return bool(self._waiting or self._opening) or any(each.appointed is not None for each in self._connections)

    def _send_what_waits(self) -> None:
        while self._waiting and self._idle:
            self._idle.pop().ask(self._waiting.popleft(), next(self._requests))
        while self._waiting and self._open < self._pace.connections:
            self._open += 1
            opening = asyncio.create_task(self._connect(self._waiting.popleft()))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _connect(self, appointed: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._pace.timeout_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), self._target.host, self._target.port, ssl=self._tls
                )
        except OSError as error:  # TimeoutError is one
            self._open -= 1
            self.lose(appointed, f"can't connect: {_reason(error)}")
            return
        except asyncio.CancelledError:
            self.lose(appointed, "can't connect: no answer")
            raise
        self._connections.add(connection)
        connection.ask(appointed, next(self._requests))

    def _drop_overdue(self) -> None:
        overdue = time.perf_counter() - self._pace.timeout_s
        while self._waiting and self._waiting[0] < overdue:
            self.lose(self._waiting.popleft(), "timeout")
        for each in list(self._connections):
            if each.appointed is not None and each.appointed < overdue:
                each.give_up("timeout")

    def _give_up(self, why: str) -> None:
        for each in self._opening:
            each.cancel()
        while self._waiting:
            self.lose(self._waiting.popleft(), why)
        for connection in list(self._connections):
            connection.give_up(why)

    # -- told by the connections

    def answered(self, connection: "_Connection", appointed: float, answer: Answer) -> None:
        outcome = self.outcome
        outcome.answers[answer.status] += 1
        if answer.status < ERROR_STATUS:
            outcome.latencies.record(time.perf_counter() - appointed)
            outcome.x_cache[answer.x_cache or "none"] += 1
        if not answer.closes:
            self._idle.append(connection)
            self._send_what_waits()

    def lose(self, appointed: float, why: str) -> None:
        self.outcome.lost[why] += 1
        self.outcome.latencies.record(time.perf_counter() - appointed)

    def closed(self, connection: "_Connection") -> None:
        self._open -= 1
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """One request at a time. `appointed` is the present one's time, None while there is none."""

    __slots__ = ("_loop", "_reader", "_transport", "appointed")

    def __init__(self, loop: OpenLoop) -> None:
        self._loop = loop
        self._reader = AnswerReader()
        self.appointed: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self, appointed: float, request: bytes) -> None:
        self.appointed = appointed
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            for answer in self._reader.feed(data):
                if self.appointed is None:
                    raise NotHttp("an answer that nobody asked for")
                appointed, self.appointed = self.appointed, None
                self._loop.answered(self, appointed, answer)
                if answer.closes:
                    self._transport.close()
        except NotHttp as error:
            self.give_up(str(error)[:80])

    def give_up(self, why: str) -> None:
        """Nothing of use can come any more."""
        if self.appointed is not None:
            self._loop.lose(self.appointed, why)
            self.appointed = None
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.appointed is not None:
            self._loop.lose(self.appointed, "connection lost")
            self.appointed = None
        self._loop.closed(self)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}"
    return os.strerror(error.errno) if error.errno else type(error).__name__
