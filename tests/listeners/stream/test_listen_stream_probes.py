"""How old things are, and what probes prove, over real gRPC. Time stands still."""

import asyncio
from typing import Any

import pytest

from listeners.listener import CannotConfirm
from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
from tests.listeners.responses import added, changed, current, point, removed_target
from tests.listeners.stream_setting import Setting, job
from tests.listeners.streams import PROBE_INTERVAL_S, scripted_firestore, turns
from tests.waiting import until

# -- age


async def test_what_was_read_late_is_as_old_as_it_is(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    async with setting.listening() as run:
        await setting.until_live()
        with server.faults.stall_streams():
            database.commit_plain({"jobs/a": job(1, "done")})
            committed_at = setting.time.now
            setting.time.freeze(600)  # the process; Firestore's word waits in the socket
        _, event = await setting.consumer.until_news(2)
        # The server's clock is a real one: it went on a little while this one stood still.
        assert event.as_of < committed_at + 20
        await setting.time.advance(PROBE_INTERVAL_S / 8)
        assert not run.done()  # awake again, it reads before it judges
        thawed_at = setting.time.now
        assert await setting.confirm() >= thawed_at


# -- probes


async def test_a_probe_follows_the_first_sync_and_then_one_an_interval(setting: Setting) -> None:
    async with setting.listening():
        await setting.until_live()
        assert setting.observer.probes == 1
        for number in range(2, 5):
            await setting.time.advance(PROBE_INTERVAL_S)
            await setting.until_probes(number)


async def test_a_hundred_who_ask_at_once_share_one_probe(setting: Setting, server: LocalFirestore) -> None:
    async with setting.listening():
        await setting.until_live()
        probes, asked_at = setting.observer.probes, setting.time.now
        answers = await asyncio.gather(*(setting.confirm() for _ in range(100)))
    assert setting.observer.probes - probes == 1
    assert min(answers) >= asked_at


async def test_who_asks_while_a_probe_is_out_is_served_by_a_second_and_no_third_goes_out(
    setting: Setting, server: LocalFirestore
) -> None:
    async with setting.listening():
        await setting.until_live()
        probes = setting.observer.probes
        with server.faults.stall_streams():
            asking = []
            for _ in range(5):
                asking.append(asyncio.ensure_future(setting.listener.confirm()))
                await turns()
                await setting.time.advance(1)
        while not all(one.done() for one in asking):
            await setting.time.advance(0)
            await asyncio.sleep(0)
    assert setting.observer.probes - probes == 3  # two at first, and one for those who came after the second


async def test_nothing_is_confirmed_without_a_synced_stream(setting: Setting, server: LocalFirestore) -> None:
    with pytest.raises(CannotConfirm, match="not connected"):
        await setting.listener.confirm()
    with server.faults.stall_streams():
        async with setting.listening():
            await until(lambda: server.listening.streams, "the stream's arrival")
            with pytest.raises(CannotConfirm, match="not synced"):
                await setting.listener.confirm()


async def test_who_waits_for_a_confirmation_hears_of_the_streams_end(setting: Setting, server: LocalFirestore) -> None:
    async with setting.listening():
        await setting.until_live()
        with server.faults.stall_streams():
            asking = asyncio.ensure_future(setting.listener.confirm())
            await turns()
            server.faults.end_streams()
            with pytest.raises(CannotConfirm, match="ended"):
                await asking


async def test_who_waits_too_long_for_a_confirmation_is_sent_away(
    server: LocalFirestore, database: Database, project: str
) -> None:
    setting = Setting(server.host, project, confirm_timeout_s=0.01)
    async with setting.listening() as run:
        await setting.until_live()
        with server.faults.stall_streams(), pytest.raises(CannotConfirm, match="within"):
            await setting.listener.confirm()
        assert not run.done()


async def test_a_firestore_that_refuses_probes_is_listened_to_without_them(
    project: str, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def refusing(requests: Any, write: Any) -> None:
        collection = f"projects/{project}/databases/(default)/documents/jobs"
        await anext(requests)
        for response in (added(), changed("a", 1, collection=collection), current(), point(10)):
            await write(response)
        probe = (await anext(requests)).add_target.target_id
        await write(removed_target(probe, code=3, why="no such targets here"))
        await go_on.wait()
        await write(changed("a", 11, collection=collection))
        await write(point(11))
        await asyncio.Event().wait()

    async with scripted_firestore(refusing) as host:
        setting = Setting(host, project)
        async with setting.listening() as run:
            await setting.consumer.until_news(1)
            while not caplog.messages:
                await setting.time.advance(0)
                await asyncio.sleep(0)
            with pytest.raises(CannotConfirm, match="refuses probes"):
                await setting.listener.confirm()
            await setting.time.advance(5 * PROBE_INTERVAL_S)
            go_on.set()
            await setting.consumer.until_news(2)
            assert not run.done()
    assert len(caplog.messages) == 1
