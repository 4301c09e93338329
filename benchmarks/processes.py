"""What benchmarks measure, each in a process of its own: a local Firestore, and a service that reads it.

A process is asked over a pipe and answers with plain values. CPU seconds are the operating system's account of the
whole process, all its threads and gRPC's included.
"""

import asyncio
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any, Self

from listeners.listener import ListenerState

PROJECT = "demo-benchmark"
COLLECTION = "webServiceLogs"
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ("running", "completed", "failed", "cancelled")


Handler = Callable[..., Coroutine[Any, Any, Any]]


class Child:
    """A spawned process that runs `main(pipe, *arguments)` and answers requests. A context manager."""

    def __init__(self, main: Callable[..., None], *arguments: Any, name: str) -> None:
        context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, *arguments), name=name, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._pipe.send(("stop",))
            self._process.join(20)
        if self._process.is_alive():
            self._process.kill()

    def ask(self, *request: Any, timeout_s: float = 600) -> Any:
        """Its answer. Raises: RuntimeError with what went wrong over there, TimeoutError."""
        self._pipe.send(request)
        if not self._pipe.poll(timeout_s):
            raise TimeoutError(f"{self._process.name}: no answer to {request[0]} within {timeout_s:g} s")
        outcome, value = self._pipe.recv()
        if outcome == "failed":
            raise RuntimeError(f"{self._process.name}: {value}")
        return value


async def answer_requests(pipe: Connection, handlers: dict[str, Handler]) -> None:
    """Answer each request by its handler, until told to stop."""
    running = asyncio.get_running_loop()
    while True:
        request, *arguments = await running.run_in_executor(None, pipe.recv)
        if request == "stop":
            return
        try:
            pipe.send(("done", await handlers[request](*arguments)))
        except Exception:  # noqa: BLE001 - it is raised again where it was asked for
            pipe.send(("failed", traceback.format_exc()))


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - a file of the kernel's
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def process_fields(number: int, processed: int) -> dict[str, object]:
    """A realistic process: about 280 bytes of JSON."""
    day, second = divmod(number, 86_400)
    return {
        "status": STATUSES[number % len(STATUSES)],
        "start_time": FIRST_DAY + timedelta(days=day, seconds=second),
        "last_updated": datetime.now(UTC),
        "csv_url": f"https://storage.example.com/imports/2026/{number:08}.csv",
        "products_processed": processed,
        "products_failed": 0,
    }


def document_path(number: int) -> str:
    return f"{COLLECTION}/import-{number:08}"


# -- the local Firestore


def firestore_process() -> Child:
    """Answers `host`, `seed(count)`, `touch(numbers)` (one commit each), `paced(per_second, seconds, of, batch)`."""
    return Child(_firestore_main, name="local firestore")


def _firestore_main(pipe: Connection) -> None:
    asyncio.run(_firestore(pipe))


async def _firestore(pipe: Connection) -> None:
    from service.local_firestore import LocalFirestore

    async with LocalFirestore(max_queued=2_000_000) as server:
        database = server.database(PROJECT)

        async def host() -> str:
            return server.host

        async def seed(count: int) -> None:
            for start in range(0, count, 500):
                numbers = range(start, min(start + 500, count))
                database.commit_plain({document_path(number): process_fields(number, 0) for number in numbers})
                await asyncio.sleep(0)

        async def touch(numbers: list[int]) -> int:
            committed = 0
            for number in numbers:
                committed = database.commit_plain({document_path(number): process_fields(number, time.time_ns())})
                await asyncio.sleep(0)
            return committed

        async def paced(per_second: int, seconds: float, of: int, batch: int) -> int:
            started, commits, committed = time.perf_counter(), int(per_second * seconds / batch), 0
            for turn in range(commits):
                delay = started + turn * batch / per_second - time.perf_counter()
                if delay > 0:
                    await asyncio.sleep(delay)
                numbers = [(turn * batch + offset) * 7919 % of for offset in range(batch)]
                committed = database.commit_plain({document_path(n): process_fields(n, turn) for n in numbers})
            return committed

        await answer_requests(pipe, {"host": host, "seed": seed, "touch": touch, "paced": paced})


# -- a service that reads it


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
