"""Limits verifications to a share of the event loop's time, so that forged tokens cannot delay other requests.

One verification runs at a time, in order of arrival. After each one, no other begins for REST times as long as it took.
If no verification ran recently, the next one runs at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

from listeners.listener import Clock

REST = 3.0
"""With its refusal, a request with a forged token takes twice the time of its verification: so half of the loop."""

MAX_REST_S = 0.005
"""An upper bound, because verifications take longer on a machine that is busy with other work."""

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
        """Call `verify` in its turn, and return its result."""
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
