"""The probes of one open stream, and the futures that wait for them. Lives on the event loop; sends nothing itself.

A *waiter* is a future that a probe resolves. Only a probe that is sent after the waiter has come resolves it. A waiter
waits at most `timeout_s`. At most two probes are out at a time: so a waiter that comes while one probe is out need not
wait for two full round trips, and any number of waiters costs at most two probes per round trip.

`pass_time` counts time only while this process runs: a freeze counts as one step, and never looks like a stalled
stream. Firestore's answer to a probe comes after all documents that it has sent before. So the time for which a probe
counts as unanswered is the longer of

- the time in which no documents came and the consumer did not delay reading, and
- the time by which the stream's consistent points have passed the moment at which the probe was sent.

While documents come, but no consistent point newer than the probe, the stream works off a backlog. This can take
`backlog_limit_s`; after that the stream is given up too.
"""

import asyncio
from dataclasses import dataclass

from listeners.listener import CannotConfirm

MAX_OUT = 2

FROZEN_STEPS = 3
"""If a step takes this many times its length, the process did not run for a part of it."""


class Waiters:
    """The futures that the same probe resolves. They share one timer, because there can be hundreds."""

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
            future.exception()  # retrieved here: a waiter that is cancelled before it wakes never does it

    def _leave(self) -> list[asyncio.Future[float]]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # the next waiter starts another timer
        waiting = [future for future in self._futures if not future.done()]
        self._futures = []
        return waiting


@dataclass(eq=False, slots=True)
class Probe:
    """One probe that is out.

    `sent_by`: the instant by which it had certainly left this process, which can have been frozen at `sent_at`.
    `readable_s`: the time in which the stream could be read. `quiet_s`: the part of it without documents.
    """

    target_id: int
    sent_at: float
    waiters: Waiters
    sent_by: float
    readable_s: float = 0.0
    quiet_s: float = 0.0

    def unanswered_s(self, reached: float) -> float:
        """For how long an answer is missing, on a stream whose points have reached this local instant."""
        return max(self.quiet_s, reached - self.sent_by)


class Probes:
    """Decides when a probe is due, keeps the probes that are out, and resolves the waiters."""

    def __init__(self, interval_s: float, timeout_s: float, backlog_limit_s: float) -> None:
        self.is_due = asyncio.Event()
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._backlog_limit_s = backlog_limit_s
        self._last_step_at = float("inf")
        self._since_sent_s = 0.0
        self._round_trip_s = 0.0
        self._waiting = Waiters(timeout_s)
        self._out: dict[int, Probe] = {}  # in the order they were sent
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __repr__(self) -> str:
        return f"<Probes {len(self._out)} out, {len(self._waiting)} waiting>"

    def ask(self) -> asyncio.Future[float]:
        """Wait for a probe that is sent from now on. The result is the `as_of` that it proves, or CannotConfirm."""
        self.is_due.set()
        return self._waiting.join()

    async def until_room(self) -> None:
        """Returns once fewer than two probes are out."""
        await self._has_room.wait()

    def pause_s(self, now: float) -> float:
        """How long to delay the next probe, so that waiters that come meanwhile share it: half a round trip."""
        newest = next(reversed(self._out.values()), None)
        return 0.0 if newest is None else max(0.0, newest.sent_at + min(self._round_trip_s, self._interval_s) / 2 - now)

    def sent(self, target_id: int, at: float) -> None:
        """A probe goes out, for all present waiters."""
        self.is_due.clear()
        self._since_sent_s = 0.0
        self._out[target_id] = Probe(target_id, at, self._waiting, sent_by=at)
        self._waiting = Waiters(self._timeout_s)
        self._note_room()

    def sent_at(self, target_id: int) -> float | None:
        """When this probe was sent, if it is still out."""
        probe = self._out.get(target_id)
        return None if probe is None else probe.sent_at

    def answered(self, target_id: int, as_of: float, now: float) -> list[Probe]:
        """A probe was answered, and the consumer has taken the point. This answers all earlier probes.

        Returns them all.
        """
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

    def pass_time(self, seconds: float, now: float, *, reached: float, has_flowed: bool, is_held_back: bool) -> bool:
        """Let one step of time pass; it is `now` afterwards. Returns whether to give the stream up.

        `reached`: the local instant that the stream's consistent points have reached. `has_flowed`: documents came in
        this step. `is_held_back`: the consumer delays reading.
        """
        self._since_sent_s += seconds
        was_frozen = now - self._last_step_at > FROZEN_STEPS * seconds
        self._last_step_at = now
        for probe in self._out.values():
            if was_frozen:
                probe.sent_by = now
            if not is_held_back:
                probe.readable_s += seconds
                probe.quiet_s += 0.0 if has_flowed else seconds
        missing_s = [probe.unanswered_s(reached) for probe in self._out.values()]
        if not missing_s:
            is_due = self._since_sent_s >= self._interval_s
        else:
            is_due = len(missing_s) < MAX_OUT and max(missing_s) >= self._interval_s / 2  # a second probe, to be sure
        if is_due:
            self.is_due.set()
        has_stalled = sum(seconds > self._interval_s for seconds in missing_s) >= MAX_OUT
        return has_stalled or any(probe.readable_s > self._backlog_limit_s for probe in self._out.values())

    def end(self, why: str) -> None:
        """No probe will be answered any more: fail all waiters."""
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
