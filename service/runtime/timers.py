"""The timers of one object, by name. The object stops all of them at its end."""

import asyncio
from collections.abc import Callable


class Timers:
    """At most one timer per name. Lives on the loop."""

    __slots__ = ("_handles", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def start(self, name: str, seconds: float, callback: Callable[[], object]) -> None:
        """Call `callback` once after this many seconds. Replaces the timer of this name."""
        self.stop(name)
        self._handles[name] = self._loop.call_later(seconds, self._fire, name, callback)

    def stop(self, name: str) -> None:
        """Stop the timer, if it is running."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def stop_all(self) -> None:
        """Stop every timer."""
        for name in list(self._handles):
            self.stop(name)

    def is_running(self, name: str) -> bool:
        """Whether the timer of this name is running."""
        return name in self._handles

    def _fire(self, name: str, callback: Callable[[], object]) -> None:
        del self._handles[name]
        callback()
