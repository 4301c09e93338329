"""Keeps verifications to a share of the event loop's time, so that forged tokens cannot keep other requests waiting.

One verification runs at a time, in the order in which they came. After each the loop is left to others for REST times
as long. A verification that finds the loop at rest runs at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

from listeners.listener import Clock

REST = 3.0
"""A request with a forged token takes, with its refusal, twice what its verification takes: so half of the loop."""

MAX_REST_S = 0.005
"""A machine that is busy elsewhere lengthens verifications."""

T = TypeVar("T")


class Pace:
    """Lives on the event loop. `clock` and `sleep` are in seconds."""

    def __init__(
        self, *, clock: Clock = perf_counter, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._rests_until = 0.0

    async def run(self, verify: Callable[[], T]) -> T:
        """What `verify` returns or raises, in its turn."""
        async with self._turn:
            rest_s = self._rests_until - self._clock()
            if rest_s > 0:
                await self._sleep(rest_s)
            begun = self._clock()
            try:
                return verify()
            finally:
                ended = self._clock()
                self._rests_until = ended + min(REST * (ended - begun), MAX_REST_S)
