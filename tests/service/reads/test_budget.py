"""The budget of direct reads, on a clock that the test moves."""

from contextlib import ExitStack

import pytest

from service.errors import BudgetExhausted
from service.reads.budget import Budget
from tests.service.virtual_time import Clock


def spend(budget: Budget, reads: int) -> int:
    """Try this many reads one after the other; how many were allowed."""
    allowed = 0
    for _ in range(reads):
        try:
            with budget.one_read():
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
    with pytest.raises(BudgetExhausted) as refused, budget.one_read():
        pass
    assert refused.value.retry_after_s == 4.0
    clock.advance(4)
    assert spend(budget, 5) == 1


def test_reads_under_way_are_limited_and_their_places_come_back() -> None:
    refusals: list[None] = []
    budget = Budget(2, 500, clock=Clock(), on_refusal=lambda: refusals.append(None))
    with ExitStack() as held:
        held.enter_context(budget.one_read())
        held.enter_context(budget.one_read())
        assert budget.under_way == 2
        assert spend(budget, 3) == 0
        assert len(refusals) == 3
    assert budget.under_way == 0
    assert spend(budget, 1) == 1


def test_a_read_that_fails_gives_its_place_back() -> None:
    budget = Budget(1, 500, clock=Clock())
    with pytest.raises(ValueError, match="broken"), budget.one_read():
        raise ValueError("broken")
    assert budget.under_way == 0


def test_what_a_list_cost_is_paid_afterwards() -> None:
    clock = Clock()
    budget = Budget(64, 10, clock=clock)
    with budget.one_read():
        pass
    budget.charge(28)
    assert spend(budget, 1) == 0
    clock.advance(1.9)
    assert spend(budget, 1) == 0
    clock.advance(0.15)
    assert spend(budget, 2) == 1
