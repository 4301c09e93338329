"""A service in a process of its own that can be looked into: what a load and changes cost it, when they arrived."""

import asyncio
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.firestore import PROJECT, process_fields, process_id
from benchmarks.processes import Child, Handler, answer_requests, cpu_s, resident_bytes
from listeners.events import Changed, Document
from listeners.listener import ListenerState

A_BATCH = 5_000


def service_process(host: str, **settings: Any) -> Child:
    """Answers `start` (CPU and time, in s), `fill(count)`, `reached(read_time)`, `usage`, `lags`, `url`, `confirm`."""
    return Child(_service_main, host, settings, name=f"service ({settings.get('listener')})")


def _service_main(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    import uvloop

    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    uvloop.run(_service(pipe, host, settings))


async def _service(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    measured = MeasuredService(host, settings)
    await answer_requests(pipe, measured.handlers)
    await measured.service.runner.cleanup()


class MeasuredService:
    """The service, and what it can be asked. `logs_requests`: as in production, on this process's stdout."""

    def __init__(self, host: str, settings: dict[str, Any], *, logs_requests: bool = False) -> None:
        from service.app import Service, start_logs
        from service.settings import Settings

        chosen = Settings(
            project_id=PROJECT,
            firestore_emulator_host=host,
            host="127.0.0.1",
            port=0,
            audit_interval_s=3600,
            **settings,
        )
        request_log = start_logs(chosen)[1] if logs_requests else None
        self.service = Service(chosen, request_log=request_log, owns_process=True)
        self._model = self.service.model
        self._model.subscribe(self._on_applied)
        self._applied = asyncio.Event()
        self._lags: list[float] = []
        self._url = ""

    @property
    def handlers(self) -> dict[str, Handler]:
        """By name, as `Child.ask` names them."""
        asked = (self.start, self.fill, self.reached, self.usage, self.lags, self.url, self.confirm)
        return {handler.__name__: handler for handler in asked}

    def _on_applied(self, change: Any) -> None:
        now = time.time()
        self._lags.extend(now - summary.version / 1e6 for summary in change.upserts)
        self._applied.set()

    async def _until(self, claim: Callable[[], bool]) -> None:
        while not claim():
            self._applied.clear()
            await self._applied.wait()

    async def start(self, documents: int) -> tuple[float, float]:
        from service.lifecycle import listen
        from service.runtime.sockets import listening_sockets

        cpu_before, started = cpu_s(), time.perf_counter()
        await self.service.runner.setup()
        self._url = await listen(self.service.runner, listening_sockets(["127.0.0.1"], 0))
        self._listening()
        await self._until(lambda: len(self._model) == documents)
        while self.service.supervisor.state is not ListenerState.LIVE:  # noqa: ASYNC110 - it is, a turn after the last event
            await asyncio.sleep(0)
        return cpu_s() - cpu_before, time.perf_counter() - started

    async def fill(self, count: int) -> None:
        """Processes 0 … count-1 in the model alone, in batches as a listener brings them; Firestore stays as it is."""
        from service.runtime.clock import boottime

        for start in range(0, count, A_BATCH):
            now = self._model.read_time
            numbers = range(start, min(start + A_BATCH, count))
            documents = [Document(process_id(number), now, process_fields(number, 0)) for number in numbers]
            await self._model.apply(Changed(documents, (), now, boottime()))

    def _listening(self) -> None:
        """It serves; its model is empty yet."""

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
