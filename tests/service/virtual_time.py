"""A clock that stands still until a test moves it."""

import asyncio


class Clock:
    """Seconds, as the service's injected clocks have them. `sleep` takes no time but moves the clock."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def settle(turns: int = 20) -> None:
    """Let everything that can run on the loop without further input run."""
    for _ in range(turns):
        await asyncio.sleep(0)
