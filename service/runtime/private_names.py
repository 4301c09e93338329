"""Reports private names of dependencies that an upgrade has taken away: one line per name in the log, at the start.

The names themselves are in `listeners/compat.py` and `service/runtime/compat.py`, each with what it is for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from listeners import compat as of_listeners
from service.runtime import compat as of_http

log = logging.getLogger(__name__)

CHECKS: Sequence[Callable[[], Iterable[str]]] = (of_listeners.check, of_http.check)
"""Each returns a line per missing name: its package, its version, and what is slower or does not work without it."""


async def report_missing_names() -> None:
    """Log each at ERROR. The checks run in a thread: some start an event loop of their own."""
    for check in CHECKS:
        for line in await asyncio.to_thread(check):
            log.error("%s", line)
