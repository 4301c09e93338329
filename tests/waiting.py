"""Waiting for what another process or thread does: by its visible effect, never by a guessed time."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 30.0
_TURN_S = 0.005


async def until(claim: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Return once `claim()` is true. Raises: AssertionError naming `what` when patience ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not claim():
        assert loop.time() < deadline, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(_TURN_S)


async def until_async(claim: Callable[[], Awaitable[object]], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """The same for a claim that must be awaited."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not await claim():
        assert loop.time() < deadline, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(_TURN_S)
