"""Documents followed on the window's stream, over real gRPC: what they cost it, and what becomes of their troubles.

Time stands still.
"""

import contextlib
from random import Random
from typing import Any

import grpc
import pytest

from listeners.events import Document
from listeners.listener import CannotConfirm
from listeners.stream.document_targets import CONFIRM_INTERVAL_S, DocumentTargets
from listeners.stream.listen_protocol import ListenProtocol
from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
from tests.listeners.listening import failure_of
from tests.listeners.responses import FIELDS, WINDOW
from tests.listeners.stream_setting import Setting, job
from tests.listeners.streams import PROBE_INTERVAL_S
from tests.listeners.wanted import wanted
from tests.waiting import until

REFUSED = grpc.StatusCode.PERMISSION_DENIED


class Follower:
    """What was heard of one document."""

    def __init__(self) -> None:
        self.statuses: list[object] = []
        self.as_of: list[float] = []

    def hear(self, document: Document | None, read_time: int, as_of: float) -> None:
        self.statuses.append(None if document is None else document.fields["status"])
        self.as_of.append(as_of)

    async def until_heard(self, *statuses: object) -> None:
        await until(lambda: self.statuses == list(statuses), f"hearing {statuses}")


@pytest.fixture
def setting(server: LocalFirestore, database: Database, project: str) -> Setting:
    """A window of b and c; a is outside of it."""
    return Setting(server.host, project, size=2)


async def pass_time(setting: Setting, seconds: float) -> None:
    """With a Firestore that answers meanwhile."""
    end = setting.time.now + seconds
    while setting.time.now < end:
        await setting.time.advance(PROBE_INTERVAL_S / 8)
        with contextlib.suppress(CannotConfirm):
            await setting.confirm()


# -- on the window's stream


async def test_however_many_are_followed_there_is_one_stream(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    followers = {name: Follower() for name in ("a", "b", "nope")}
    documents = setting.listener.documents
    documents.follow("a", followers["a"].hear)  # before there is a stream
    async with setting.listening():
        await setting.until_live()
        documents.follow("b", followers["b"].hear)
        documents.follow("nope", followers["nope"].hear)
        for name, status in (("a", "running"), ("b", "running"), ("nope", None)):
            await followers[name].until_heard(status)
        assert len(server.listening.streams) == 1
        assert len(setting.consumer.opened) == 1
        assert server.calls["Listen"] == 1
    assert setting.consumer.held.keys() == {"b", "c"}
    assert len(setting.consumer.news) == 1


async def test_what_was_committed_before_a_confirmation_is_told_when_it_comes(
    setting: Setting, database: Database
) -> None:
    old = Follower()
    setting.listener.documents.follow("a", old.hear)
    async with setting.listening():
        await setting.until_live()
        for number in range(20):
            database.commit_plain({"jobs/a": job(1, f"step {number}")})
            await setting.confirm()
            assert old.statuses[-1] == f"step {number}"


async def test_a_busy_window_confirms_a_followed_document_once_a_second(setting: Setting, database: Database) -> None:
    old = Follower()
    setting.listener.documents.follow("a", old.hear)
    async with setting.listening():
        await setting.until_live()
        await pass_time(setting, 10 * CONFIRM_INTERVAL_S)
        told = len(old.statuses)
        assert 10 <= told <= 14
        for number in range(50):
            database.commit_plain({"jobs/b": job(2, f"step {number}")})
        await setting.confirm()
        assert len(old.statuses) - told <= 1
        await pass_time(setting, CONFIRM_INTERVAL_S)
        assert old.as_of[-1] >= setting.time.now - CONFIRM_INTERVAL_S
        assert set(old.statuses) == {"running"}
        assert old.as_of == sorted(old.as_of)


async def test_nothing_is_told_while_the_stream_is_down_and_what_changed_when_it_is_back(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    old = Follower()
    async with setting.listening() as run:
        await setting.until_live()
        setting.listener.documents.follow("a", old.hear)
        await old.until_heard("running")
        billed = setting.observer.documents
        server.faults.end_streams(grpc.StatusCode.UNAVAILABLE)
        await failure_of(run)
    database.commit_plain({"jobs/a": job(1, "done")})
    await setting.time.advance(100)
    assert old.statuses == ["running"]
    back_at = setting.time.now
    async with setting.listening():
        await old.until_heard("running", "done")
    assert old.as_of[-1] >= back_at
    assert setting.observer.documents - billed <= 2  # it was resumed: the change, and perhaps the probe


async def test_a_stalled_stream_tells_nothing_new_about_their_age(setting: Setting, server: LocalFirestore) -> None:
    old = Follower()
    setting.listener.documents.follow("a", old.hear)
    async with setting.listening() as run:
        await setting.until_live()
        with server.faults.stall_streams():
            stalled_at = setting.time.now
            await setting.until_over(run, within_s=3 * PROBE_INTERVAL_S)
    assert max(old.as_of) <= stalled_at


async def test_whoever_lets_go_of_a_document_has_its_target_removed(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    old = Follower()
    async with setting.listening():
        await setting.until_live()
        following = setting.listener.documents.follow("a", old.hear)
        await old.until_heard("running")
        assert following is not None
        following.release()
        following.release()
        await until(lambda: not server.listening.targets("jobs/a"), "the target's end on the server")
        database.commit_plain({"jobs/a": job(1, "done")})
        await setting.confirm()
    assert old.statuses == ["running"]
    assert repr(setting.listener.documents) == "<DocumentTargets 0 of 100>"


# -- trouble


async def test_a_target_that_firestore_removes_is_added_again_beside_the_window(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    old = Follower()
    async with setting.listening() as run:
        await setting.until_live()
        setting.listener.documents.follow("a", old.hear)
        await old.until_heard("running")
        assert server.faults.remove_targets(grpc.StatusCode.UNAVAILABLE, document="jobs/a") == 1
        database.commit_plain({"jobs/a": job(1, "done"), "jobs/c": job(3, "done")})
        await setting.confirm()
        assert setting.consumer.statuses() == {"b": "running", "c": "done"}
        assert old.statuses == ["running"]
        await setting.time.advance(PROBE_INTERVAL_S / 8)
        await old.until_heard("running", "done")
        assert not run.done()
    assert len(setting.consumer.opened) == 1


async def test_a_target_that_was_current_since_is_added_again_without_a_pause(
    setting: Setting, server: LocalFirestore
) -> None:
    old = Follower()
    async with setting.listening():
        await setting.until_live()
        setting.listener.documents.follow("a", old.hear)
        for times in range(1, 4):
            await until(lambda count=times: len(old.statuses) >= count, "it is told")  # type: ignore[misc]
            server.faults.remove_targets(grpc.StatusCode.UNAVAILABLE, document="jobs/a")
            await until(lambda: "1 targets" in repr(setting.listener), "the target's end")
            await setting.time.advance(PROBE_INTERVAL_S / 8)


async def test_a_target_that_is_refused_for_good_is_tried_again_within_30_s(
    setting: Setting, server: LocalFirestore, caplog: pytest.LogCaptureFixture
) -> None:
    old = Follower()
    async with setting.listening() as run:
        await setting.until_live()
        setting.listener.documents.follow("a", old.hear)
        await old.until_heard("running")
        server.faults.remove_targets(REFUSED, "no", document="jobs/a")
        await pass_time(setting, 9)
        assert not server.listening.targets("jobs/a")
        await pass_time(setting, 22)
        assert len(server.listening.targets("jobs/a")) == 1
        assert not run.done()
    [message] = [message for message in caplog.messages if "target ended" in message]
    assert "permission_denied: Firestore removed the target: no" in message


async def test_a_stream_that_is_over_takes_its_back_offs_with_it(setting: Setting, server: LocalFirestore) -> None:
    old = Follower()
    async with setting.listening():
        await setting.until_live()
        setting.listener.documents.follow("a", old.hear)
        await old.until_heard("running")
        server.faults.remove_targets(REFUSED, document="jobs/a")
        await until(lambda: "1 targets" in repr(setting.listener), "the target's end")
    async with setting.listening():
        await setting.until_live()
        await old.until_heard("running", "running")
        [(_, added)] = server.listening.targets("jobs/a")
        await pass_time(setting, 91)
        assert [target for _, target in server.listening.targets("jobs/a")] == [added]


async def test_a_filter_that_knows_better_has_the_document_told_again(
    setting: Setting, server: LocalFirestore, database: Database
) -> None:
    new = Follower()
    async with setting.listening() as run:
        await setting.until_live()
        setting.listener.documents.follow("nope", new.hear)
        await new.until_heard(None)
        with server.faults.drop_deltas(1):
            database.commit_plain({"jobs/nope": job(0, "lost")})
        server.faults.send_existence_filter(off_by=0, document="jobs/nope")
        await setting.confirm()
        assert new.statuses == [None]
        await setting.time.advance(PROBE_INTERVAL_S / 8)
        await new.until_heard(None, "lost")
        assert len(server.listening.targets("jobs/nope")) == 1
        assert not run.done()


async def test_a_follower_that_fails_is_told_no_more_and_nobody_else_suffers(
    setting: Setting, server: LocalFirestore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise LookupError("a bug")

    old = Follower()
    async with setting.listening() as run:
        await setting.until_live()
        setting.listener.documents.follow("b", fails)
        setting.listener.documents.follow("a", old.hear)
        database.commit_plain({"jobs/a": job(1, "done"), "jobs/b": job(2, "done")})
        await until(lambda: old.statuses[-1:] == ["done"], "hearing of the other")
        await until(lambda: not server.listening.targets("jobs/b"), "the target's end on the server")
        await until(lambda: setting.consumer.statuses()["b"] == "done", "the window")
        assert not run.done()
    [record] = [record for record in caplog.records if record.exc_info]
    assert (record.levelname, record.message) == ("ERROR", "a followed document is followed no longer")


# -- by itself


@pytest.fixture
def alone() -> Any:
    """Without a stream."""
    return DocumentTargets(ListenProtocol(WINDOW, wanted(*FIELDS)), Random(1), limit=2)


async def test_past_the_limit_nothing_is_followed_until_something_is_let_go(alone: DocumentTargets) -> None:
    first = alone.follow("a", Follower().hear)
    assert first is not None
    assert alone.follow("b", Follower().hear) is not None
    assert alone.follow("c", Follower().hear) is None
    first.release()
    assert alone.follow("c", Follower().hear) is not None


async def test_a_document_is_followed_once_at_a_time(alone: DocumentTargets) -> None:
    alone.follow("a", Follower().hear)
    with pytest.raises(ValueError, match="'a' is followed already"):
        alone.follow("a", Follower().hear)


async def test_closing_lets_all_go(alone: DocumentTargets) -> None:
    alone.follow("a", Follower().hear)
    alone.follow("b", Follower().hear)
    await alone.close()
    assert repr(alone) == "<DocumentTargets 0 of 2>"
