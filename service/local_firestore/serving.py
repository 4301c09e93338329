"""The local Firestore as a program: a server and its control port, until it is cancelled."""

import asyncio
import contextlib
import sys
from collections.abc import Callable

from service.local_firestore.control import ControlPort
from service.local_firestore.server import LocalFirestore


def _print_at_once(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # the parent process reads the addresses from a pipe


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    control_port: int | None = None,
    *,
    heartbeat_s: float = 30,
    resume_window_s: float = 1800,
    announce: Callable[[str], None] = _print_at_once,
) -> None:
    """Run a server until cancelled, with its control port if one is named (0: any). Announces both addresses."""
    server = LocalFirestore(port, address=host, heartbeat_s=heartbeat_s, resume_window_s=resume_window_s)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        announce(f"export FIRESTORE_EMULATOR_HOST={server.host}")
        if control_port is not None:
            control = await stack.enter_async_context(ControlPort(server, control_port))
            announce(f"export LOCAL_FIRESTORE_CONTROL={control.url}")
        await asyncio.Event().wait()
