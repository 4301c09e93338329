"""This process and its surroundings: standard streams, file descriptors, signals, exit codes.

Exit codes: 0 after SIGTERM, 130 after SIGINT (Ctrl-C), whenever the signal comes.
"""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

TERMINATED = 0
INTERRUPTED = 130
EXIT_CODES = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED}


def open_standard_streams() -> None:
    """Open /dev/null for each closed standard stream (`>&-`). Otherwise the next file that is opened becomes stdout."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w")


def raise_descriptor_limit() -> None:
    """Raise the soft limit of file descriptors to the hard limit: each connection needs a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # some systems report a hard limit that they do not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def exit_at_once_on_signals() -> None:
    """Exit at once on signals, until a command handles them: nothing has begun yet that needs an orderly end.

    Otherwise a Ctrl-C while modules are imported ends in a traceback. And the first process of a container, for which
    the kernel has no default action, ignores an early SIGTERM.
    """
    for number, code in EXIT_CODES.items():
        signal.signal(number, lambda *_, code=code: os._exit(code))


def interrupt_on_ctrl_c() -> None:
    """Use Python's own handling: SIGINT cancels what asyncio runs, and then raises KeyboardInterrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class StopSignal:
    """Handles SIGTERM and SIGINT in the running loop. `exit_code` is that of the first signal."""

    def __init__(self, on_signal: Callable[[], object] = lambda: None) -> None:
        self.exit_code = TERMINATED
        self._on_signal = on_signal
        self._event = asyncio.Event()
        for number, code in EXIT_CODES.items():
            asyncio.get_running_loop().add_signal_handler(number, self._stop, code)

    def set(self) -> None:
        """Stop as after a signal."""
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def _stop(self, code: int) -> None:
        if not self._event.is_set():
            self.exit_code = code
            self._event.set()
            self._on_signal()


async def until_signalled(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `work`; a signal cancels it. Returns its exit code, or that of the signal after `work` has cleaned up."""
    task = asyncio.ensure_future(work())
    stop = StopSignal(task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if stop.is_set:
            return stop.exit_code
        raise
