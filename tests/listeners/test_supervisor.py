"""The supervisor in virtual time, over a listener that does what the test has written down for it."""

import asyncio
import contextlib
import errno
import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from listeners.back_off import BackOff
from listeners.events import Changed, Confirmed, Event, Replaced
from listeners.listener import Apply, CannotConfirm, ListenerFailure, ListenerState
from listeners.supervisor import Supervisor
from tests.waiting import until

REPLACED = Replaced([], read_time=1, as_of=0)
CHANGED = Changed([], (), read_time=2, as_of=0)
CONFIRMED = Confirmed(read_time=3, as_of=0)

OPEN = "open"
Step = Event | Exception | str | None


class ScriptedListener:
    """The port, acted out: each run takes its steps from the next script; None returns; past its end it waits."""

    def __init__(self, *scripts: list[Step]) -> None:
        self._scripts = list(scripts)
        self._forgotten = asyncio.Event()
        self.runs = 0
        self.forgotten = 0
        self.cancelled = 0

    async def run(self, apply: Apply, on_open: Callable[[], None]) -> None:
        self.runs += 1
        self._forgotten.clear()
        try:
            for step in self._scripts.pop(0) if self._scripts else []:
                match step:
                    case None:
                        return
                    case Exception():
                        raise step
                    case Replaced() | Changed() | Confirmed():
                        await apply(step)
                    case _:
                        on_open()
            await self._forgotten.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise ListenerFailure("resync", prompt=True)

    async def confirm(self) -> float:
        return 42.0

    def forget(self) -> None:
        self.forgotten += 1
        self._forgotten.set()


class Middle(random.Random):
    """No jitter: delays can be written out."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@dataclass
class Act:
    """A supervisor over scripts: what it announced, applied, waited for."""

    listener: ScriptedListener
    randomness: random.Random = field(default_factory=Middle)
    now_s: float = 0.0
    delays: list[float] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    applied: list[Event] = field(default_factory=list)
    bugs: dict[int, Exception] = field(default_factory=dict)
    event_takes_s: float = 2.0
    gate: asyncio.Event | None = None
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(
            self.listener,
            self.apply,
            self,
            clock=lambda: self.now_s,
            sleep=self.sleep,
            randomness=self.randomness,
        )

    def state_changed(self, state: ListenerState, reason: str) -> None:
        self.states.append((state.value, reason))

    def restarted(self, reason: str) -> None:
        self.restarts.append(reason)

    async def apply(self, event: Event) -> None:
        self.applied.append(event)
        self.now_s += self.event_takes_s
        if self.gate:
            await self.gate.wait()
        if len(self.applied) in self.bugs:
            raise self.bugs[len(self.applied)]

    async def sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        self.now_s += delay_s
        await self.awake.wait()


@contextlib.asynccontextmanager
async def started(*scripts: list[Step], bugs: dict[int, Exception] | None = None) -> AsyncIterator[Act]:
    """The supervisor, running; stopped on the way out."""
    act = Act(ScriptedListener(*scripts), bugs=bugs or {})
    act.awake.set()
    task = asyncio.create_task(act.supervisor.run())
    try:
        yield act
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()
    assert act.supervisor.state is ListenerState.STOPPED


@contextlib.asynccontextmanager
async def acting(*scripts: list[Step], bugs: dict[int, Exception] | None = None) -> AsyncIterator[Act]:
    """The same, once it is in the run after the last script."""
    async with started(*scripts, bugs=bugs) as act:
        await until(lambda: act.listener.runs > len(scripts), "the end of all scripts")
        yield act


def unavailable() -> ListenerFailure:
    return ListenerFailure("unavailable", "refused")


async def test_the_states_follow_the_listener_each_with_its_reason() -> None:
    async with acting([OPEN, REPLACED, CHANGED, unavailable()]) as act:
        pass
    assert act.states == [
        ("connecting", "started"),
        ("syncing", "started"),
        ("live", "synchronised"),
        ("backing_off", "unavailable: refused"),
        ("connecting", "unavailable: refused"),
        ("stopped", "stopped"),
    ]
    assert act.applied == [REPLACED, CHANGED]
    assert act.restarts == ["unavailable"]
    assert act.supervisor.restarts == 1
    assert act.supervisor.last_failure == "unavailable: refused"


@pytest.mark.parametrize("event", [REPLACED, CHANGED, CONFIRMED])
async def test_any_event_applied_makes_it_live(event: Event) -> None:
    async with started([OPEN, event]) as act:
        await until(lambda: act.supervisor.state is ListenerState.LIVE, "live")


async def test_an_open_connection_is_not_yet_live() -> None:
    async with acting([OPEN, unavailable()]) as act:
        assert "live" not in dict(act.states)


async def test_before_it_runs_it_is_stopped() -> None:
    supervisor = Act(ScriptedListener()).supervisor
    assert (supervisor.state, supervisor.reason, supervisor.last_failure) == (ListenerState.STOPPED, "not started", "")


async def test_the_back_off_is_nothing_first_then_grows_by_half_to_three_seconds() -> None:
    failures: list[list[Step]] = [[unavailable()] for _ in range(7)]
    async with acting(*failures) as act:
        pass
    assert act.delays == pytest.approx([0, 1, 1.5, 2.25, 3, 3, 3])


@pytest.mark.parametrize(
    ("failure", "longest_s"),
    [
        (unavailable(), 4.5),
        (ListenerFailure("idle"), 4.5),
        (ListenerFailure("permission_denied", permanent=True), 30),
        (ListenerFailure("not_found", permanent=True), 30),
        (ListenerFailure("resource_exhausted"), 30),
        (ListenerFailure("too_many_open_files"), 1.5),
    ],
    ids=lambda value: getattr(value, "reason", value),
)
def test_after_an_outage_of_any_length_the_next_attempt_is_near(failure: ListenerFailure, longest_s: float) -> None:
    """With 5 s for the attempt under way, and one that succeeds, the model is back within 10 s of Firestore."""
    back_off = BackOff(random.Random(7))
    delays = [back_off.delay_s(failure) for _ in range(2_000)]
    assert max(delays) == pytest.approx(longest_s, rel=0.01)
    assert max(delays) <= longest_s


def test_the_back_off_is_jittered_by_half_in_both_directions() -> None:
    back_off = BackOff(random.Random(7))
    for _ in range(20):
        back_off.delay_s(unavailable())
    delays = [back_off.delay_s(unavailable()) for _ in range(500)]
    assert 1.5 <= min(delays) < 1.6
    assert 4.4 < max(delays) <= 4.5


@pytest.mark.parametrize(
    "failure", [ListenerFailure("resource_exhausted"), ListenerFailure("permission_denied", permanent=True)]
)
async def test_what_haste_makes_worse_waits_long_at_once(failure: ListenerFailure) -> None:
    async with acting([failure], [failure], [OPEN, REPLACED, unavailable()]) as act:
        pass
    assert act.delays == [20, 20, 0]


async def test_only_a_consistent_point_resets_the_back_off() -> None:
    async with acting(
        [unavailable()], [OPEN, unavailable()], [OPEN, unavailable()], [OPEN, CONFIRMED, unavailable()], [unavailable()]
    ) as act:
        pass
    assert act.delays == [0, 1, 1.5, 0, 1]


async def test_runs_that_end_right_after_their_snapshot_are_no_hot_loop() -> None:
    snapshot_and_end: list[Step] = [OPEN, REPLACED, ListenerFailure("end_of_stream")]
    async with started(*(snapshot_and_end for _ in range(4))) as act:
        act.event_takes_s = 0.9
        await until(lambda: act.listener.runs > 4, "the end of all scripts")
    assert act.delays == [0, 1, 1.5, 2.25]


async def test_an_end_that_was_chosen_is_followed_by_a_new_run_at_once() -> None:
    lifetime = ListenerFailure("lifetime", prompt=True)
    async with acting([OPEN, REPLACED, lifetime], [OPEN, CONFIRMED, lifetime]) as act:
        pass
    assert act.delays == []
    assert act.restarts == ["lifetime", "lifetime"]
    assert "backing_off" not in dict(act.states)


async def test_a_chosen_end_without_any_success_counts_as_trouble() -> None:
    lifetime = ListenerFailure("lifetime", prompt=True)
    async with acting([OPEN, REPLACED, lifetime], [OPEN, lifetime], [lifetime], [OPEN, REPLACED, lifetime]) as act:
        pass
    assert act.delays == [0, 1]


async def test_an_event_that_cannot_be_applied_starts_all_over(caplog: pytest.LogCaptureFixture) -> None:
    async with acting([OPEN, REPLACED, CHANGED], bugs={2: LookupError("a bug")}) as act:
        assert act.listener.forgotten == 1
        assert act.restarts == ["callback_error"]
        assert act.supervisor.last_failure == "callback_error: LookupError('a bug')"
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.levelno == logging.ERROR
    assert "a bug" in caplog.text
    assert "in apply" in caplog.text


async def test_an_event_that_can_never_be_applied_is_no_hot_loop() -> None:
    script: list[Step] = [OPEN, REPLACED, CHANGED]
    async with acting(script, script, script, bugs={2 * n: LookupError() for n in range(1, 4)}) as act:
        pass
    assert act.delays == [0, 1, 1.5]


@pytest.mark.parametrize(("step", "detail"), [(KeyError("x"), "KeyError('x')"), (None, "the listener returned")])
async def test_a_listener_that_breaks_its_contract_is_run_again_from_scratch(step: Step, detail: str) -> None:
    async with acting([OPEN, REPLACED, step]) as act:
        assert act.restarts == ["listener_error"]
        assert act.supervisor.last_failure == f"listener_error: {detail}"
        assert act.listener.forgotten == 1


async def test_cancelled_while_it_listens_it_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with acting() as act:
        pass
    assert act.listener.cancelled == 1
    assert asyncio.all_tasks() == before


async def test_cancelled_while_it_backs_off_it_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with started([unavailable()]) as act:
        act.awake.clear()
        await until(lambda: act.delays, "the back-off")
        assert act.supervisor.state is ListenerState.BACKING_OFF
    assert act.listener.cancelled == 0
    assert asyncio.all_tasks() == before


async def test_cancelled_within_apply_it_stops_and_calls_it_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async with started([OPEN, REPLACED]) as act:
        act.gate = asyncio.Event()
        await until(lambda: act.applied, "the event's arrival")
        assert act.supervisor.state is ListenerState.SYNCING
    assert act.restarts == []
    assert not [record for record in caplog.records if record.exc_info]


async def test_confirming_is_for_a_live_listener_only() -> None:
    async with started([OPEN, REPLACED], [unavailable()]) as act:
        with pytest.raises(CannotConfirm, match="stopped: not started"):
            await act.supervisor.confirm()
        await until(lambda: act.supervisor.state is ListenerState.LIVE, "live")
        assert await act.supervisor.confirm() == 42.0
        act.awake.clear()
        act.supervisor.resync("the audit disagrees")
        await until(lambda: act.supervisor.state is ListenerState.BACKING_OFF, "the failure after it")
        with pytest.raises(CannotConfirm, match="backing_off: unavailable: refused"):
            await act.supervisor.confirm()


async def test_a_resync_forgets_and_starts_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with started([OPEN, REPLACED], [OPEN, REPLACED]) as act:
        await until(lambda: act.supervisor.state is ListenerState.LIVE, "live")
        act.supervisor.resync("3 of 5 documents differ")
        await until(lambda: len(act.applied) == 2, "the second load")
    assert (act.restarts, act.delays, act.listener.forgotten) == (["resync"], [], 1)
    assert "3 of 5 documents differ" in caplog.text


ADVICE = {
    "permission_denied": "roles/datastore.viewer",
    "failed_precondition": "index",
    "not_found": "database's name",
    "unimplemented": "address",
    "invalid_argument": "collection's name",
    "unauthenticated": "credentials",
}


@pytest.mark.parametrize(("reason", "advice"), ADVICE.items())
async def test_what_needs_an_operator_is_an_error_that_says_what_to_do(
    reason: str, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with acting([ListenerFailure(reason, "in Firestore's words", permanent=True)]):
        pass
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.levelno == logging.ERROR
    assert "in Firestore's words" in record.getMessage()
    assert advice in record.getMessage()


async def test_no_file_descriptor_left_is_named_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    exhausted = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    async with acting([OPEN, REPLACED, exhausted], [exhausted], [exhausted]) as act:
        assert act.restarts == ["too_many_open_files"] * 3
        assert act.listener.forgotten == 0
        assert act.delays == [0, 1, 1]
    line = next(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "Too many open files" in line
    assert "raise the limit of open files" in line


async def test_other_failures_are_warnings_with_their_facts(caplog: pytest.LogCaptureFixture) -> None:
    async with acting([OPEN, REPLACED, unavailable()], [unavailable()]):
        pass
    first, *_ = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert first.levelno == logging.WARNING
    facts = {name: first.__dict__[name] for name in ("listener_state", "previous_state", "failure", "retry_in_s")}
    assert facts == {
        "listener_state": "backing_off",
        "previous_state": "live",
        "failure": "unavailable",
        "retry_in_s": 0.0,
    }


async def test_the_same_trouble_again_and_again_is_no_flood_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "listeners.supervisor")
    flapping: list[Step] = [OPEN, REPLACED, ListenerFailure("end_of_stream")]
    async with acting(*(flapping for _ in range(1000))) as act:
        assert act.delays == [0] * 1000
    assert len(caplog.records) <= 60  # of the four thousand transitions in more than half an hour


async def test_a_long_outage_is_logged_ever_more_rarely_and_its_end_always(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "listeners.supervisor")
    outage: list[list[Step]] = [[unavailable()] for _ in range(2100)]
    async with started(*outage, [OPEN, REPLACED]) as act:
        await until(lambda: act.supervisor.state is ListenerState.LIVE, "the recovery")
        assert act.now_s > 6000
        lines = [record.getMessage() for record in caplog.records]
    assert 8 <= sum("backing_off" in line and "refused" in line for line in lines) <= 40
    assert lines[-1] == "listener: live, was syncing: synchronised"
