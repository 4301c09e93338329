"""No full collection while a first load is under way; whatever becomes of the load, collections come back."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from listeners.listener import ListenerState
from service.runtime.gc_policy import CollectorPolicy


class Cycle:
    """Only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


class Told:
    """The observer behind the policy."""

    def __init__(self) -> None:
        self.states: list[ListenerState] = []
        self.restarts: list[str] = []

    def state_changed(self, state: ListenerState, reason: str) -> None:
        self.states.append(state)

    def restarted(self, reason: str) -> None:
        self.restarts.append(reason)


@pytest.fixture
def told() -> Iterator[Told]:
    threshold = gc.get_threshold()
    yield Told()
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_nothing_is_collected_during_the_first_load_and_what_it_built_is_put_aside(told: Told) -> None:
    policy = CollectorPolicy(told)
    policy.state_changed(ListenerState.SYNCING, "")
    assert not gc.isenabled()
    built = [[number] for number in range(1000)]
    before = gc.get_freeze_count()
    policy.state_changed(ListenerState.LIVE, "")
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(built)


def test_a_load_that_fails_brings_collections_back(told: Told) -> None:
    policy = CollectorPolicy(told)
    policy.state_changed(ListenerState.SYNCING, "")
    policy.state_changed(ListenerState.BACKING_OFF, "")
    assert gc.isenabled()


def test_a_later_synchronisation_is_collected_as_ever(told: Told) -> None:
    policy = CollectorPolicy(told)
    policy.state_changed(ListenerState.LIVE, "")
    policy.state_changed(ListenerState.SYNCING, "")
    assert gc.isenabled()


def test_everything_is_passed_on(told: Told) -> None:
    policy = CollectorPolicy(told)
    policy.state_changed(ListenerState.LIVE, "")
    policy.restarted("idle")
    assert (told.states, told.restarts) == ([ListenerState.LIVE], ["idle"])


def test_no_collection_by_itself_looks_at_more_than_a_few_thousand(told: Told) -> None:
    CollectorPolicy(told)
    young, middle, _ = gc.get_threshold()
    assert young * (middle + 2) <= 5_000


@pytest.mark.parametrize(
    ("waiting", "collections", "peak", "collected"),
    [
        (0, 1_499, 200, False),
        (50, 1_500, 100, True),
        (51, 1_500, 200, False),
        (20_000, 29_999, 200, False),
        (20_000, 30_000, 124, False),
        (20_000, 30_000, 125, True),
    ],
)
def test_a_full_collection_waits_until_few_clients_do_or_memory_has_grown(
    told: Told, waiting: int, collections: int, peak: int, collected: bool
) -> None:
    memory = [100]
    policy = CollectorPolicy(told, peak_memory=lambda: memory[-1])
    memory.append(peak)
    gone = weakref.ref(Cycle())
    policy.collect_if_due(waiting, collections)
    assert (gone() is None) == collected
    gc.collect()


def test_memory_that_a_full_collection_has_seen_is_no_reason_for_another(told: Told) -> None:
    memory = [100]
    policy = CollectorPolicy(told, peak_memory=lambda: memory[-1])
    memory.append(200)
    seen = weakref.ref(Cycle())
    policy.collect_if_due(20_000, 30_000)
    unseen = weakref.ref(Cycle())
    policy.collect_if_due(20_000, 30_000)
    assert (seen() is None, unseen() is None) == (True, False)
    gc.collect()


def test_a_first_load_is_not_interrupted_by_a_full_collection(told: Told) -> None:
    policy = CollectorPolicy(told)
    gc.disable()
    try:
        gone = weakref.ref(Cycle())
        policy.collect_if_due(0, 1_000_000)
        assert gone() is not None
    finally:
        gc.enable()


async def test_who_runs_it_asks_again_and_again(told: Told) -> None:
    asked = list[float]()

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await CollectorPolicy(told).run(lambda: 0, sleep)
    assert asked == [5.0, 5.0, 5.0]
