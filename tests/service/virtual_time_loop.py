"""An event loop whose time passes only while nothing happens: hours in milliseconds, with real sockets and real gRPC.

Timers, timeouts and sleeps go by `now`. While somebody is running `pass_time`, it leaps to the next timer whenever the
loop has had nothing to do for `QUIET_S` of real time and the fence, a message that takes the same way as all others,
has come back: so time seldom runs out under messages that a busy machine is slow to deliver. What must not depend on
that at all says so by `may_pass`.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable

QUIET_S = 0.001


class _PatientSelector(selectors.DefaultSelector):
    """Waits for a moment where it was to wait for a timer, and says so where nothing came in it."""

    def __init__(self) -> None:
        super().__init__()
        self.on_quiet: Callable[[float | None], None] = lambda _: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        events = super().select(QUIET_S)
        if not events:
            self.on_quiet(timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`now` is its time in seconds; a test may move it too, forwards: then everybody sleeps through that."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._waiting: list[asyncio.Future[float | None]] = []
        selector = _PatientSelector()
        selector.on_quiet = self._on_quiet
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def _on_quiet(self, next_timer_s: float | None) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(next_timer_s)

    async def quiet(self) -> float | None:
        """Wait until nothing happens without time passing. Returns how far away the next timer is."""
        future: asyncio.Future[float | None] = self.create_future()
        self._waiting.append(future)
        return await future

    async def pass_time(self, fence: Callable[[], Awaitable[object]], may_pass: Callable[[], bool]) -> None:
        """Until cancelled."""
        while True:
            await self.quiet()
            await fence()
            next_timer_s = await self.quiet()
            if may_pass():
                self.now += next_timer_s or 0.0
