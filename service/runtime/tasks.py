"""Long-lived tasks. Each has a name and an owner.

If one ends before it is cancelled, this is an error and is logged.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Runs coroutines that must last until `stop`."""

    def __init__(self, on_early_end: Callable[[], None]) -> None:
        self._on_early_end = on_early_end
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start one. If it ends before `stop`, `on_early_end` is called."""
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task ended. If it was cancelled, but not by `stop`, this is an early end too."""
        error = None if task.cancelled() else task.exception()
        if self._is_stopping and error is None:
            return
        log.critical("background task %s ended, which it never should", task.get_name(), exc_info=error)
        if not self._is_stopping:
            self._on_early_end()
