"""Processes of a benchmark's own: each is asked over a pipe and answers with plain values.

CPU seconds are the operating system's account of the whole process, all its threads and gRPC's included.
"""

import asyncio
import multiprocessing
import os
import resource
import signal
import traceback
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, Self

Handler = Callable[..., Coroutine[Any, Any, Any]]

LEAST_URGENT = 19
"""The nice value of a process that gives way."""


class Child:
    """A spawned process that runs `main(pipe, *arguments)` and answers requests. A context manager.

    `gives_way`: to every other process on its core, for what must not be measured by sharing that core with it.
    """

    def __init__(self, main: Callable[..., None], *arguments: Any, name: str, gives_way: bool = False) -> None:
        context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
        self._pipe, theirs = context.Pipe()
        target, passed = (_give_way, (main, theirs, *arguments)) if gives_way else (main, (theirs, *arguments))
        self._process = context.Process(target=target, args=passed, name=name, daemon=True)

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


def _give_way(main: Callable[..., None], *arguments: Any) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, LEAST_URGENT)
    main(*arguments)


async def answer_requests(pipe: Connection, handlers: dict[str, Handler]) -> None:
    """Answer each request by its handler, until told to stop. Ctrl-C is for whoever asks: that one ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
