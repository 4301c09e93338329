"""A service in a process of its own that can be looked into: what a load and changes cost it, when they arrived."""

import asyncio
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.firestore import PROJECT
from benchmarks.processes import Child, Handler, answer_requests, cpu_s, resident_bytes
from listeners.listener import ListenerState


def service_process(host: str, **settings: Any) -> Child:
    """Answers `start` (its CPU seconds and time), `reached(read_time)`, `usage`, `lags`, `url`, `confirm`."""
    return Child(_service_main, host, settings, name=f"service ({settings.get('listener')})")


def _service_main(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    import uvloop

    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    uvloop.run(_service(pipe, host, settings))


async def _service(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    measured = _MeasuredService(host, settings)
    handlers: dict[str, Handler] = {
        "start": measured.start,
        "reached": measured.reached,
        "usage": measured.usage,
        "lags": measured.lags,
        "url": measured.url,
        "confirm": measured.confirm,
    }
    await answer_requests(pipe, handlers)
    await measured.service.runner.cleanup()


class _MeasuredService:
    def __init__(self, host: str, settings: dict[str, Any]) -> None:
        from service.app import Service
        from service.settings import Settings

        self.service = Service(
            Settings(
                project_id=PROJECT,
                firestore_emulator_host=host,
                host="127.0.0.1",
                port=0,
                audit_interval_s=3600,
                **settings,
            ),
            owns_process=True,
        )
        self._model = self.service.model
        self._model.subscribe(self._on_applied)
        self._applied = asyncio.Event()
        self._lags: list[float] = []
        self._url = ""

    def _on_applied(self, change: Any) -> None:
        now = time.time()
        self._lags.extend(now - summary.version / 1e6 for summary in change.upserts)
        self._applied.set()

    async def _until(self, claim: Callable[[], bool]) -> None:
        while not claim():
            self._applied.clear()
            await self._applied.wait()

    async def start(self, documents: int) -> tuple[float, float]:
        from service.life_cycle import listen

        cpu_before, started = cpu_s(), time.perf_counter()
        await self.service.runner.setup()
        self._url = await listen(self.service.runner, self.service.settings)
        await self._until(lambda: len(self._model) == documents)
        while self.service.supervisor.state is not ListenerState.LIVE:  # noqa: ASYNC110 - it is, a turn after the last event
            await asyncio.sleep(0)
        return cpu_s() - cpu_before, time.perf_counter() - started

    async def reached(self, read_time: int) -> None:
        await self._until(lambda: self._model.read_time >= read_time)

    async def usage(self) -> tuple[float, int]:
        return cpu_s(), resident_bytes()

    async def lags(self) -> list[float]:
        taken, self._lags = self._lags, []
        return taken

    async def url(self) -> str:
        return self._url

    async def confirm(self, concurrent: int, times: int) -> list[float]:
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            await asyncio.gather(*(self.service.supervisor.confirm() for _ in range(concurrent)))
            taken.append(time.perf_counter() - started)
        return taken
