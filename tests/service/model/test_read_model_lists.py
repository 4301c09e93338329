"""Lists of the read model against the whole collection: exactly Firestore's answer, or None (invariant 2)."""

from random import Random
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from listeners.events import Changed, Document, Removal, Replaced
from listeners.times import moment
from service.api.list_query import ListQuery
from service.model.read_model import ReadModel
from service.runtime import slicer as module
from service.schema.compiled import Schema
from tests.service.model.witness import Witness
from tests.service.schemas import with_filters
from tests.service.scripted_firestore import Seen, document, ids, read_model, replaced
from tests.service.virtual_time import Clock

Type = Literal["timestamp", "string"]
STATUSES = ["running", "done", "", None, 5, ...]
PATHS = {"status": "status", "owner": "owner", "shard": "place.shard"}
FILTERS: list[tuple[str, str | int]] = [
    ("status", "running"),
    ("status", "nobody"),
    ("owner", "ann"),
    ("owner", "bob"),
    ("shard", 1),
    ("shard", 3),
]


def _has(value: object, wanted: str | int) -> bool:
    """Firestore's equality: by type, but for numbers, which are one."""
    if isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    return isinstance(value, int | float) and not isinstance(value, bool) and value == wanted


class Collection:
    """All of Firestore's documents, the listener's result on them, and lists worked out the slow way."""

    def __init__(self, rng: Random, start_time_type: Type, window_size: int) -> None:
        self.rng = rng
        self.type = start_time_type
        self.size = window_size
        self.documents: dict[str, Document] = {}
        self.told: dict[str, Document] = {}
        self.time = 0

    def write_some(self, count: int) -> None:
        for _ in range(count):
            self.time += 1
            process_id = f"p{self.rng.randrange(60)}"
            if self.rng.random() < 0.25:
                self.documents.pop(process_id, None)
            else:
                self.documents[process_id] = Document(process_id, self.time, self.fields())

    def fields(self) -> dict[str, object]:
        day = self.rng.randrange(12)
        right: object = moment(day) if self.type == "timestamp" else f"2026-{day:02}"
        odd: list[object] = [None, 7, True, "soon" if self.type == "timestamp" else moment(day), [1], ...]
        start = right if self.rng.random() < 0.8 else self.rng.choice(odd)
        fields = {"start_time": start, "status": self.rng.choice(STATUSES)}
        fields["owner"] = self.rng.choice(["ann", "ann", "Ann", "bob", "", None, 1, b"ann", ["ann"], ...])
        fields["place.shard"] = self.rng.choice([1, 1.0, 2, 1.5, float("nan"), True, "1", None, [1], ...])
        return {name: value for name, value in fields.items() if value is not ...}

    def key(self, found: Document) -> tuple[Any, str] | None:
        start = found.fields.get("start_time")
        if self.type == "string":
            return (start, found.id) if isinstance(start, str) else None
        return (int(start.timestamp() * 1e6 + 0.5), found.id) if hasattr(start, "timestamp") else None

    def listed(self) -> list[tuple[tuple[Any, str], Document]]:
        found = [(key, each) for each in self.documents.values() if (key := self.key(each))]
        return sorted(found, key=lambda pair: pair[0], reverse=True)

    def result(self) -> dict[str, Document]:
        if not self.size:
            return dict(self.documents)
        return {each.id: each for _, each in self.listed()[: self.size]}

    def event(self, now: float) -> Replaced | Changed:
        """What the listener says next: the difference, or the whole again."""
        before, self.told = self.told, self.result()
        if not before or self.rng.random() < 0.2:
            documents = list(self.told.values())
            self.rng.shuffle(documents)
            return Replaced(documents, self.time, now)
        upserts = [each for each in self.told.values() if before.get(each.id) is not each]
        gone = [Removal(id_, id_ not in self.documents) for id_ in before if id_ not in self.told]
        return Changed(upserts, gone, self.time, now)

    def list(self, query: ListQuery) -> list[str]:
        def fits(key: tuple[Any, str], found: Document) -> bool:
            return (
                all(_has(found.fields.get(PATHS[name]), wanted) for name, wanted in query.filters.items())
                and (query.lower is None or key[0] >= query.lower)
                and (query.upper is None or key[0] < query.upper or (query.upper_inclusive and key[0] == query.upper))
                and (query.after is None or key < query.after)
            )

        return [each.id for key, each in self.listed() if fits(key, each)][: query.limit]

    def some_query(self) -> ListQuery:
        def bound() -> Any:
            day = self.rng.randrange(-1, 13)
            return self.rng.choice([None, day if self.type == "timestamp" else f"2026-{max(day, 0):02}"])

        cursor = bound()
        return ListQuery(
            limit=self.rng.choice([1, 2, 5, 20, 1001]),
            filters=dict(self.rng.sample(FILTERS, self.rng.choice([0, 0, 0, 1, 1, 1, 2, 3]))),
            lower=bound(),
            upper=bound(),
            upper_inclusive=self.rng.random() < 0.5,
            after=None if cursor is None else (cursor, f"p{self.rng.randrange(60)}"),
        )


def check(model: ReadModel, collection: Collection) -> int:
    """Ask many lists; returns how many were proven."""
    proven = 0
    covers_all = not collection.size or len(collection.listed()) < collection.size
    for _ in range(25):
        query = collection.some_query()
        rows = ids(model.rows(query))
        assert rows is not None or not covers_all, query
        if rows is not None:
            assert rows == collection.list(query), query
            proven += 1
    return proven


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    start_time_type=st.sampled_from(["timestamp", "string"]),
    window_size=st.sampled_from([0, 1, 5, 20, 1000]),
)
@example(seed=1, start_time_type="string", window_size=5)
@example(seed=1, start_time_type="timestamp", window_size=0)
@pytest.mark.thorough
async def test_rows_are_firestores_or_none_after_any_sequence_of_events(
    seed: int, start_time_type: Type, window_size: int
) -> None:
    rng, clock = Random(seed), Clock()
    collection = Collection(rng, start_time_type, window_size)
    witness = Witness(with_filters(start_time_type))
    model = ReadModel(window_size=window_size, schema=witness, lease_s=15, clock=clock, observer=Seen())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ITEMS_PER_SLICE", 3)
        for size in (40, 3, 10, 1, 60, 2):
            collection.write_some(size)
            await model.apply(collection.event(clock()))
            assert len(model) == len(collection.told)
            assert {each.id: each.update_time for each in collection.told.values()} == {
                id_: held.version for id_ in collection.documents if (held := model.get(id_))
            }
            check(model, collection)
    assert witness.finds_everything_as_it_was()


async def test_a_window_smaller_than_the_collection_still_proves_most_lists() -> None:
    rng, clock = Random(5), Clock()
    collection = Collection(rng, "timestamp", 20)
    model = ReadModel(window_size=20, schema=Schema(with_filters()), lease_s=15, clock=clock, observer=Seen())
    proven = 0
    for _ in range(20):
        collection.write_some(60)
        await model.apply(collection.event(clock()))
        proven += check(model, collection)
    assert proven > 200  # of 500


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (ListQuery(2), ["e", "d"]),
        (ListQuery(3), ["e", "d", "c"]),
        (ListQuery(4), None),  # b, or another, may follow outside the window
        (ListQuery(9, lower=3), None),  # c is the last held, and one of the same start_time may follow it
        (ListQuery(9, lower=4), ["e", "d"]),
        (ListQuery(9, lower=6), []),
        (ListQuery(1, upper=2), None),
        (ListQuery(1, filters={"status": "s"}), ["d"]),
        (ListQuery(2, filters={"status": "s"}), None),
        (ListQuery(9, filters={"status": "s"}, lower=4), ["d"]),
        (ListQuery(1, after=(4, "d")), ["c"]),
        (ListQuery(1, after=(3, "c")), None),
    ],
)
async def test_a_full_window_proves_only_what_lies_above_its_end(query: ListQuery, rows: list[str] | None) -> None:
    clock = Clock()
    model = read_model(clock, window_size=3)
    window = [document("e", 1, 5), document("d", 1, 4, status="s"), document("c", 1, 3)]
    await model.apply(replaced(clock, 1, *window))
    assert ids(model.rows(query)) == rows


async def test_a_window_that_is_not_full_proves_every_list() -> None:
    clock = Clock()
    model = read_model(clock, window_size=3)
    await model.apply(replaced(clock, 1, document("e", 1, 5), document("d", 1, 4)))
    assert ids(model.rows(ListQuery(9))) == ["e", "d"]
    assert ids(model.rows(ListQuery(9, upper=3))) == []


async def test_ties_run_by_process_id_descending() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(
        replaced(clock, 1, *[document(id_, 1, 5) for id_ in ("b", "é", "a", "Z", "\U0001f600", "\uffee")])
    )
    assert ids(model.rows(ListQuery(9))) == ["\U0001f600", "\uffee", "é", "b", "a", "Z"]
