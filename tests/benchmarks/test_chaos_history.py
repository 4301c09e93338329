"""What a list may show of a Firestore that lied: no more than that, and no longer than until the audit."""

from collections.abc import Iterable

import pytest

from benchmarks.chaos.checker import Bounds, Checker
from benchmarks.chaos.history import History, Page, Query, Version, Written, rendered_page
from benchmarks.chaos.questions import Answered, Question

BELIEVED_US = 1_000_000
WINDOW = 3
EVERYTHING = Query(limit=10)


class Firestore:
    """Processes a, b, c, … started one after the other, written at the times 1, 2, 3, …; then whatever is told."""

    def __init__(self, process_ids: str) -> None:
        self.history = History(BELIEVED_US, WINDOW)
        self._sequence = 0
        for time_us, process_id in enumerate(process_ids, start=1):
            self.write(process_id, time_us)

    def write(self, process_id: str, time_us: int, *, is_hidden: bool = False) -> Version:
        self._sequence += 1
        known = self.history.at(process_id, time_us)
        start_us = known.written.start_us if known is not None else time_us
        self.history.add([Written(time_us, process_id, self._sequence, "running", start_us, is_hidden)])
        return self.history.by_sequence[self._sequence]

    def delete(self, process_id: str, time_us: int, *, is_hidden: bool = False) -> None:
        self.history.add([Written(time_us, process_id, 0, is_hidden=is_hidden)])

    def first_page(self, process_ids: str, *, has_more: bool = False) -> Page:
        """Of the versions that these had at first."""
        return Page(tuple(self.history.versions[process_id][0] for process_id in process_ids), has_more)

    def may_be(self, page: Page, instant_us: int, query: Query = EVERYTHING) -> bool:
        return self.history.may_believe(query, page, instant_us)


def test_who_moved_up_for_a_deletion_that_nobody_was_told_of_may_be_missing() -> None:
    firestore = Firestore("abcde")  # c, d and e are listened to
    firestore.delete("d", 10, is_hidden=True)
    query = Query(limit=2, after=(5, "e"))
    assert firestore.may_be(firestore.first_page("dc", has_more=True), 10, query), "all of it is believed"
    assert firestore.may_be(firestore.first_page("cb", has_more=True), 10, query), "nothing of it is"
    assert firestore.may_be(firestore.first_page("ca", has_more=False), 10, query), (
        "d was read directly; nobody told of b"
    )
    assert not firestore.may_be(firestore.first_page("da", has_more=False), 10, query), "c was there all the time"


def test_whoever_moved_up_is_known_once_it_is_written_to() -> None:
    firestore = Firestore("abcd")
    firestore.delete("c", 10, is_hidden=True)
    missing = firestore.first_page("dcb")
    assert firestore.may_be(missing, 19)
    written = firestore.write("a", 20)
    assert firestore.may_be(Page((*missing.rows, written), False), 20)
    assert not firestore.may_be(missing, 20)


@pytest.mark.parametrize("process_ids", ["db", "dcba", "cba", "d"])
def test_without_a_lie_only_the_truth_may_be_believed(process_ids: str) -> None:
    firestore = Firestore("abcd")
    firestore.delete("c", 10)
    assert firestore.may_be(firestore.first_page("dba"), 10)
    assert not firestore.may_be(firestore.first_page(process_ids), 10)


def test_nothing_is_believed_any_longer_than_until_the_audit() -> None:
    firestore = Firestore("abcd")
    firestore.delete("c", 10, is_hidden=True)
    believed, truth = firestore.first_page("dcb"), firestore.first_page("dba")
    missing = firestore.first_page("db")
    assert firestore.may_be(missing, 9 + BELIEVED_US)
    assert not firestore.may_be(missing, 10 + BELIEVED_US)
    assert not firestore.may_be(believed, 10 + BELIEVED_US)
    assert firestore.may_be(truth, 10 + BELIEVED_US)


def test_of_two_lies_in_a_row_none_of_one_or_both_may_be_believed() -> None:
    firestore = Firestore("a")
    second, third = (firestore.write("a", time_us, is_hidden=True) for time_us in (10, 20))
    first = firestore.history.versions["a"][0]
    assert all(firestore.may_be(Page((each,), False), 20) for each in (first, second, third))
    assert not firestore.may_be(Page((first,), False), 10 + BELIEVED_US), "the audit has noticed the first"
    assert firestore.may_be(Page((second,), False), 10 + BELIEVED_US)


@pytest.mark.parametrize(("limit", "has_more"), [(2, False), (4, True), (1, True)])
def test_whether_more_follows_is_part_of_the_page(limit: int, has_more: bool) -> None:
    firestore = Firestore("abc")
    assert not firestore.may_be(firestore.first_page("cb", has_more=has_more), 3, Query(limit=limit))
    assert firestore.may_be(firestore.first_page("cb", has_more=True), 3, Query(limit=2))


def test_rows_out_of_order_or_shown_twice_are_never_right() -> None:
    firestore = Firestore("abc")
    assert not firestore.may_be(firestore.first_page("bca"), 3)
    assert not firestore.may_be(firestore.first_page("cbba"), 3)


def _answered(query: Query, rows: Iterable[Version], *, has_more: bool, sent_us: int) -> Answered:
    token = b'"token"' if has_more else b"null"
    body = rendered_page(rows) + b'"next_page_token":%b}' % token
    return Answered(Question("list", query), sent_us, sent_us, 200, "HIT", 0, body=body)


def test_a_list_that_believed_a_lie_is_counted_apart_and_any_other_is_explained() -> None:
    firestore = Firestore("abcde")
    firestore.delete("d", 2_000, is_hidden=True)
    checker = Checker(firestore.history, Bounds(1, 1, 1, 1))
    query, sent_us = Query(limit=2, after=(5, "e")), 2_000 + BELIEVED_US // 2
    missing, impossible = firestore.first_page("ca"), firestore.first_page("da")
    firestore.write("e", sent_us)  # the end of what must be known
    checker.check(_answered(query, missing.rows, has_more=False, sent_us=sent_us))
    assert checker.verdicts.forbidden == 0, checker.verdicts
    checker.check(_answered(query, impossible.rows, has_more=False, sent_us=sent_us))
    assert (checker.verdicts.believed_a_lie, checker.verdicts.bound_broken) == (1, 1)
    (example,) = checker.verdicts.examples
    assert "process_id='c'" in example, "the one that should have been there is named"
