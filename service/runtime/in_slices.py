"""A coroutine's long loop, with a turn for everything else on the event loop after each slice of it.

For jobs that no coroutine waits for there is `service.runtime.slices`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

SLICE = 100
"""Documents decoded or indexed at a time: about a millisecond's work."""


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """All of them, in order."""
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE == 0:
            await asyncio.sleep(0)
