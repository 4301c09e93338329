"""No full collection while a first load is under way; whatever becomes of the load, collections come back."""

import gc
from collections.abc import Iterator

import pytest

from listeners.listener import ListenerState
from service.garbage import CollectorPolicy


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
