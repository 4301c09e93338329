"""What the chaos run calls late, refused and slow."""

import pytest

from benchmarks.chaos.checker import Bounds, Checker
from benchmarks.chaos.crowd import Polled, judge_outage
from benchmarks.chaos.history import History, Written
from benchmarks.chaos.intervals import Interval, Intervals
from benchmarks.chaos.questions import Answered, Batch, Question

S = 1_000_000
BOUNDS = Bounds(lease_s=10, cache_ttl_s=1, stale_if_error_s=60, answered_s=2)


def checker(frozen: Intervals | None = None) -> Checker:
    history = History(0, 10)
    history.add([Written(1, "a", 1, "running"), Written(2, "b", 2, "running"), Written(5 * S, "a", 3, "running")])
    return Checker(history, BOUNDS, frozen)


def refused(took_s: float, *, wait_s: int = 0, turn_us: int = 0) -> Answered:
    question = Question("status", "a", wait_s=wait_s)
    return Answered(question, 10 * S, int((10 + took_s) * S), 503, may_retry=True, turn_us=turn_us)


@pytest.mark.parametrize(("took_s", "wait_s", "late"), [(2.0, 0, 0), (2.1, 0, 1), (5.0, 3, 0), (5.1, 3, 1)])
def test_an_answer_after_its_bound_is_late(took_s: float, wait_s: int, late: int) -> None:
    judge = checker()
    judge.check(refused(took_s, wait_s=wait_s))
    assert (judge.verdicts.late, judge.verdicts.forbidden) == (late, late)


def test_the_time_counts_from_the_answer_before_on_the_same_connection() -> None:
    judge = checker()
    judge.check(refused(20.0, turn_us=29 * S))
    assert (judge.verdicts.late, judge.verdicts.latest_s) == (0, 1.0)


def test_the_time_in_which_the_replica_was_frozen_does_not_count() -> None:
    judge = checker(Intervals([Interval(11 * S, 15 * S), Interval(16 * S)]))
    judge.check(refused(8.0))
    assert (judge.verdicts.late, judge.verdicts.latest_s) == (0, 2.0)


@pytest.mark.parametrize(("age_s", "broken"), [(1, 1), (6, 0)])
def test_each_row_of_a_batch_is_as_fresh_as_the_batch_claims(age_s: int, broken: int) -> None:
    judge = checker()
    rows = b",".join(judge._history.by_sequence[each].row().encode() for each in (1, 2))
    body = b'{"processes":[%b],"count":2,"next_page_token":null,"missing":[]}' % rows
    batch = Question("batch", Batch(("a", "b")))
    judge.check(Answered(batch, 10 * S, 10 * S + 1, 200, "MISS", age_s, body=body))
    assert judge.verdicts.bound_broken == broken, judge.verdicts.examples


def polled(process_id: str, sent_us: int, status: int, source: str, took_ms: float = 1.0) -> Polled:
    return Polled("replica", process_id, sent_us, took_ms, status, source)


def test_in_an_outage_held_processes_alone_must_be_stale() -> None:
    before = [polled("held", 1, 200, "HIT"), polled("other", 1, 200, "MISS"), polled("left", 1, 200, "HIT")]
    before.append(polled("left", 2, 200, "MISS"))
    during = [polled("held", 20, 200, "STALE", 5.0), polled("held", 21, 503, ""), polled("held", 22, 200, "HIT")]
    others = [polled("other", 20, 503, ""), polled("left", 20, 503, ""), polled("held", 12, 503, "")]
    verdict = judge_outage([*before, *during, *others], began_us=10, from_us=15, until_us=30, stale_until_us=9_000)
    assert (verdict.polls, verdict.refused, verdict.p99_ms) == (3, 2, 5.0)
    assert verdict.example == during[1]


@pytest.mark.parametrize(("took_ms", "refused"), [(1.0, 1), (1.2, 0)])
def test_a_refusal_after_the_end_of_stale_is_none(took_ms: float, refused: int) -> None:
    polls = [polled("held", 1, 200, "HIT"), polled("held", 20, 503, "", took_ms)]
    assert judge_outage(polls, began_us=10, from_us=15, until_us=30, stale_until_us=1_100).refused == refused


@pytest.mark.parametrize(("before_ms", "during_ms", "slow"), [(1, 100, False), (1, 101, True), (60, 101, False)])
def test_stale_is_slow_beyond_100_ms_and_twice_what_it_took_before(
    before_ms: float, during_ms: float, slow: bool
) -> None:
    polls = [polled("a", 1, 200, "HIT", before_ms), polled("a", 20, 200, "STALE", during_ms)]
    assert judge_outage(polls, began_us=10, from_us=15, until_us=30, stale_until_us=9_000).is_slow is slow
