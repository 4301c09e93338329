"""Google's Firestore emulator for the tests, as the demo starts it: one for all workers of a test run."""

import fcntl
from collections.abc import Callable
from pathlib import Path

from service.demo.google_emulator import HOW_TO_GET_IT, Emulator

__all__ = ["HOW_TO_GET_IT", "Emulator", "shared_emulator"]


def shared_emulator(directory: Path) -> tuple[Emulator, Callable[[], None]]:
    """The emulator of the run with this directory, and what ends its use. A start of Java takes seconds of CPU.

    The first caller starts it, and its end of use blocks until every other process has ended its own, or has died.
    """
    users = (directory / "emulator.users").open("w")
    address = directory / "emulator.host"
    with (directory / "emulator.start").open("w") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        emulator = Emulator(directory / "emulator.log")
        is_first = not address.exists()
        if is_first:
            emulator.start()
            address.write_text(emulator.host)
        else:
            emulator.host = address.read_text()

    def end() -> None:
        if is_first:
            fcntl.flock(users, fcntl.LOCK_EX)
            emulator.stop()
        users.close()

    return emulator, end
