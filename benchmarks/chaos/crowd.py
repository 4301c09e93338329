"""Many clients that poll, each at a moderate pace, in a process of their own; and the verdict on an outage.

In an outage what the model holds is answered with `STALE`, at once: nobody has to wait for a Firestore that is known to
be away, and nobody is refused.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.chaos.names import status_path
from benchmarks.chaos.replies import ReplyReader
from benchmarks.processes import Child, answer_requests
from benchmarks.statistics import percentile

PATIENCE_S = 30.0
AT_ONCE_MS = 100.0


class Polled(NamedTuple):
    """One poll of one process at one replica; status 0: no answer."""

    replica: str
    process_id: str
    sent_us: int
    took_ms: float
    status: int
    source: str


@dataclass
class OutageVerdict:
    """Of the polls of held processes while Firestore is known to be away.

    What the machine itself is slow at shows in the polls before the fault: `before_p99_ms`.
    """

    polls: int
    refused: int
    """Anything but `STALE`."""
    p50_ms: float
    p99_ms: float
    before_p99_ms: float
    example: Polled | None

    @property
    def is_slow(self) -> bool:
        """Longer than "at once" is, and than it took before."""
        return self.p99_ms > max(AT_ONCE_MS, 2 * self.before_p99_ms)


def judge_outage(
    polls: Sequence[Polled], began_us: int, from_us: int, until_us: int, stale_until_us: int
) -> OutageVerdict:
    """`began_us`: when the fault began. Held is what was a `HIT` the last time before that, at the same replica.

    Polls sent in the given time are judged; a refusal that comes after `stale_until_us` is right: `STALE` has ended.
    """
    before = {(each.replica, each.process_id): each.source for each in polls if each.sent_us < began_us}
    held = {key for key, source in before.items() if source == "HIT"}
    judged = [each for each in polls if from_us <= each.sent_us < until_us and (each.replica, each.process_id) in held]
    in_time = [each for each in judged if each.sent_us + each.took_ms * 1000 <= stale_until_us]
    refused = [each for each in in_time if each.status not in (200, 304) or each.source != "STALE"]
    times = [each.took_ms for each in judged] or [0.0]
    times_before = [each.took_ms for each in polls if each.sent_us < began_us and each.source == "HIT"] or [0.0]
    return OutageVerdict(
        len(judged),
        len(refused),
        percentile(times, 0.5),
        percentile(times, 0.99),
        percentile(times_before, 0.99),
        refused[0] if refused else None,
    )


@dataclass(frozen=True)
class Crowd:
    """Who polls what: so many clients, each at its pace, each at one of the replicas."""

    urls: Sequence[str]
    keys: Sequence[str]
    clients: int
    seed: int
    polls_per_s: float = 2.0
    """Of each client."""


def crowd_process(crowd: Crowd) -> Child:
    """Answers `begin`, `taken` (the polls since) and `end`, which returns those that are left."""
    return Child(_main, crowd, name="crowd")


def _main(pipe: Connection, crowd: Crowd) -> None:
    import uvloop

    uvloop.run(_serve(pipe, crowd))


async def _serve(pipe: Connection, crowd: Crowd) -> None:
    polls: list[Polled] = []
    polling: list[asyncio.Task[None]] = []

    async def begin() -> None:
        polls.clear()
        for number in range(crowd.clients):
            chance = random.Random(crowd.seed * 10_000 + number)
            url = crowd.urls[number % len(crowd.urls)]
            polling.append(asyncio.create_task(_poll(url, crowd, chance, polls)))

    async def taken() -> list[Polled]:
        chunk = polls[:]
        polls.clear()
        return chunk

    async def end() -> list[Polled]:
        for task in polling:
            task.cancel()
        await asyncio.gather(*polling, return_exceptions=True)
        polling.clear()
        return await taken()

    handlers: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {"begin": begin, "taken": taken, "end": end}
    await answer_requests(pipe, handlers)
    await end()


async def _poll(url: str, crowd: Crowd, chance: random.Random, polls: list[Polled]) -> None:
    """One client."""
    loop, where, reader = asyncio.get_running_loop(), urlsplit(url), ReplyReader()
    try:
        while True:
            await asyncio.sleep(chance.uniform(0, 2) / crowd.polls_per_s)
            process_id, sent_us, began = chance.choice(crowd.keys), time.time_ns() // 1000, loop.time()
            try:
                if not reader.is_open:
                    _, reader = await loop.create_connection(ReplyReader, where.hostname or "", where.port or 80)
                request = f"GET {status_path(process_id)} HTTP/1.1\r\nHost: crowd\r\n\r\n".encode()
                replies = await reader.ask(request, 1, PATIENCE_S)
            except (OSError, TimeoutError):
                replies = []
            took_ms = (loop.time() - began) * 1000
            status, source = (
                (replies[0].status, replies[0].headers.get(b"X-Cache", b"").decode()) if replies else (0, "")
            )
            if not replies or replies[0].headers.get(b"Connection") == b"close":
                reader.close()
            polls.append(Polled(url, process_id, sent_us, took_ms, status, source))
    finally:
        reader.close()
