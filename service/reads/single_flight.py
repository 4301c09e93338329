"""Identical concurrent calls share one: the first starts it, the others wait for its outcome.

A call asked for `fresh` never joins one that had begun before it was asked for; all fresh ones that come while one is
under way share the next. A call whose last waiter has left is cancelled.

An error's traceback refers to every frame that the error passed. Where such a frame refers to the flight, whose task
keeps the error, all of them are a reference cycle: so the frames here let go of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    """One call under way, or waiting for the one before it to end."""

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
    """Flights by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def share(self, key: Hashable, call: Callable[[], Awaitable[T]], *, fresh: bool = False) -> T:
        """The outcome of `call`, made once for all callers that share it; its exception too."""
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
        """The flight is over: the one that follows, if there is one, is now the one to join."""
        if not task.cancelled():
            task.exception()  # taken note of: the loop complains of an error that no waiter was left for
        if self._flights.get(key) is not flight:
            return
        if flight.following is not None and flight.following.is_open:
            self._flights[key] = flight.following
        else:
            del self._flights[key]
