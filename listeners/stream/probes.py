"""The probes of one open stream, and who waits for them. Lives on the event loop; sends nothing itself.

A waiter is served only by a probe sent after it arrived. At most two probes are out: a waiter that comes while one is
on its way needn't wait for two full round trips, and any number of waiters costs at most two probes a round trip.
Time is told by `pass_time`, in steps for which the process was awake: a freeze counts as one step, so it is never
taken for a stalled stream.
"""

import asyncio
from dataclasses import dataclass

from listeners.listener import CannotConfirm

MAX_OUT = 2


class Waiters:
    """Those who are served by the same probe. One timer for all: hundreds may wait."""

    def __init__(self, timeout_s: float) -> None:
        self._futures: list[asyncio.Future[float]] = []
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._futures)

    def join(self) -> asyncio.Future[float]:
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self.fail, f"no answer within {self._timeout_s:g} s")
        future: asyncio.Future[float] = loop.create_future()
        self._futures.append(future)
        return future

    def serve(self, as_of: float) -> None:
        for future in self._leave():
            future.set_result(as_of)

    def fail(self, why: str) -> None:
        for future in self._leave():
            future.set_exception(CannotConfirm(why))
            future.exception()  # who is cancelled before it wakes will not ask for it

    def _leave(self) -> list[asyncio.Future[float]]:
        if self._timer is not None:
            self._timer.cancel()
        waiting = [future for future in self._futures if not future.done()]
        self._futures = []
        return waiting


@dataclass(eq=False, slots=True)
class Probe:
    """One probe on its way. `unanswered_s` counts the time in which its answer could have been read."""

    target_id: int
    sent_at: float
    waiters: Waiters
    unanswered_s: float = 0.0


class Probes:
    """Decides when a probe is due, keeps those that are out, wakes those who wait."""

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self.is_due = asyncio.Event()
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._since_sent_s = 0.0
        self._round_trip_s = 0.0
        self._waiting = Waiters(timeout_s)
        self._out: dict[int, Probe] = {}  # in the order they were sent
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __repr__(self) -> str:
        return f"<Probes {len(self._out)} out, {len(self._waiting)} waiting>"

    def ask(self) -> asyncio.Future[float]:
        """Wait for a probe that is sent from now on; the result is the `as_of` it proves, or CannotConfirm."""
        self.is_due.set()
        return self._waiting.join()

    async def until_room(self) -> None:
        """Returns once fewer than two probes are out."""
        await self._has_room.wait()

    def pause_s(self, now: float) -> float:
        """How long the next probe should wait, so that those who come meanwhile share it: half a round trip."""
        newest = next(reversed(self._out.values()), None)
        return 0.0 if newest is None else max(0.0, newest.sent_at + min(self._round_trip_s, self._interval_s) / 2 - now)

    def sent(self, target_id: int, at: float) -> None:
        """A probe goes out, for all who wait now."""
        self.is_due.clear()
        self._since_sent_s = 0.0
        self._out[target_id] = Probe(target_id, at, self._waiting)
        self._waiting = Waiters(self._timeout_s)
        self._note_room()

    def sent_at(self, target_id: int) -> float | None:
        """When a probe that is out was sent."""
        probe = self._out.get(target_id)
        return None if probe is None else probe.sent_at

    def answered(self, target_id: int, as_of: float, now: float) -> list[Probe]:
        """A probe was answered and the consumer has taken the point: so were all before it. Returns them all."""
        if target_id not in self._out:
            return []
        answered: list[Probe] = []
        for probe in list(self._out.values()):
            answered.append(self._out.pop(probe.target_id))
            if probe.target_id == target_id:
                break
        self._round_trip_s = now - answered[-1].sent_at
        for probe in answered:
            probe.waiters.serve(as_of)
        self._note_room()
        return answered

    def pass_time(self, seconds: float, *, is_backlogged: bool) -> bool:
        """So much time has passed. Returns whether two probes have had their interval and neither was answered.

        `is_backlogged`: documents kept coming, or the consumer kept us from reading. An answer queues behind them,
        so for the probes that are out no time has passed.
        """
        self._since_sent_s += seconds
        if not is_backlogged:
            for probe in self._out.values():
                probe.unanswered_s += seconds
        oldest_s = max((probe.unanswered_s for probe in self._out.values()), default=None)
        if oldest_s is None:
            is_due = self._since_sent_s >= self._interval_s
        else:
            is_due = len(self._out) < MAX_OUT and oldest_s >= self._interval_s / 2  # the second opinion
        if is_due:
            self.is_due.set()
        return sum(probe.unanswered_s > self._interval_s for probe in self._out.values()) >= MAX_OUT

    def end(self, why: str) -> None:
        """No probe will be answered any more."""
        self._waiting.fail(why)
        for probe in self._out.values():
            probe.waiters.fail(why)
        self._out.clear()
        self._note_room()

    def _note_room(self) -> None:
        if len(self._out) < MAX_OUT:
            self._has_room.set()
        else:
            self._has_room.clear()
