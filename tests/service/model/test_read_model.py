"""The read model: claims about trust, batches and subscribers. Its lists are in test_read_model_lists.py."""

import asyncio
from collections.abc import Coroutine
from random import Random

import pytest

from listeners.events import Changed, Confirmed, Removal, Replaced
from service.api.list_query import ListQuery
from service.model.applied import Applied
from service.model.read_model import WALKED_AT_ONCE, ReadModel
from service.runtime.slicer import ITEMS_PER_SLICE
from service.schema.compiled import ProcessSummary
from tests.service.scripted_firestore import Seen, changed, document, ids, read_model, removed, replaced
from tests.service.virtual_time import Clock


async def test_before_the_first_whole_result_nothing_is_trusted() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(changed(clock, 1, document("a", 1)))
    await model.apply(Confirmed(2, clock()))
    model.confirm(clock())
    assert (model.has_synced, model.is_trusted(), model.age_s) == (False, False, None)
    await model.apply(replaced(clock, 3, document("a", 1)))
    assert (model.has_synced, model.is_trusted(), model.age_s) == (True, True, 0.0)


async def test_the_lease_lapses_without_word_and_comes_back_with_it() -> None:
    clock = Clock()
    model = read_model(clock, lease_s=15)
    await model.apply(replaced(clock, 1, document("a", 1)))
    clock.advance(15)
    assert model.is_trusted()
    clock.advance(0.001)
    assert not model.is_trusted()
    assert model.has_synced
    await model.apply(Confirmed(2, clock()))
    assert model.is_trusted()


async def test_the_age_counts_from_what_the_event_describes_not_from_its_arrival() -> None:
    clock = Clock()
    model = read_model(clock)
    event = replaced(clock, 1, document("a", 1))
    clock.advance(7)
    await model.apply(event)
    assert model.age_s == 7
    model.confirm(clock() - 9)  # older than what is known already
    assert model.age_s == 7
    model.confirm(clock() - 2)
    assert model.age_s == 2


async def test_after_distrust_only_a_whole_result_is_believed() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, document("a", 1)))
    model.distrust()
    await model.apply(changed(clock, 2, document("a", 2)))
    await model.apply(Confirmed(3, clock()))
    model.confirm(clock())
    assert not model.is_trusted()
    await model.apply(replaced(clock, 4, document("a", 2)))
    assert model.is_trusted()


async def test_a_whole_result_announces_only_what_it_changed() -> None:
    clock, seen = Clock(), Seen()
    model = read_model(clock, seen=seen)
    await model.apply(replaced(clock, 1, document("a", 1), document("b", 1)))
    await model.apply(replaced(clock, 2, document("a", 1), document("c", 2), document("d", 2)))
    first, second = seen.batches
    assert ([s.process_id for s in first.upserts], first.removed, first.added, first.is_first_load) == (
        ["a", "b"],
        {},
        2,
        True,
    )
    assert ([s.process_id for s in second.upserts], second.removed, second.added, second.is_first_load) == (
        ["c", "d"],
        {"b": None},
        2,
        False,
    )


@pytest.mark.parametrize("others", [0, 600])
async def test_a_change_announces_what_was_added_and_whether_the_removed_are_deleted(others: int) -> None:
    clock, seen = Clock(), Seen()
    model = read_model(clock, seen=seen)
    await model.apply(replaced(clock, 1, document("a", 1), document("b", 1), document("c", 1)))
    more = [document(f"n{number:04}", 2) for number in range(others)]
    removals = (Removal("b", True), Removal("c", False), Removal("never held", None))
    await model.apply(Changed([document("a", 2), document("d", 2), *more], removals, 2, clock()))
    batch = seen.batches[-1]
    assert batch.removed == {"b": True, "c": False, "never held": None}
    assert batch.added == 1 + others
    assert len(batch.upserts) == 2 + others
    assert len(model) == 2 + others
    assert model.read_time == 2


async def test_subscribers_hear_of_a_batch_in_the_step_in_which_it_becomes_visible() -> None:
    clock = Clock()
    model = read_model(clock)
    heard: list[tuple[list[str] | None, int]] = []

    def listen(applied: Applied) -> None:
        heard.append((ids(model.rows(ListQuery(10))), model.read_time))

    model.subscribe(listen)
    await model.apply(replaced(clock, 1, document("a", 1)))
    await model.apply(removed(clock, 2, "a"))
    assert heard == [(["a"], 1), ([], 2)]


def visible(model: ReadModel) -> tuple[int, set[int], int]:
    rows = model.rows(ListQuery(5000, filters={"status": "s"})) or []
    in_list = {row.version for row in rows}
    by_id = {held.version for row in rows if (held := model.get(row.process_id))}
    return len(model), in_list | by_id, model.read_time


async def poll_during(model: ReadModel, event: Replaced | Changed) -> list[tuple[int, set[int], int]]:
    """What a reader that looks at every turn of the loop sees while the event is applied."""
    applying = asyncio.create_task(model.apply(event))
    states = [visible(model)]
    while not applying.done():
        await asyncio.sleep(0)
        states.append(visible(model))
    await applying
    return states


@pytest.mark.parametrize("kind", ["replaced", "changed"])
@pytest.mark.parametrize("size", [20, 250, 1200])
async def test_a_batch_is_visible_at_once_or_not_at_all(kind: str, size: int) -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, *[document(f"p{n}", 1, n, status="s") for n in range(size)]))
    after = [document(f"p{n}", 2, 2 * n, status="s") for n in range(size // 2)]
    if kind == "replaced":
        event: Replaced | Changed = Replaced(after, 2, clock())
    else:
        event = Changed(after, [Removal(f"p{n}", True) for n in range(size // 2, size)], 2, clock())
    states = await poll_during(model, event)
    assert states[0] == (size, {1}, 1)
    assert states[-1] == (size // 2, {2}, 2)
    assert all(state in (states[0], states[-1]) for state in states)
    assert size < 1000 or len(states) > 10  # it was sliced: readers did get their turns


async def test_an_application_that_is_cancelled_changes_nothing() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, document("a", 1, status="s")))
    applying = asyncio.create_task(
        model.apply(changed(clock, 2, *[document(f"p{n}", 2, n, status="s") for n in range(1200)]))
    )
    for _ in range(8):
        await asyncio.sleep(0)
    applying.cancel()
    await asyncio.wait([applying])
    assert visible(model) == (1, {1}, 1)


async def test_an_application_that_is_cancelled_once_it_is_visible_loses_nothing() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, document("a", 1, status="s")))
    applying = asyncio.create_task(
        model.apply(changed(clock, 2, *[document(f"p{n}", 2, n, status="s") for n in range(1200)]))
    )

    def cancel(_: Applied) -> None:
        applying.cancel()

    model.subscribe(cancel)
    await asyncio.wait([applying])
    assert visible(model) == (1201, {1, 2}, 2)
    await model.apply(removed(clock, 3, "a"))
    assert visible(model) == (1200, {2}, 3)
    await model.apply(changed(clock, 4, document("p0", 4, status="other")))
    assert visible(model) == (1200, {2}, 4)
    assert ids(model.rows(ListQuery(2, filters={"status": "other"}))) == ["p0"]


async def test_a_whole_result_makes_nothing_anew_of_what_is_held_already() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, document("a", 1), document("b", 1)))
    a, b = model.get("a"), model.get("b")
    await model.apply(replaced(clock, 2, document("a", 1), document("b", 2)))
    assert model.get("a") is a
    assert model.get("b") is not b


async def test_a_batch_costs_what_it_changes_whatever_is_held() -> None:
    turns = []
    for held in (900, 9_000):
        clock = Clock()
        model = read_model(clock)
        await model.apply(replaced(clock, 1, *[document(f"p{n}", 1, n) for n in range(held)]))
        batch = changed(clock, 2, *[document(f"p{n}", 2, 2 * n) for n in range(900)])
        turns.append(await turns_of(model.apply(batch)))
    assert turns[0] == turns[1] == 28 * 4 + 1  # decoded, indexed twice, lags told: 32 documents a turn


async def turns_of(work: Coroutine[None, None, None]) -> int:
    """How often the loop goes round until it has ended."""
    task, count = asyncio.create_task(work), 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    return count


async def test_lags_are_told_of_each_change_but_not_of_a_first_load() -> None:
    clock, seen = Clock(), Seen()
    model = read_model(clock, seen=seen)
    await model.apply(replaced(clock, 1, document("a", 1), document("b", 1)))
    assert seen.visible == []
    await model.apply(changed(clock, 2, document("a", 2)))
    await model.apply(replaced(clock, 3, document("a", 2), document("b", 3)))
    assert seen.visible == [2, 3]


async def test_malformed_fields_are_told_with_their_version() -> None:
    clock, seen = Clock(), Seen()
    model = read_model(clock, seen=seen)
    await model.apply(replaced(clock, 1, document("a", 7, status=5)))
    assert seen.malformed_fields == [("a", 7, ("status",))]


async def test_a_sample_holds_the_newest_and_others_once() -> None:
    clock = Clock()
    model = read_model(clock)
    assert model.sample(5, Random(1)) == []
    assert (model.newest(), model.lists_nothing) == (None, True)
    await model.apply(replaced(clock, 1, *[document(f"p{n}", 1, n) for n in range(50)], document("untyped", 1, None)))
    drawn: set[str] = set()
    for seed in range(50):
        sample = ids(model.sample(5, Random(seed)))
        assert sample is not None
        assert sample[0] == "p49"
        assert len(sample) == len(set(sample)) <= 5
        drawn.update(sample)
    assert len(drawn) > 30
    assert "untyped" not in drawn


async def test_only_a_window_without_limit_holds_everything() -> None:
    clock = Clock()
    assert read_model(clock, window_size=0).holds_everything
    assert not read_model(clock, window_size=100).holds_everything


def walked(model: ReadModel, status: str | None = None) -> list[str]:
    return [
        summary.process_id
        for summary in model.walk({} if status is None else {"status": status})
        if summary is not None
    ]


async def test_a_walk_comes_past_every_process_the_newest_first_and_those_of_no_list_at_the_end() -> None:
    clock = Clock()
    model = read_model(clock)
    listed = [document(f"p{number:04}", 1, number, status=f"s{number % 2}") for number in range(500)]
    unlisted = [document(f"u{number:04}", 1, None, status=f"s{number % 2}") for number in range(250)]
    await model.apply(replaced(clock, 1, *listed, *unlisted))
    newest_first = [f"p{number:04}" for number in reversed(range(500))]
    assert walked(model) == newest_first + [f"u{number:04}" for number in range(250)]
    assert walked(model, "s1") == newest_first[::2] + [f"u{number:04}" for number in range(1, 250, 2)]
    assert walked(model, "none") == []


async def test_what_changes_during_a_walk_hides_nothing_that_does_not() -> None:
    clock, rng = Clock(), Random(5)
    model = read_model(clock)
    starts = {f"p{number:04}": number for number in range(2_000)}
    await model.apply(replaced(clock, 1, *(document(id_, 1, start) for id_, start in starts.items())))
    still, seen, version = set(starts), list[str](), 1
    for number, summary in enumerate(model.walk({})):
        assert summary is not None
        seen.append(summary.process_id)
        if number % 20 == 0:
            version += 1
            moved, gone = rng.sample(sorted(starts), 2)
            await model.apply(changed(clock, version, document(moved, version, rng.randrange(4_000))))
            await model.apply(removed(clock, version, gone))
            del starts[gone]
            still -= {moved, gone}
    assert len(still) > 1_500
    assert [seen.count(id_) for id_ in still] == [1] * len(still)


async def test_a_step_of_a_walk_costs_the_same_whatever_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, *(document(f"p{number:05}", 1, number) for number in range(5_000))))
    looked_up = list[object]()

    class Watched(dict[str, ProcessSummary]):
        def __getitem__(self, key: str) -> ProcessSummary:
            looked_up.append(key)
            return super().__getitem__(key)

    model._index.by_id = Watched(model._index.by_id)
    monkeypatch.delattr(ReadModel, "held")  # which is all of it at once
    walk = model.walk({})
    for steps in range(1, 1_000):
        next(walk)
        assert len(looked_up) < steps + WALKED_AT_ONCE


async def test_a_batch_says_what_status_each_process_had_before() -> None:
    clock, seen = Clock(), Seen()
    model = read_model(clock, seen=seen)
    await model.apply(replaced(clock, 1, document("a", 1, status="running"), document("b", 1, status="failed")))
    await model.apply(changed(clock, 2, document("a", 2, status="done"), document("c", 2, status="running")))
    await model.apply(removed(clock, 3, "b"))
    assert [batch.status_before for batch in seen.batches] == [{}, {"a": "running"}, {"b": "failed"}]
    assert [batch.added for batch in seen.batches] == [2, 1, 0]


async def test_what_a_whole_result_took_to_compare_is_let_go_of_in_slices() -> None:
    clock = Clock()
    model = read_model(clock)
    await model.apply(replaced(clock, 1, *(document(f"p{number}", 1) for number in range(10 * ITEMS_PER_SLICE))))
    again = replaced(clock, 2, *(document(f"p{number}", 1) for number in range(10 * ITEMS_PER_SLICE)))
    applying, turns = asyncio.create_task(model.apply(again)), 0
    while not applying.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 40  # IDs taken, versions compared, what vanished looked for, IDs let go of
