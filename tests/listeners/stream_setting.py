"""A stream listener with its consumer and its observer, in one virtual time."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from listeners.listener import ListenerFailure
from tests.listeners.listening import Consumer, CountingObserver, failure_of, listening
from tests.listeners.streams import PROBE_INTERVAL_S, VirtualTime, stream_listener


def job(second: int, status: str = "running") -> dict[str, object]:
    return {"status": status, "start_time": datetime(2024, 5, 1, 12, 0, second, tzinfo=UTC), "products": [{"a": 1}]}


class Setting:
    """A listener to `server`, its consumer and its observer, in one virtual time."""

    def __init__(self, host: str, project: str, **options: Any) -> None:
        self.time = VirtualTime()
        self.observer = CountingObserver()
        self.consumer = Consumer(clock=self.time)
        self.listener = stream_listener(
            host, project, clock=self.time, sleep=self.time.sleep, observer=self.observer, **options
        )

    def listening(self) -> Any:
        return listening(self.listener, self.consumer)

    async def until_live(self) -> None:
        """Synced, and the probe after the sync answered."""
        await self.until_probes(self.observer.probes + 1)

    async def until_probes(self, count: int) -> None:
        """So many probes have been answered in all, with the time standing still."""
        while self.observer.probes < count:
            await self.time.advance(0)  # the pause before a probe is none, but it is asked for
            await asyncio.sleep(0)
        assert self.observer.probes == count

    async def confirm(self) -> float:
        """`confirm`, with the time standing still."""
        confirmed = asyncio.ensure_future(self.listener.confirm())
        while not confirmed.done():
            await self.time.advance(0)
            await asyncio.sleep(0)
        return await confirmed

    async def until_over(self, run: "asyncio.Task[None]", *, within_s: float) -> ListenerFailure:
        """The failure, and that the run was over by then."""
        end = self.time.now + within_s
        while not run.done() and self.time.now < end:
            await self.time.advance(PROBE_INTERVAL_S / 8)
        return await failure_of(run)
