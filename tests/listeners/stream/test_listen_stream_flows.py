"""Streams that flow and yet are of no use: each is given up within a bound, over real gRPC. Time stands still."""

import asyncio
from typing import Any

import pytest

from listeners.listener import ListenerFailure
from tests.listeners.listening import failure_of
from tests.listeners.responses import added, changed, current, point, reset
from tests.listeners.stream_setting import Setting
from tests.listeners.streams import PROBE_INTERVAL_S, VirtualTime, scripted_firestore
from tests.waiting import until

START_S = VirtualTime().now


class Flow:
    """A Firestore that sends the documents it is given, each at once, and hears nothing after the first request."""

    def __init__(self, project: str, *, has_points: bool) -> None:
        self._collection = f"projects/{project}/databases/(default)/documents/jobs"
        self._documents: asyncio.Queue[int] = asyncio.Queue()
        self._has_points = has_points

    async def __call__(self, requests: Any, write: Any) -> None:
        await anext(requests)
        for response in (added(), current(), point(int(START_S * 1_000_000))):
            await write(response)
        if not self._has_points:
            await write(reset())
        while True:
            version = await self._documents.get()
            await write(changed(f"p{version}", version, collection=self._collection))
            if self._has_points:
                await write(point(version))

    async def send(self, setting: Setting, seconds: float) -> None:
        """A document of this moment, and that it has been received; then so much time passes."""
        protocol = setting.listener._protocol
        received = protocol.changes_received
        self._documents.put_nowait(int(setting.time.now * 1_000_000))
        await until(lambda: protocol.changes_received > received, "the document")
        await setting.time.advance(seconds)


async def failure_while_flowing(flow: Flow, setting: Setting, interval_s: float, patience_s: float) -> ListenerFailure:
    """How the stream ends while it flows."""
    async with setting.listening() as run:
        await setting.consumer.until_news(1)
        while not run.done() and setting.time.now < START_S + patience_s:
            await flow.send(setting, interval_s)
        return await failure_of(run)


@pytest.mark.parametrize("interval_s", [PROBE_INTERVAL_S / 16, PROBE_INTERVAL_S / 4, PROBE_INTERVAL_S])
async def test_a_stream_that_flows_and_answers_no_probe_is_given_up(project: str, interval_s: float) -> None:
    """What the client sends is lost; what Firestore sends arrives."""
    flow = Flow(project, has_points=True)
    async with scripted_firestore(flow) as host:
        setting = Setting(host, project)
        failure = await failure_while_flowing(flow, setting, interval_s, patience_s=10 * PROBE_INTERVAL_S)
    assert failure.reason == "probe_unanswered"
    assert setting.time.now - START_S <= 3.1 * PROBE_INTERVAL_S


async def test_documents_without_an_end_are_given_up_at_the_idle_timeout(project: str) -> None:
    """A RESET whose documents never end: no consistent point, no answer to a probe."""
    flow = Flow(project, has_points=False)
    async with scripted_firestore(flow) as host:
        setting = Setting(host, project, idle_timeout_s=4 * PROBE_INTERVAL_S)
        failure = await failure_while_flowing(flow, setting, PROBE_INTERVAL_S / 8, patience_s=20 * PROBE_INTERVAL_S)
    assert failure.reason == "probe_unanswered"
    assert 4 * PROBE_INTERVAL_S < setting.time.now - START_S < 5 * PROBE_INTERVAL_S
