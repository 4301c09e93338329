"""A target's consumer is told the difference between two consistent points; that costs the same whatever is held."""

import random

import pytest

from listeners.events import Changed, Document, Event, Removal, Replaced
from listeners.stream.target_result import SLICE, TargetResult

IDS = [f"p{number}" for number in range(12)]


def document(document_id: str, version: int) -> Document:
    return Document(document_id, version, {})


def told(result: TargetResult) -> Event:
    """The consistent point, and that it is taken."""
    event = result.difference().event(1, 0.0)
    result.take()
    return event


def holding(count: int) -> TargetResult:
    """A result of so many documents, of version 1, taken."""
    result = TargetResult()
    for number in range(count):
        result.upsert(document(f"p{number}", 1))
    told(result)
    return result


class Firestore:
    """Tells a result as Listen does, and a consumer that does what it is told."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.result = TargetResult()
        self.there: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.untold: set[str] = set()
        self.is_in_round = False
        self.clock = 0

    def change(self, document_id: str) -> None:
        self.clock += 1
        self.there[document_id] = self.clock
        self.tell(document_id)

    def tell(self, document_id: str) -> None:
        """As the protocol takes what Firestore sends, for the first time or again."""
        self.untold.discard(document_id)
        if document_id not in self.there:
            return
        version = self.there[document_id]
        if self.result.version_of(document_id) == version:
            self.result.keep(document_id)
        else:
            self.result.upsert(document(document_id, version))

    def remove(self, document_id: str) -> None:
        self.there.pop(document_id, None)
        self.untold.discard(document_id)
        self.result.remove(document_id, deleted=True)

    def reset(self, _: str) -> None:
        self.result.reset()
        self.untold, self.is_in_round = set(self.there), True

    def forget(self, _: str) -> None:
        self.result.forget()
        self.held = {}
        self.untold, self.is_in_round = set(self.there), True

    def cut(self, _: str) -> None:
        """A stream that will be resumed: never while everything is told again."""
        if not self.is_in_round:
            self.result.drop_pending()
            self.there = dict(self.held)

    def point(self, _: str) -> None:
        for missing in sorted(self.untold):
            if self.rng.random() < 0.3:
                del self.there[missing]  # it was deleted while nobody listened
            self.tell(missing)
        self.is_in_round = False
        assert len(self.result) == len(self.there)
        self.apply(told(self.result))
        assert self.held == self.there

    def apply(self, event: Event) -> None:
        if isinstance(event, Replaced):
            assert len({each.id for each in event.documents}) == len(event.documents), "an ID comes once"
            self.held = {each.id: each.update_time for each in event.documents}
        elif isinstance(event, Changed):
            removed, changed = {each.id for each in event.removals}, {each.id for each in event.upserts}
            assert len(removed | changed) == len(event.removals) + len(event.upserts), "an ID comes once in both"
            assert removed <= set(self.held), "what was not held needs no removal"
            self.held = {id_: version for id_, version in self.held.items() if id_ not in removed}
            self.held |= {each.id: each.update_time for each in event.upserts}


@pytest.mark.parametrize("seed", range(300))
def test_whoever_does_what_is_told_holds_what_firestore_holds(seed: int) -> None:
    rng = random.Random(seed)
    firestore = Firestore(rng)
    acts = {"change": 40, "remove": 20, "tell": 15, "point": 15, "reset": 4, "cut": 3, "forget": 2}
    for _ in range(rng.randrange(5, 120)):
        (act,) = rng.choices(list(acts), list(acts.values()))
        getattr(firestore, act)(rng.choice(IDS))


def test_what_has_not_come_again_is_swept_a_part_at_a_step() -> None:
    result = holding(10_000)
    result.reset()
    result.keep("p0")
    difference = result.difference()
    swept = [len(difference.removals) for _ in difference.slices()]
    each = [after - before for before, after in zip([0, *swept], swept, strict=False)]
    assert len(each) == 64
    assert max(each) < 400
    event = difference.event(1, 0.0)
    assert isinstance(event, Changed)
    assert len(event.removals) == 9_999


def test_of_a_large_load_the_last_version_of_each_is_found_a_slice_at_a_step() -> None:
    result = TargetResult()
    for number in range(10 * SLICE):
        result.upsert(document(f"p{number}", 1))
    result.upsert(document("p7", 2))
    result.remove("p8", deleted=True)
    difference = result.difference()
    assert len(list(difference.slices())) == 10
    event = difference.event(1, 0.0)
    assert isinstance(event, Replaced)
    assert len(event.documents) == 10 * SLICE - 1
    assert event.documents[-1] == document("p7", 2)


def test_a_difference_of_what_came_once_needs_no_step() -> None:
    result = holding(100)
    result.upsert(document("p1", 2))
    difference = result.difference()
    assert list(difference.slices()) == []
    assert difference.event(1, 0.0) == Changed([document("p1", 2)], [], 1, 0.0)


def test_no_table_grows_or_is_copied_as_a_whole() -> None:
    result = holding(20_000)
    tables = [len(part) for part in result._versions._parts.values()]
    assert sum(tables) == 20_000
    assert max(tables) < 500
    result.reset()
    result.keep("p0")
    assert result._versions._unsent is not None
    assert sum(map(len, result._versions._unsent.values())) < 500


def test_steps_of_what_was_forgotten_touch_nothing_that_is_told_after() -> None:
    result = holding(1_000)
    result.reset()
    steps = result.difference().slices()
    next(steps)
    result.forget()
    result.reset()
    anew = [document(f"p{number}", 5) for number in range(300)]
    for each in anew:
        result.upsert(each)
    list(steps)
    assert len(result) == 300
    assert [result.version_of(each.id) for each in anew] == [5] * 300
    assert told(result) == Replaced(anew, 1, 0.0)


def test_steps_that_begin_when_all_is_told_again_drop_nothing_of_it() -> None:
    result = holding(300)
    result.reset()
    result.keep("p0")
    late = result.difference().slices()
    result.reset()
    list(late)
    event = told(result)
    assert isinstance(event, Changed)
    assert len(event.removals) == 300


def test_a_document_that_leaves_and_comes_back_as_it_was_is_no_change() -> None:
    result = holding(2)
    result.remove("p1", deleted=False)
    result.upsert(document("p1", 1))
    event = told(result)
    assert not isinstance(event, (Changed, Replaced))


def test_the_last_word_on_a_removal_counts() -> None:
    result = holding(1)
    result.remove("p0", deleted=False)
    result.remove("p0", deleted=True)
    assert told(result) == Changed([], [Removal("p0", True)], 1, 0.0)
