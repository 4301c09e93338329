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
from multiprocessing.connection import Connection
from typing import Any, Self

PROJECT = "demo-benchmark"
COLLECTION = "webServiceLogs"
STATUSES = ("running", "completed", "failed", "cancelled")


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


def answer_requests(pipe: Connection, handlers: dict[str, Callable[..., Coroutine[Any, Any, Any]]]) -> Any:
    """A coroutine that answers each request by its handler, until told to stop."""

    async def loop() -> None:
        running = asyncio.get_running_loop()
        while True:
            request, *arguments = await running.run_in_executor(None, pipe.recv)
            if request == "stop":
                return
            try:
                pipe.send(("done", await handlers[request](*arguments)))
            except Exception:  # noqa: BLE001 - it is raised again where it was asked for
                pipe.send(("failed", traceback.format_exc()))

    return loop()


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
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_767_225_600 + day * 86_400 + second))
    return {
        "status": STATUSES[number % len(STATUSES)],
        "start_time": start + "Z",
        "last_updated": time.time(),
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
    """Answers `start` (→ CPU seconds and time until synced), `reached(read_time)`, `usage`, `lags`, `url`, `confirm`."""
    return Child(_service_main, host, settings, name=f"service ({settings.get('listener')})")


def _service_main(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    import uvloop

    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    uvloop.run(_service(pipe, host, settings))


async def _service(pipe: Connection, host: str, settings: dict[str, Any]) -> None:
    from service.app import Service
    from service.life_cycle import listen
    from service.settings import Settings

    chosen = Settings(
        project_id=PROJECT,
        firestore_emulator_host=host,
        host="127.0.0.1",
        port=0,
        start_time_type="string",
        audit_interval_s=3600,
        **settings,
    )
    service = Service(chosen)
    model = service.model
    applied = asyncio.Event()
    lags: list[float] = []

    def on_applied(change: Any) -> None:
        now = time.time()
        lags.extend(now - summary.version / 1e6 for summary in change.upserts)
        applied.set()

    model.subscribe(on_applied)
    where = ""

    async def start(documents: int) -> tuple[float, float]:
        nonlocal where
        cpu_before, started = cpu_s(), time.perf_counter()
        await service.runner.setup()
        where = await listen(service.runner, chosen)
        while not (model.is_trusted() and len(model) == documents):
            applied.clear()
            await applied.wait()
        return cpu_s() - cpu_before, time.perf_counter() - started

    async def reached(read_time: int) -> float:
        while model.read_time < read_time:
            applied.clear()
            await applied.wait()
        return time.time()

    async def usage() -> tuple[float, int]:
        return cpu_s(), resident_bytes()

    async def taken_lags() -> list[float]:
        taken = list(lags)
        lags.clear()
        return taken

    async def url() -> str:
        return where

    async def confirm(concurrent: int, times: int) -> list[float]:
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            await asyncio.gather(*(service.supervisor.confirm() for _ in range(concurrent)))
            taken.append(time.perf_counter() - started)
        return taken

    handlers = {
        "start": start,
        "reached": reached,
        "usage": usage,
        "lags": taken_lags,
        "url": url,
        "confirm": confirm,
    }
    await answer_requests(pipe, handlers)
    await service.runner.cleanup()
