"""Identical concurrent calls share one: the first starts it, the others wait for its result.

A `fresh` call never joins a call that began before it. All fresh calls that come while one is under way share the next
one. When the last waiter of a call has left, the call is cancelled.

The traceback of an error refers to every frame that the error passed. If such a frame refers to the flight, whose task
keeps the error, they form a reference cycle. So the frames here drop their reference to the flight.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    """One call that is under way, or waits for the previous one to end."""

    __slots__ = ("following", "task", "waiters")

    def __init__(self, call: Callable[[], Awaitable[T]], after: "_Flight[T] | None", name: str) -> None:
        self.waiters = 0
        self.following: _Flight[T] | None = None
        self.task = asyncio.create_task(self._fly(call, after), name=name)

    @staticmethod
    async def _fly(call: Callable[[], Awaitable[T]], after: "_Flight[T] | None") -> T:
        if after is not None:
            await asyncio.wait([after.task])
        return await call()

    @property
    def is_open(self) -> bool:
        """Whether another caller can join it."""
        return not self.task.done() and not self.task.cancelling()

    async def outcome(self) -> T:
        self.waiters += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiters -= 1
            if not self.waiters and not self.task.done():
                self.task.cancel()
            del self


class SingleFlight(Generic[T]):
    """The open flights by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def share(self, key: Hashable, call: Callable[[], Awaitable[T]], *, fresh: bool = False) -> T:
        """The result, or the exception, of `call`, which is made once for all callers that share it."""
        flight = self._flights.get(key)
        if flight is None or not flight.is_open:
            flight = self._flights[key] = self._launch(key, call)
        elif fresh:
            if flight.following is None or not flight.following.is_open:
                flight.following = self._launch(key, call, after=flight)
            flight = flight.following
        outcome = flight.outcome()
        del flight
        return await outcome

    def _launch(self, key: Hashable, call: Callable[[], Awaitable[T]], after: _Flight[T] | None = None) -> _Flight[T]:
        flight = _Flight(call, after, f"read {key!r:.60}")
        flight.task.add_done_callback(lambda task: self._land(key, flight, task))
        return flight

    def _land(self, key: Hashable, flight: _Flight[T], task: "asyncio.Task[T]") -> None:
        """The flight is over: if another one follows, callers now join that."""
        if not task.cancelled():
            task.exception()  # retrieved here: otherwise the loop logs an error that no waiter has retrieved
        if self._flights.get(key) is not flight:
            return
        if flight.following is not None and flight.following.is_open:
            self._flights[key] = flight.following
        else:
            del self._flights[key]
