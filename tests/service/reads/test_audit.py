"""The audit: renews what it may, reports what lasts, explains an empty model. Its reader and sleep are the test's."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random

import pytest

from listeners.listener import CannotConfirm, ListenerState
from listeners.window import OrderType
from service.errors import ReadRefused, Unreachable
from service.reads.audit import SETTLE_S, SETTLE_STEP_S, SETTLE_STEPS, Audit, AuditOptions
from tests.service.schemas import order
from tests.service.scripted_firestore import Parts, ScriptedListener, document, summary


class Audited(Parts):
    """The parts, with an audit over them that can do something while a difference settles.

    Until then its listener hears heartbeats, each `late_s` old.
    """

    def __init__(self, *, start_time_type: OrderType = "timestamp", window_size: int = 100) -> None:
        super().__init__(window_size=window_size)
        self.mismatches = 0
        self.late_s = 0.0
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.audit = Audit(
            self.model,
            self.reader,
            self.listener,
            AuditOptions(interval_s=30, sample=5, order=order(start_time_type), sleep=self._sleep),
            clock=self.clock,
            rng=Random(1),
            on_mismatch=self._mismatched,
        )

    def _mismatched(self) -> None:
        self.mismatches += 1

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.model.confirm(self.clock() - self.late_s)
        if self.meanwhile is not None:
            await self.meanwhile()

    async def agrees_on(self, *versions: int) -> None:
        """Model and Firestore both hold p0, p1 … in these versions, the last being the newest."""
        await self.hears_all(max(versions), *[document(f"p{n}", v, n) for n, v in enumerate(versions)])
        self.reader.stored_versions = {f"p{n}": v for n, v in enumerate(versions)}
        self.reader.newest = [summary(f"p{len(versions) - 1}", versions[-1], len(versions) - 1)]


async def test_an_agreeing_audit_renews_no_lease() -> None:
    parts = Audited()
    await parts.agrees_on(1, 2, 3)
    parts.clock.advance(40)
    assert await parts.audit.once()
    assert parts.model.age_s == 40.0
    assert (parts.mismatches, parts.listener.resyncs) == (0, [])


@pytest.mark.parametrize("state", [state for state in ListenerState if state is not ListenerState.LIVE])
async def test_no_audit_renews_the_lease_of_a_listener_that_is_down(state: ListenerState) -> None:
    parts = Audited()
    await parts.agrees_on(1, 2)
    parts.listener.state = state
    parts.clock.advance(16)
    assert await parts.audit.once()
    assert not parts.model.is_trusted()


@pytest.mark.parametrize("state", [state for state in ListenerState if state is not ListenerState.LIVE])
async def test_a_listener_that_is_known_to_be_down_is_behind_and_that_is_no_mismatch(state: ListenerState) -> None:
    parts = Audited()
    await differ(parts, "behind")
    parts.listener.state = state
    assert not await parts.audit.once()
    assert (parts.mismatches, parts.listener.resyncs) == (0, [])
    assert parts.model.is_trusted()  # its lease sees to that
    parts.listener.state = ListenerState.LIVE
    assert not await parts.audit.once()
    assert (parts.mismatches, parts.listener.resyncs) == (1, ["audit_mismatch"])


async def test_before_the_first_sync_nothing_is_compared() -> None:
    parts = Audited()
    assert not await parts.audit.once()
    assert parts.reader.versions_asked == []


async def test_the_newest_is_always_among_the_compared() -> None:
    parts = Audited()
    await parts.agrees_on(*range(1, 40))
    for _ in range(20):
        assert await parts.audit.once()
    assert all(asked[0] == "p38" and len(asked) <= 5 for asked in parts.reader.versions_asked)


DIFFERENCES = ["behind", "deleted", "newest_behind", "newest_missing", "all_missing"]


async def differ(parts: Audited, kind: str) -> None:
    await parts.agrees_on(1, 2)
    if kind == "behind":
        parts.reader.stored_versions["p1"] = 9
    elif kind == "deleted":
        parts.reader.stored_versions["p1"] = None
    elif kind == "newest_behind":
        parts.reader.newest = [summary("p1", 9, 1)]
        parts.reader.stored_versions["p1"] = 9
    else:
        parts.reader.newest = [summary("p5", 9, 5)]
        parts.reader.stored_versions["p5"] = 9
        if kind == "all_missing":
            await parts.hears_all(3)


async def catches_up(parts: Audited, kind: str) -> None:
    """The listener tells the model what it differed in."""
    if parts.model.read_time >= 9:
        return
    if kind == "deleted":
        await parts.hears_removal(9, "p1")
    elif "missing" in kind:
        await parts.hears(9, document("p5", 9, 5))
    else:
        await parts.hears(9, document("p1", 9, 1))


@pytest.mark.parametrize("kind", DIFFERENCES)
async def test_a_difference_that_lasts_distrusts_the_model_and_asks_for_one_resync(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Audited()
    await differ(parts, kind)
    assert not await parts.audit.once()
    assert sum(parts.clock.slept) == SETTLE_S
    assert not parts.model.is_trusted()
    assert (parts.mismatches, parts.listener.resyncs) == (1, ["audit_mismatch"])
    assert ["p5" if "missing" in kind else "p1"] == caplog.records[-1].__dict__["process_ids"]
    assert caplog.records[-1].levelno == logging.ERROR
    assert not await parts.audit.once()  # while the resync is under way
    assert parts.listener.resyncs == ["audit_mismatch"]


@pytest.mark.parametrize("kind", DIFFERENCES)
async def test_a_difference_that_settles_is_the_listeners_lag_and_no_mismatch(kind: str) -> None:
    parts = Audited()
    await differ(parts, kind)

    parts.meanwhile = lambda: catches_up(parts, kind)
    assert await parts.audit.once()
    assert parts.model.is_trusted()
    assert (parts.mismatches, parts.listener.resyncs) == (0, [])


async def test_a_process_that_came_and_went_within_the_lag_is_no_mismatch() -> None:
    parts = Audited()
    await differ(parts, "newest_missing")

    async def is_deleted() -> None:
        parts.reader.stored_versions["p5"] = None

    parts.meanwhile = is_deleted
    assert await parts.audit.once()
    assert parts.mismatches == 0


async def test_being_ahead_of_a_read_or_past_the_window_is_no_mismatch() -> None:
    parts = Audited(window_size=2)
    await parts.agrees_on(5, 6)
    parts.reader.stored_versions = {"p0": 4, "p1": 6}
    parts.reader.newest = [summary("p-evicted", 3, 0)]
    assert await parts.audit.once()
    assert (parts.mismatches, parts.clock.slept) == (0, [])


@pytest.mark.parametrize("kind", DIFFERENCES)
async def test_a_listener_that_has_heard_nothing_since_the_read_is_behind(kind: str) -> None:
    parts = Audited()
    await differ(parts, kind)
    parts.clock.advance(1)
    parts.late_s = SETTLE_STEPS * SETTLE_STEP_S + 1
    for _ in range(3):
        assert not await parts.audit.once()
    assert len(parts.clock.slept) == 3 * SETTLE_STEPS
    assert (parts.mismatches, parts.listener.resyncs) == (0, [])


async def test_a_difference_counts_as_soon_as_the_model_has_reached_the_read() -> None:
    parts = Audited()
    await differ(parts, "behind")
    parts.clock.advance(1)
    parts.late_s = 2 * SETTLE_S
    assert not await parts.audit.once()
    assert parts.mismatches == 1
    assert sum(parts.clock.slept) == 2 * SETTLE_S


class Probed(ScriptedListener):
    """A listener that has caught up with what was read before the probe when it answers, or does not answer."""

    def __init__(self, parts: Audited, catch_up: Callable[[], Awaitable[None]] | None, *, answers: bool = True) -> None:
        super().__init__()
        self._parts = parts
        self._catch_up = catch_up
        self._answers = answers

    async def confirm(self) -> float:
        asked_at = self._parts.clock()
        if self._catch_up is not None and self._parts.reader.newest_asked:
            self._parts.clock.advance(60)  # far more than any time to settle
            await self._catch_up()
        if not self._answers:
            raise CannotConfirm("no answer within 2.5 s")
        self.proofs += 1
        return asked_at


def probed(parts: Audited, catch_up: Callable[[], Awaitable[None]] | None = None, *, answers: bool = True) -> Probed:
    listener = Probed(parts, catch_up, answers=answers)
    parts.audit._listener = parts.listener = listener
    return listener


@pytest.mark.parametrize("kind", DIFFERENCES)
async def test_a_difference_that_an_answered_probe_resolves_is_lag(kind: str) -> None:
    parts = Audited()
    await differ(parts, kind)
    listener = probed(parts, lambda: catches_up(parts, kind))
    assert await parts.audit.once()
    assert (parts.mismatches, listener.resyncs, listener.proofs) == (0, [], 1)


@pytest.mark.parametrize("kind", DIFFERENCES)
async def test_a_difference_after_an_answered_probe_counts_at_once(kind: str) -> None:
    parts = Audited()
    await differ(parts, kind)
    listener = probed(parts)
    assert not await parts.audit.once()
    assert (parts.mismatches, listener.resyncs) == (1, ["audit_mismatch"])
    assert parts.clock.slept == []


@pytest.mark.parametrize("kind", DIFFERENCES)
async def test_without_an_answer_to_a_probe_there_is_no_verdict(kind: str) -> None:
    parts = Audited()
    await differ(parts, kind)
    listener = probed(parts, answers=False)
    for _ in range(3):
        assert not await parts.audit.once()
    assert (parts.mismatches, listener.resyncs) == (0, [])
    assert parts.model.is_trusted()  # its lease sees to that


async def test_a_process_that_hardly_runs_finds_no_difference() -> None:
    parts = Audited()
    await differ(parts, "behind")

    async def does_not_run() -> None:
        parts.clock.advance(5)

    parts.meanwhile = does_not_run
    assert not await parts.audit.once()
    assert (parts.mismatches, parts.listener.resyncs) == (0, [])
    assert len(parts.clock.slept) == SETTLE_STEPS


async def test_steps_in_which_the_process_did_not_run_do_not_settle_anything() -> None:
    parts = Audited()
    await differ(parts, "behind")
    pauses = [1.0] * 20

    async def runs_later() -> None:
        if pauses:
            parts.clock.advance(pauses.pop())

    parts.meanwhile = runs_later
    assert not await parts.audit.once()
    assert parts.mismatches == 1
    assert len(parts.clock.slept) == 20 + SETTLE_S / SETTLE_STEP_S


class Enough(BaseException):
    """Ends a loop that never ends."""


async def test_the_loop_goes_on_when_firestore_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    parts = Audited()
    await parts.agrees_on(1)
    errors = [Unreachable("down"), ReadRefused("no permission"), None]

    async def next_error() -> None:
        if not errors:
            raise Enough
        parts.reader.error = errors.pop(0)

    parts.meanwhile = next_error
    with pytest.raises(Enough):
        await parts.audit.run()
    assert len(parts.clock.slept) == 4
    assert all(27 <= seconds <= 33 for seconds in parts.clock.slept)
    refused = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert refused == ["no audit: Firestore refuses to be read directly: no permission"]


@pytest.mark.parametrize(
    ("configured", "found", "words"),
    [
        (
            "timestamp",
            "2026-11-23T12:00:00Z",
            ("START_TIME_TYPE is timestamp", "is a string", "set START_TIME_TYPE=string"),
        ),
        ("string", datetime(2026, 1, 1, tzinfo=UTC), ("is a timestamp", "set START_TIME_TYPE=timestamp")),
        ("timestamp", 17, ("is a number", "set START_TIME_TYPE=seconds")),
        ("string", 1_795_867_200_000, ("is a number", "set START_TIME_TYPE=milliseconds")),
        ("timestamp", True, ("is a bool", "write it as a timestamp")),
        ("timestamp", datetime(2026, 1, 1, tzinfo=UTC), None),
        ("timestamp", None, None),
    ],
)
async def test_an_empty_model_over_a_full_collection_names_the_type_and_the_setting(
    configured: OrderType, found: object, words: tuple[str, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Audited(start_time_type=configured)
    await parts.hears_all(1)
    parts.reader.found_start_time = found
    for _ in range(3):
        assert await parts.audit.once()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (0 if words is None else 1)
    for word in words or ():
        assert word in messages[0]
