"""Logs contained failures: an error with its stack trace, per kind at growing intervals.

A failure is contained if all other work goes on. The first failure of a kind is logged at once, later ones after 1 s,
2 s, 4 s … at most 10 minutes. Each line has the number of failures left out since the last one, so ten thousand equal
failures write few lines. The kind is the text `what` and the class of the exception.
"""

import logging

from listeners.listener import Clock
from listeners.supervisor import LogPace
from service.runtime.clock import boottime

_log = logging.getLogger(__name__)


class FailureLog:
    """Writes to the module's logger. `count`: all failures, logged or not."""

    def __init__(self, clock: Clock = boottime) -> None:
        self._pace = LogPace(clock)
        self._left_out: dict[str, int] = {}
        self.count = 0

    def report(self, what: str, error: BaseException) -> None:
        """`what` failed with `error`. `what` names code and never contains a client's data."""
        self.count += 1
        kind = f"{what}: {type(error).__name__}"
        if not self._pace.is_due(kind):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        left_out = self._left_out.pop(kind, 0)
        suffix = f" ({left_out} more like it since the last line)" if left_out else ""
        _log.error("%s failed; everything else goes on%s", what, suffix, exc_info=error)
