"""A service in a process of its own whose loop is watched: how long anything that happens to it holds the loop."""

import asyncio
import gc
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.measured_service import MeasuredService
from benchmarks.processes import Child, Handler, answer_requests
from benchmarks.turns import Holds, Turns

SETTLING_S = 0.1
"""What is done in slices after an answer belongs to what was asked."""


def turning_service(host: str, **settings: Any) -> Child:
    """Answers what a measured service does, `watch_turns`, `turns`, and what makes something happen in it."""
    return Child(_main, host, settings, name="service")


def _main(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    import uvloop

    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its request log is written, and nobody's to read
    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    uvloop.run(_serve(pipe, host, settings))


async def _serve(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    turning = _TurningService(host, settings)
    await answer_requests(pipe, turning.handlers)
    await turning.service.runner.cleanup()


class _TurningService(MeasuredService):
    def __init__(self, host: str, settings: dict[str, Any]) -> None:
        super().__init__(host, settings, logs_requests=True)
        self._turns = Turns()

    @property
    def handlers(self) -> dict[str, Handler]:
        asked = (self.watch_turns, self.turns, self.watchers, self.audit, self.resync, self.collect_garbage)
        return super().handlers | {handler.__name__: handler for handler in asked}

    def _on_applied(self, change: Any) -> None:
        """Without lags: to count them would be work of the benchmark's own."""
        self._applied.set()

    def _listening(self) -> None:
        """What is done before it serves holds nobody up."""
        self._turns.begin()

    async def watch_turns(self) -> None:
        self._turns.begin()

    async def turns(self) -> Holds:
        await asyncio.sleep(SETTLING_S)
        return self._turns.end()

    async def watchers(self) -> int:
        return self.service.watchers.count

    async def audit(self) -> bool:
        """Whether model and Firestore agree."""
        return await self.service.audit.once()

    async def resync(self) -> None:
        """As an audit that has found a difference does."""
        self.service.model.distrust()
        self.service.supervisor.resync("benchmark")
        await self._until(lambda: self.service.model.has_synced)

    async def collect_garbage(self) -> None:
        """All of it: what may happen after any allocation."""
        gc.collect()
