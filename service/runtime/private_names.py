"""Reports private names of dependencies that an upgrade has removed: one log line per name, at the start.

The names themselves are in `listeners/compat.py` and `service/runtime/compat.py`, each with its purpose.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from listeners import compat as of_listeners
from service.runtime import compat as of_http

log = logging.getLogger(__name__)

CHECKS: Sequence[Callable[[], Iterable[str]]] = (of_listeners.check, of_http.check)
"""Each returns one line per missing name: the package, its version, and what is slower or does not work."""


async def report_missing_names() -> None:
    """Log each line as an ERROR. The checks run in a thread, because some start an event loop of their own."""
    for check in CHECKS:
        for line in await asyncio.to_thread(check):
            log.error("%s", line)
