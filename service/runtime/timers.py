"""The timers of one object, by name: none is left behind when the object ends."""

import asyncio
from collections.abc import Callable


class Timers:
    """Each name has one timer at most. Lives on the loop."""

    __slots__ = ("_handles", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def start(self, name: str, seconds: float, callback: Callable[[], object]) -> None:
        """Call back once after so many seconds. Replaces the timer of that name."""
        self.stop(name)
        self._handles[name] = self._loop.call_later(seconds, self._fire, name, callback)

    def stop(self, name: str) -> None:
        """Stop the timer, if it runs."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def stop_all(self) -> None:
        """Stop every timer."""
        for name in list(self._handles):
            self.stop(name)

    def is_running(self, name: str) -> bool:
        """Whether the timer of that name runs."""
        return name in self._handles

    def _fire(self, name: str, callback: Callable[[], object]) -> None:
        del self._handles[name]
        callback()
