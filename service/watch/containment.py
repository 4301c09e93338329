"""A failure in one watcher ends that watcher's connection and affects no other watcher (invariant 5)."""

from typing import Protocol

from service.runtime.failure_log import FailureLog


class CanFail(Protocol):
    """A watcher whose connection can be ended."""

    def fail(self, error: Exception) -> None:
        """End the connection, because something in this watcher failed. Has no effect if it has already ended."""


def contain(failures: FailureLog, watcher: CanFail, step: str, error: Exception) -> None:
    """Log the failure of `step`, and end only this watcher. Never raises an Exception."""
    name = type(watcher).__name__
    failures.report(f"{name}.{step}", error)
    try:
        watcher.fail(error)
    except Exception as second:  # noqa: BLE001 - reported; nothing more can be done for this watcher
        failures.report(f"{name}.fail", second)
