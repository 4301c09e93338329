"""Which processes a caller sees."""

import pytest

from listeners.events import Document
from listeners.times import moment
from service.api.caller import SEES_EVERYTHING, Caller
from service.model.read_model import ReadModel
from service.model.sight import Sight, fits_nothing
from service.schema.compiled import ProcessSummary, Schema
from service.schema.schema_file import Access
from tests.service.schemas import schema, with_filters, with_owner
from tests.service.scripted_firestore import Seen, document, read_model, replaced
from tests.service.virtual_time import Clock


def sight_by(name: str) -> tuple[Schema, Sight]:
    in_force = Schema(with_filters().model_copy(update={"access": Access(owner=name)}))
    return in_force, Sight(in_force)


def process(in_force: Schema, owner: object, shard: object = None) -> ProcessSummary:
    return in_force.summarize("p", 1, {"owner": owner, "place.shard": shard, "start_time": moment(0)})[0]


@pytest.mark.parametrize(
    ("value", "owner", "sees"),
    [
        ("ann", "ann", True),
        ("bob", "ann", False),
        ("Ann", "ann", False),
        (None, "ann", False),
        (7, 7, False),
        (7, "7", False),
        ("", "", False),
        (["ann"], "ann", False),
        ("\0" * 1_501, "\0" * 1_501, False),
        ("bob", None, True),
        (None, None, True),
    ],
)
def test_a_caller_sees_the_processes_that_have_its_owner(value: object, owner: str | int | None, sees: bool) -> None:
    in_force, sight = sight_by("owner")
    assert sight.shows(Caller("c", owner), process(in_force, value)) is sees


@pytest.mark.parametrize(
    ("value", "owner", "sees"),
    [(1, 1, True), (1.0, 1, True), (1, True, False), (True, 1, False), (1, "1", False), (2**63, 2**63, False)],
)
def test_whole_numbers_are_owners_too(value: object, owner: str | int, sees: bool) -> None:
    in_force, sight = sight_by("shard")
    assert sight.shows(Caller("c", owner), process(in_force, None, value)) is sees


async def test_without_owners_in_the_schema_a_caller_with_one_sees_nothing() -> None:
    sight, ann, clock = Sight(schema()), Caller("ann", "ann"), Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, document("p", 1, status="running")))
    assert list(model.walk(sight.within({}, ann))) == []
    assert not sight.shows(ann, schema().summarize("p", 1, {"owner": "ann"})[0])
    assert fits_nothing(sight.within({"status": "running"}, ann))


def test_no_process_is_seen_by_nobody() -> None:
    assert not Sight(schema()).shows(SEES_EVERYTHING, None)


def test_lists_have_the_owner_as_one_more_filter() -> None:
    sight, ann = Sight(Schema(with_owner())), Caller("ann", "ann")
    assert sight.within({"shard": 7}, ann) == {"shard": 7, "owner": "ann"}
    assert sight.within({"owner": "ann"}, ann) == {"owner": "ann"}
    assert fits_nothing(sight.within({"owner": "bob"}, ann))
    assert sight.within({"owner": "bob"}, SEES_EVERYTHING) == {"owner": "bob"}


@pytest.mark.parametrize(
    ("name", "others"), [("owner", (7, "", "a" * 1_501)), ("shard", ("7", "ann", True, 2**63, 2**64))]
)
async def test_a_walk_for_an_owner_of_another_type_finds_nothing(name: str, others: tuple[str | int, ...]) -> None:
    in_force, sight = sight_by(name)
    clock = Clock()
    model = ReadModel(window_size=0, schema=in_force, lease_s=15, clock=clock, observer=Seen())
    fields = {"owner": "ann", "place.shard": 7, "start_time": moment(0), "status": "running"}
    await model.apply(replaced(clock, 1, Document("p", 1, fields)))
    own = {"owner": "ann", "shard": 7}[name]
    assert [each.process_id for each in model.walk(sight.within({}, Caller("c", own))) if each] == ["p"]
    for owner in others:
        filters = sight.within({"status": "running"}, Caller("c", owner))
        assert fits_nothing(filters)
        assert list(model.walk(filters)) == []
