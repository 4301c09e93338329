"""No full collection while a first load is under way; whatever becomes of the load, collections come back."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from listeners.listener import ListenerState
from service.runtime import gc_policy
from service.runtime.gc_policy import CollectorPolicy, resident_bytes, smaller_collections


class Cycle:
    """Only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


class Recorder:
    """The observer behind the policy."""

    def __init__(self) -> None:
        self.states: list[ListenerState] = []
        self.restarts: list[str] = []

    def state_changed(self, state: ListenerState, reason: str) -> None:
        self.states.append(state)

    def restarted(self, reason: str) -> None:
        self.restarts.append(reason)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    threshold = gc.get_threshold()
    yield Recorder()
    gc.enable()  # what is frozen stays so: every full collection of a later test would walk it
    gc.set_threshold(*threshold)


def test_nothing_is_collected_during_the_first_load_and_what_it_built_is_put_aside(recorder: Recorder) -> None:
    policy = CollectorPolicy(recorder)
    policy.state_changed(ListenerState.SYNCING, "")
    assert not gc.isenabled()
    built = [[number] for number in range(1000)]
    before = gc.get_freeze_count()
    policy.state_changed(ListenerState.LIVE, "")
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(built)


def test_a_load_that_fails_brings_collections_back(recorder: Recorder) -> None:
    policy = CollectorPolicy(recorder)
    policy.state_changed(ListenerState.SYNCING, "")
    policy.state_changed(ListenerState.BACKING_OFF, "")
    assert gc.isenabled()


def test_a_later_synchronisation_is_collected_as_ever(recorder: Recorder) -> None:
    policy = CollectorPolicy(recorder)
    policy.state_changed(ListenerState.LIVE, "")
    policy.state_changed(ListenerState.SYNCING, "")
    assert gc.isenabled()


def test_everything_is_passed_on(recorder: Recorder) -> None:
    policy = CollectorPolicy(recorder)
    policy.state_changed(ListenerState.LIVE, "")
    policy.restarted("idle")
    assert (recorder.states, recorder.restarts) == ([ListenerState.LIVE], ["idle"])


def test_no_collection_by_itself_looks_at_more_than_a_few_thousand(recorder: Recorder) -> None:
    CollectorPolicy(recorder)
    young, middle, _ = gc.get_threshold()
    assert young * (middle + 2) <= 5_000


MIB = 2**20
OFTEN = 10**9


class World:
    """What a policy looks at, as the test sets it. A full collection takes `cost_s`."""

    def __init__(self, recorder: Recorder, cost_s: float = 0.1) -> None:
        self.memory = 100 * MIB
        self.collections = 0
        self.now = 0.0
        self.full = 0
        self._cost_s = cost_s
        self.policy = CollectorPolicy(
            recorder, memory=lambda: self.memory, collections=lambda: self.collections, clock=lambda: self.now
        )
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            self.full += 1
            self.now += self._cost_s

    def close(self) -> None:
        gc.callbacks.remove(self._collected)


@pytest.fixture
def world(recorder: Recorder) -> Iterator[World]:
    world = World(recorder)
    yield world
    world.close()


@pytest.mark.parametrize(
    ("waiting", "collections", "memory", "collected"),
    [
        (0, 0, 131, False),
        (0, 0, 132, True),
        (12_800, 0, 231, False),
        (12_800, 0, 232, True),
        (0, 5_999, 100, False),
        (50, 6_000, 100, True),
        (51, OFTEN, 132, False),
        (20_000, OFTEN, 100, False),
    ],
)
def test_grown_memory_is_collected_whatever_the_counts_say(
    world: World, waiting: int, collections: int, memory: int, collected: bool
) -> None:
    world.memory, world.collections = memory * MIB, collections
    gone = weakref.ref(Cycle())
    world.policy.look(waiting)
    assert (world.full, gone() is None) == (collected, collected)


def test_large_processes_grow_by_a_quarter_before_they_are_collected(world: World) -> None:
    world.memory = 1000 * MIB
    world.policy.look(0)
    for memory, full in ((1249, 1), (1250, 2)):
        world.now += 10
        world.memory = memory * MIB
        world.policy.look(0)
        assert world.full == full


def test_memory_that_a_full_collection_has_left_is_no_reason_for_another(world: World) -> None:
    world.memory = 300 * MIB
    for _ in range(100):
        world.now += 60
        world.collections += OFTEN
        world.policy.look(20_000)
    assert world.full == 1


def test_memory_that_came_back_may_grow_again_before_the_next(world: World) -> None:
    world.memory = 400 * MIB
    world.policy.look(51)
    world.now += 10
    world.memory = 100 * MIB
    world.collections += OFTEN
    world.policy.look(0)
    assert world.full == 2
    world.now += 10
    world.memory = 133 * MIB
    world.policy.look(51)
    assert world.full == 3


def test_full_collections_take_a_twentieth_of_the_time_at_most(world: World) -> None:
    while world.now < 1_000:
        world.memory += 100 * MIB
        world.collections += OFTEN
        before = world.now
        world.policy.look(0)
        world.now = max(world.now, before + 0.01)
    assert 400 < world.full <= 500


def test_cycles_that_a_first_load_froze_are_collected_once_memory_grows(world: World) -> None:
    world.policy.state_changed(ListenerState.SYNCING, "")
    gone = weakref.ref(Cycle())
    world.policy.state_changed(ListenerState.LIVE, "")
    gc.collect()
    assert gone() is not None
    world.memory += 32 * MIB
    world.policy.look(0)
    assert gone() is None
    assert gc.get_freeze_count() > 1_000


def test_a_first_load_is_not_interrupted_by_a_full_collection(world: World) -> None:
    world.policy.state_changed(ListenerState.SYNCING, "")
    world.memory, world.collections = 1_000 * MIB, OFTEN
    world.policy.look(0)
    assert world.full == 0


def test_collections_are_counted_where_there_is_no_third_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "get_count", lambda: (5, 0, 0))
    gc.disable()
    before = smaller_collections()
    for generation in (0, 1, 2):
        gc.collect(generation)
    after = smaller_collections()
    gc.enable()
    assert after == before + 2


def test_present_memory_is_measured_and_falls_again() -> None:
    before = resident_bytes()
    taken = bytearray(64 * MIB)
    taken[::4096] = b"x" * len(taken[::4096])
    during = resident_bytes()
    del taken
    assert during > before + 60 * MIB
    assert resident_bytes() < during - 60 * MIB


def test_without_proc_the_peak_is_measured_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    present = resident_bytes()
    monkeypatch.setattr(gc_policy, "_STATM", "/nonexistent/statm")
    assert present / 2 < resident_bytes() < present * 100


async def test_a_running_policy_looks_every_second(recorder: Recorder) -> None:
    asked = list[float]()

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await CollectorPolicy(recorder).run(lambda: 0, sleep)
    assert asked == [1.0, 1.0, 1.0]
