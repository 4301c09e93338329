"""One fault: how often it has acted, and how it ends."""

import asyncio
from collections.abc import Callable
from typing import Self


class Fault:
    """In force until it is released. It releases itself when it has acted `times` times."""

    def __init__(self, name: str, on_release: Callable[["Fault"], None], times: int | None = None) -> None:
        self.name = name
        self.hits = 0
        self.released = asyncio.Event()
        self._on_release = on_release
        self._times = times
        self._struck = asyncio.Event()

    def __repr__(self) -> str:
        state = "released" if self.released.is_set() else "in force"
        return f"<Fault {self.name}, {state}, struck {self.hits} times>"

    @property
    def is_spent(self) -> bool:
        return self._times is not None and self.hits >= self._times

    def strike(self) -> None:
        self.hits += 1
        self._struck.set()

    async def struck(self, times: int = 1) -> None:
        """Wait until it has acted this often."""
        while self.hits < times:
            self._struck.clear()
            await self._struck.wait()

    def release(self) -> None:
        """End it; releasing it again does nothing."""
        if not self.released.is_set():
            self.released.set()
            self._on_release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()
