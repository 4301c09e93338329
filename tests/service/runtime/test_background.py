"""Long-lived tasks: none ends unnoticed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.runtime.tasks import BackgroundTasks
from tests.service.virtual_time import settle


async def test_stop_cancels_awaits_and_calls_no_callback(caplog: pytest.LogCaptureFixture) -> None:
    early: list[None] = []
    cleaned_up: list[str] = []

    async def lasting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned_up.append("done")

    tasks = BackgroundTasks(lambda: early.append(None))
    tasks.start("one", lasting())
    tasks.start("two", lasting())
    await settle()
    await tasks.stop()
    assert (early, cleaned_up, caplog.records) == ([], ["done", "done"], [])


async def _returns() -> None:
    return


async def _raises() -> None:
    raise ValueError("broken")


async def _is_cancelled_within() -> None:
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


@pytest.mark.parametrize("ends", [_returns, _raises, _is_cancelled_within])
async def test_an_early_end_of_any_kind_is_critical(
    ends: Callable[[], Coroutine[Any, Any, None]], caplog: pytest.LogCaptureFixture
) -> None:
    early: list[None] = []
    tasks = BackgroundTasks(lambda: early.append(None))
    tasks.start("listener", ends())
    await settle()
    assert early == [None]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.CRITICAL, "background task listener ended, which it never should")
    ]
    await tasks.stop()


async def test_an_error_while_stopping_is_logged_but_no_early_end(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks_in_cleanup() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken")

    early: list[None] = []
    tasks = BackgroundTasks(lambda: early.append(None))
    tasks.start("audit", breaks_in_cleanup())
    await settle()
    await tasks.stop()
    await settle()
    assert early == []
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
