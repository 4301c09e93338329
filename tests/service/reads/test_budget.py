"""The budget of direct reads, on a clock that the test moves."""

from contextlib import ExitStack

import pytest

from service.api.caller import SEES_EVERYTHING, Caller
from service.errors import BudgetExhausted
from service.reads.budget import MOST_CALLERS, Budget
from tests.service.virtual_time import Clock


def spend(budget: Budget, reads: int, caller: Caller = SEES_EVERYTHING) -> int:
    """Try this many reads one after the other; how many were allowed."""
    allowed = 0
    for _ in range(reads):
        try:
            with budget.one_read(caller):
                allowed += 1
        except BudgetExhausted:
            pass
    return allowed


def test_a_second_of_reads_can_be_spent_at_once_and_no_more() -> None:
    clock = Clock()
    budget = Budget(64, 10, clock=clock)
    assert spend(budget, 50) == 10
    clock.advance(0.35)
    assert spend(budget, 50) == 3
    clock.advance(3600)
    assert spend(budget, 50) == 10


def test_a_rate_below_one_still_allows_a_read() -> None:
    clock = Clock()
    budget = Budget(64, 0.25, clock=clock)
    assert spend(budget, 5) == 1
    with pytest.raises(BudgetExhausted) as refused, budget.one_read(SEES_EVERYTHING):
        pass
    assert refused.value.retry_after_s == 4.0
    clock.advance(4)
    assert spend(budget, 5) == 1


def test_reads_under_way_are_limited_and_their_places_come_back() -> None:
    refusals: list[None] = []
    budget = Budget(2, 500, clock=Clock(), on_refusal=lambda: refusals.append(None))
    with ExitStack() as held:
        held.enter_context(budget.one_read(SEES_EVERYTHING))
        held.enter_context(budget.one_read(SEES_EVERYTHING))
        assert budget.under_way == 2
        assert spend(budget, 3) == 0
        assert len(refusals) == 3
        with pytest.raises(BudgetExhausted) as refused, budget.one_read(SEES_EVERYTHING):
            pass
        assert refused.value.retry_after_s == 1.0
    assert budget.under_way == 0
    assert spend(budget, 1) == 1


def test_a_read_that_fails_gives_its_place_back() -> None:
    budget = Budget(1, 500, clock=Clock())
    with pytest.raises(ValueError, match="broken"), budget.one_read(SEES_EVERYTHING):
        raise ValueError("broken")
    assert budget.under_way == 0


def test_what_a_list_cost_is_paid_afterwards() -> None:
    clock = Clock()
    budget = Budget(64, 10, clock=clock)
    with budget.one_read(SEES_EVERYTHING):
        pass
    budget.charge(28, SEES_EVERYTHING)
    assert spend(budget, 1) == 0
    clock.advance(1.9)
    assert spend(budget, 1) == 0
    clock.advance(0.15)
    assert spend(budget, 2) == 1


ANN, BOB = Caller("ann"), Caller("bob")


def test_one_caller_spends_its_share_and_leaves_the_rest_to_others() -> None:
    clock = Clock()
    budget = Budget(64, 10, share=0.5, clock=clock)
    assert spend(budget, 50, ANN) == 5
    budget.charge(3, BOB)
    assert [spend(budget, 50, BOB), spend(budget, 50)] == [2, 0]
    clock.advance(0.6)
    assert [spend(budget, 50, ANN), spend(budget, 50, BOB)] == [3, 3]


def test_reads_under_way_of_one_caller_are_limited_to_its_share() -> None:
    budget = Budget(4, 500, share=0.5, clock=Clock())
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(budget.one_read(ANN))
        assert [spend(budget, 3, ANN), spend(budget, 3, BOB)] == [0, 3]
    assert spend(budget, 3, ANN) == 3


@pytest.mark.parametrize(("share", "caller"), [(1.0, ANN), (0.5, SEES_EVERYTHING)])
def test_without_shares_or_names_one_caller_can_spend_it_all(share: float, caller: Caller) -> None:
    assert spend(Budget(64, 10, share=share, clock=Clock()), 50, caller) == 10


def test_only_callers_who_have_touched_their_share_are_remembered() -> None:
    clock = Clock()
    budget = Budget(64, 100_000, share=0.01, clock=clock)
    for number in range(5_000):
        assert spend(budget, 1, Caller(str(number))) == 1
        clock.advance(0.01)
    assert len(budget._by_caller) <= MOST_CALLERS
