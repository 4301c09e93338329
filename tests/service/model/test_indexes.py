"""The indexes of the read model: several filters at once, what they share, and what they cost."""

import gc
import tracemalloc
from random import Random

import pytest

from listeners.events import Changed, Document
from listeners.times import moment
from service.api.list_query import Filters, ListQuery, Position
from service.model import read_model as module
from service.model.positions import FEW, PositionsByKey, descending
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


def at(position: Position, status: str | None) -> ProcessSummary:
    return ProcessSummary(position[1], 1, status, position, (), b"", (), 1)


def test_few_positions_and_many_are_walked_alike() -> None:
    rng = Random(3)
    index, expected = PositionsByKey(lambda summary: summary.status), list[Position]()
    numbers = rng.sample(range(10_000), 2 * FEW)
    for number in [*numbers, *numbers]:
        position = (number, "p")
        if position in expected:
            expected.remove(position)
            index.move(at(position, "s"), at(position, "other"))
        else:
            expected.append(position)
            index.move(None, at(position, "s"))
        if number % 9 == 0:
            least, below = sorted([rng.randrange(10_000), rng.randrange(10_000)])
            found = list(descending(index.under("s"), (least,), (below, "p")))
            assert found == sorted((each for each in expected if (least,) <= each < (below,)), reverse=True)
    assert index.under("s") == []
    assert len(index.under("other")) == 2 * FEW


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
        assert not len(index._by_key["owner"].under("ann"))


BYTES_OF_A_FILTER = 60
"""A process, where ten have the same value."""


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
