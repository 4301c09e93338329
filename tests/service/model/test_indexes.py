"""The indexes of the read model: several filters at once, what they share, and what they cost."""

import gc
import tracemalloc
from random import Random

import pytest

from listeners.events import Changed, Document
from listeners.times import moment
from service.api.list_query import Filters, ListQuery, process_id_at
from service.model import positions as positions_module
from service.model import read_model as module
from service.model.indexes import indexes_of
from service.model.positions import PositionsByKey, about, descending, first
from service.model.process_index import ProcessIndex
from service.model.read_model import ReadModel
from service.schema.compiled import ProcessSummary, Schema
from service.schema.schema_file import SchemaFile
from tests.service.schemas import with_filters
from tests.service.scripted_firestore import Seen, changed, ids, removed, replaced
from tests.service.test_memory import Nobody
from tests.service.virtual_time import Clock


def document(number: int, version: int = 1, **fields: object) -> Document:
    return Document(f"p{number:05}", version, {"start_time": moment(number * 1_000_000), **fields})


def filtering_model(clock: Clock) -> ReadModel:
    return ReadModel(window_size=0, schema=Schema(with_filters()), lease_s=15, clock=clock, observer=Seen())


def at(number: int, status: str | None) -> ProcessSummary:
    return ProcessSummary(f"p{number}", 1, status, (number // 3, f"p{number}"), (), b"", (), 1)


@pytest.mark.parametrize("keys", [1, 3, 40, 2000])
def test_positions_under_keys_are_those_of_a_sorted_list_per_key(keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions_module, "CHUNK", 16)
    rng, held = Random(keys), dict[str, ProcessSummary]()
    index = PositionsByKey(lambda summary: summary.status, held)
    for turn in range(3_000):
        number = rng.randrange(800)
        before = held.get(f"p{number}")
        if before is not None:
            index.remove(before)
            del held[before.process_id]
        if before is None or rng.random() < 0.5:
            summary = at(number, f"k{rng.randrange(keys)}")
            held[summary.process_id] = summary
            index.add(summary)
        if turn % 50 == 0:
            key = f"k{rng.randrange(keys)}"
            expected = sorted(each.position for each in held.values() if each.status == key and each.position)
            least, below = sorted([rng.randrange(300), rng.randrange(300)])
            within = [each for each in expected if (least,) <= each < (below, "p5")]
            assert list(descending(index.under(key))) == expected[::-1]
            assert list(descending(index.under(key), (least,), (below, "p5"))) == within[::-1]
            assert first(index.under(key)) == (expected[0] if expected else None)
            assert about(index.under(key)) in range(len(expected) // 2, 2 * len(expected) + 1)
    for summary in held.values():
        index.remove(summary)
    assert not index._chunks


def filled(count: int, keys: int, held: dict[str, ProcessSummary]) -> PositionsByKey:
    """An index of so many processes under so many keys."""
    index = PositionsByKey(lambda summary: summary.status, held)
    for number in range(count):
        summary = held[f"p{number}"] = at(number, f"k{number % keys}")
        index.add(summary)
    return index


def test_chunks_are_short_of_one_key_and_few_again_when_positions_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions_module, "CHUNK", 16)
    held = dict[str, ProcessSummary]()
    for count in (17, 400):
        index = filled(count, 2, held)
        assert max(map(len, index._chunks)) <= 16
        assert [chunk for chunk in index._chunks if len({held[process_id_at(each)].status for each in chunk}) > 1] == []
    for number in range(400):
        if number % 50:
            index.remove(held[f"p{number}"])
    assert len(list(descending(index.under("k0")))) == 8
    assert len(index._chunks) <= 3


def test_a_process_that_moves_into_a_full_chunk_is_under_its_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions_module, "CHUNK", 2)
    rng, statuses = Random(5), dict[str, str]()
    index = filtering_model(Clock())._index
    for turn in range(2_000):
        number, status = rng.randrange(40), f"k{rng.randrange(4)}"
        summary = ProcessSummary(f"p{number}", turn, status, (number, f"p{number}"), (None, None), b"{}", (), turn)
        index.put(summary)
        statuses[summary.process_id] = status
        expected = {id_ for id_, each in statuses.items() if each == status}
        assert set(listed_in(index, {"status": status})) == expected


class Watched(dict[str, ProcessSummary]):
    """Counts how often a process is looked at."""

    looked_at = 0

    def __getitem__(self, key: str) -> ProcessSummary:
        self.looked_at += 1
        return super().__getitem__(key)


def test_a_chunk_of_one_key_is_searched_by_its_positions_alone() -> None:
    held = Watched()
    index = filled(200, 1, held)
    held.looked_at = 0
    assert len(list(descending(index.under("k0"), (10,), (20,)))) == 30
    assert held.looked_at == 2  # one at each end: a search by keys would look at eight


def test_how_many_are_under_a_key_is_said_without_going_through_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions_module, "CHUNK", 16)
    index = filled(800, 2, {})
    few = filled(100, 2, {})
    assert about(few.under("k0")) == 50
    monkeypatch.delattr(PositionsByKey, "chunks")
    assert 200 <= about(index.under("k0")) <= 800


async def test_several_filters_are_walked_from_the_fewest(monkeypatch: pytest.MonkeyPatch) -> None:
    model = filtering_model(clock := Clock())
    documents = [
        document(number, status="running" if number % 2 else "done", owner=f"u{number % 97}") for number in range(970)
    ]
    await model.apply(replaced(clock, 1, *documents))
    expected = [each.id for each in reversed(documents) if each.fields["owner"] == "u3"]
    monkeypatch.setattr(module, "MOST_IN_VAIN", 5)  # five of the ten processes of u3 are not running
    assert ids(model.rows(ListQuery(10, filters={"owner": "u3"}))) == expected
    assert ids(model.rows(ListQuery(10, filters={"status": "running", "owner": "u3"}))) == expected[1::2]
    assert ids(model.rows(ListQuery(10, filters={"owner": "u3", "status": "nobody"}))) == []
    assert model.rows(ListQuery(10, filters={"owner": "u3", "status": "done"})) is not None
    monkeypatch.setattr(module, "MOST_IN_VAIN", 4)
    assert model.rows(ListQuery(10, filters={"status": "running", "owner": "u3"})) is None  # Firestore's to say
    assert ids(model.rows(ListQuery(3, filters={"status": "running", "owner": "u3"}))) == expected[1::2][:3]


async def test_walks_take_any_filters() -> None:
    model = filtering_model(clock := Clock())
    listed = [document(number, status=f"s{number % 2}", owner=f"u{number % 3}") for number in range(600)]
    unlisted = [Document(f"u{number:04}", 1, {"status": "s1", "owner": f"u{number % 3}"}) for number in range(300)]
    await model.apply(replaced(clock, 1, *listed, *unlisted))

    def walked(filters: Filters) -> list[str]:
        return [summary.process_id for summary in model.walk(filters) if summary is not None]

    newest_first = [f"p{number:05}" for number in reversed(range(600))]
    assert walked({"owner": "u2"}) == newest_first[::3] + [f"u{number:04}" for number in range(2, 300, 3)]
    assert walked({"owner": "u2", "status": "s1"}) == newest_first[::6] + [
        f"u{number:04}" for number in range(2, 300, 3)
    ]
    assert walked({"owner": "u2", "status": "s9"}) == []


async def test_a_version_takes_over_what_it_has_in_common_with_the_one_before() -> None:
    model = filtering_model(clock := Clock())
    for version in (1, 2):
        fields = {"status": "".join(["run", "ning"]), "owner": "".join(["a", "nn"]), "place.shard": 2**40}
        await model.apply(
            changed(clock, version, Document("".join(["p", "1"]), version, {"start_time": moment(5), **fields}))
        )
        if version == 1:
            first = model.get("p1")
    second = model.get("p1")
    assert first is not None
    assert second is not None
    assert (first.version, second.version) == (1, 2)
    for name in ("process_id", "status", "position", "filters"):
        assert getattr(first, name) is getattr(second, name), name


def listed_in(index: ProcessIndex, filters: Filters) -> list[str | None]:
    return [None if summary is None else summary.process_id for _, summary in index.listed(filters)]


async def test_both_copies_have_every_index_after_any_change() -> None:
    model = filtering_model(clock := Clock())
    await model.apply(replaced(clock, 1, document(1, owner="ann"), document(2, owner="ann"), document(3, owner="bob")))
    await model.apply(changed(clock, 2, document(1, 2, owner="bob"), document(2, 2)))
    await model.apply(removed(clock, 3, "p00003"))
    for index in (model._index, model._spare):
        assert index is not None
        assert listed_in(index, {"owner": "ann"}) == []
        assert listed_in(index, {"owner": "bob"}) == ["p00001"]
        assert first(index._by_key["owner"].under("ann")) is None


BYTES_OF_A_FILTER = 60
"""A process, whether few owners have very many or very many have a few."""


async def held_bytes(file: SchemaFile) -> float:
    """What a process costs after a load and a new version of each, everything that is made once being there already."""
    count = 3_000
    model = ReadModel(window_size=0, schema=Schema(file), lease_s=15, clock=Clock(), observer=Nobody())

    async def hears_all(numbers: range, version: int) -> None:
        owned = [document(n, version, status="running", owner=f"user-{n // 10:020}") for n in numbers]
        await model.apply(Changed(owned, (), version, 0))

    await hears_all(range(count, count + 100), 1)
    gc.collect()
    tracemalloc.start()
    try:
        await hears_all(range(count), 1)
        await hears_all(range(count), 2)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
async def test_a_filter_costs_at_most_60_bytes_a_process() -> None:
    file = with_filters()
    without = await held_bytes(file.model_copy(update={"filters": {}}))
    with_one = await held_bytes(file.model_copy(update={"filters": {"owner": file.filters["owner"]}}))
    assert 20 < with_one - without <= BYTES_OF_A_FILTER


def bytes_of_a_filter(owners: int) -> float:
    """What the values of 8,000 processes take, and their places in the indexes of both copies."""
    file = with_filters()
    schema = Schema(file.model_copy(update={"filters": {"owner": file.filters["owner"]}}))
    key_of = indexes_of(schema.filter_names)["owner"]
    held = {summary.process_id: summary for summary in (at(number, "running") for number in range(8_000))}
    copies = [PositionsByKey(key_of, held), PositionsByKey(key_of, held)]
    gc.collect()
    tracemalloc.start()
    try:
        for number, summary in enumerate(held.values()):
            summary.filters = schema._filter_values({"owner": f"user-{number % owners:020}"}, None)
            for index in copies:
                index.add(summary)
        return tracemalloc.get_traced_memory()[0] / len(held)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("owners", [2, 2_000])
def test_a_filter_costs_at_most_60_bytes_however_many_owners_there_are(owners: int) -> None:
    assert bytes_of_a_filter(owners) <= BYTES_OF_A_FILTER
