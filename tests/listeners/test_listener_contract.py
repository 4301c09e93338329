"""What every listener guarantees, on every server."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from listeners.events import Changed, Event, Replaced
from listeners.listener import ListenerFailure
from listeners.on_snapshot.watch import Connection
from listeners.window import OrderType
from tests.listeners.both_listeners import LISTENERS, MakeListener, at, commit, job, on_snapshot, window_of
from tests.listeners.listening import Consumer, CountingObserver, failure_of, listening
from tests.waiting import until


@pytest.fixture(params=LISTENERS)
def make_listener(request: pytest.FixtureRequest) -> MakeListener:
    return LISTENERS[request.param]


def changed(event: Event) -> tuple[set[str], set[str]]:
    """The IDs that a Changed brings and takes."""
    assert isinstance(event, Changed)
    return {document.id for document in event.upserts}, {removal.id for removal in event.removals}


async def test_the_first_event_is_a_replaced_with_exactly_the_window(jobs: Any, make_listener: MakeListener) -> None:
    commit(jobs, {f"job-{second}": job(second) for second in range(5)})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs)), consumer):
        first, *_ = await consumer.until_news(1)
    assert isinstance(first, Replaced)
    assert {document.id for document in first.documents} == {"job-2", "job-3", "job-4"}
    assert consumer.opened == [0]


async def test_probes_keep_a_silent_watch_alive(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still until a probe is answered: thirty intervals of it take no longer than the answers do."""
    consumer, observer, probe, probes = Consumer(), CountingObserver(), Connection.probe, 0

    def counted(connection: Connection) -> None:
        nonlocal probes
        probes += 1
        probe(connection)

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)
        await until(lambda: len(consumer.events) > probes, "an answer")

    monkeypatch.setattr(Connection, "probe", counted)
    commit(jobs, {"job-1": job(1)})
    async with listening(on_snapshot(window_of(jobs), observer, sleep=sleep), consumer) as run:
        await until(lambda: probes >= 30 or run.done(), "thirty probes")
        commit(jobs, {"job-2": job(2)})
        await consumer.until_holds("job-1", "job-2")
        assert not run.done()
    assert [type(event) for event in consumer.news] == [Replaced, Changed]
    assert observer.documents >= 2 + 29  # each probe is one billed read


async def test_an_empty_collection_is_an_empty_replaced(jobs: Any, make_listener: MakeListener) -> None:
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs)), consumer):
        first, *_ = await consumer.until_news(1)
    assert isinstance(first, Replaced)
    assert list(first.documents) == []


async def test_a_document_has_the_fields_asked_for_and_the_time_of_its_write(
    jobs: Any, make_listener: MakeListener
) -> None:
    [update_time] = commit(jobs, {"job": job(7, "done")})
    commit(jobs, {"bare": {"start_time": at(8), "status": {"a": ["map"]}}})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs)), consumer):
        await consumer.until_holds("job", "bare")
    held = consumer.held["job"]
    assert held.update_time == update_time
    assert held.fields == {"status": "done", "start_time": datetime(2024, 5, 1, 12, 0, 7, tzinfo=UTC)}
    assert type(held.fields["start_time"]) is datetime
    odd = consumer.held["bare"].fields["status"]
    assert not isinstance(odd, None | bool | int | float | str | bytes | datetime)


async def test_a_commit_of_several_documents_is_one_event(jobs: Any, make_listener: MakeListener) -> None:
    commit(jobs, {"a": job(1), "b": job(2), "c": job(3)})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs)), consumer):
        await consumer.until_news(1)
        times = commit(jobs, {"a": job(4, "done"), "b": None, "d": job(5), "c": job(6, "failed")})
        _, event, *more = await consumer.until_news(2)
    assert changed(event) == ({"a", "c", "d"}, {"b"})
    assert more == []
    assert event.read_time >= max(times)
    assert consumer.statuses() == {"a": "done", "c": "failed", "d": "running"}


async def test_documents_that_did_not_change_are_not_told_again(jobs: Any, make_listener: MakeListener) -> None:
    commit(jobs, {"a": job(1), "b": job(2)})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs)), consumer):
        await consumer.until_news(1)
        commit(jobs, {"a": job(1, "done")})
        _, event, *_ = await consumer.until_news(2)
    assert changed(event) == ({"a"}, set())


async def test_a_deletion_is_a_removal(jobs: Any, make_listener: MakeListener) -> None:
    commit(jobs, {"a": job(1), "b": job(2)})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs)), consumer):
        await consumer.until_news(1)
        commit(jobs, {"a": None})
        _, event, *_ = await consumer.until_news(2)
    assert changed(event) == (set(), {"a"})
    assert isinstance(event, Changed)
    assert event.removals[0].deleted in (True, None)


async def test_the_window_shifts_with_what_is_newest(jobs: Any, make_listener: MakeListener) -> None:
    commit(jobs, {"a": job(1), "b": job(2), "c": job(3)})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs, size=2)), consumer):
        await consumer.until_holds("b", "c")
        commit(jobs, {"d": job(4)})
        await consumer.until_holds("c", "d")
        commit(jobs, {"d": None})
        await consumer.until_holds("b", "c")
    assert len(consumer.news) == 3


async def test_ties_in_start_time_go_to_the_greater_id(jobs: Any, make_listener: MakeListener) -> None:
    commit(jobs, {"a": job(1), "c": job(1), "b": job(1)})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs, size=2)), consumer):
        await consumer.until_holds("b", "c")


OTHERS: dict[OrderType, dict[str, dict[str, object] | None]] = {
    "timestamp": {"text": {"start_time": "2030-01-01T00:00:00Z"}},
    "string": {"moment": {"start_time": datetime(2030, 1, 1, tzinfo=UTC)}},
}
OF_TYPE: dict[OrderType, list[dict[str, object]]] = {
    "timestamp": [job(1), job(2)],
    "string": [{"start_time": ""}, {"start_time": "2024-05-01T12:00:02Z"}],
}


@pytest.mark.parametrize("start_time_type", ["timestamp", "string"])
async def test_documents_of_other_start_time_types_never_appear(
    jobs: Any, make_listener: MakeListener, start_time_type: OrderType
) -> None:
    others = OTHERS[start_time_type] | {"none": {"start_time": None}, "number": {"start_time": 5}, "absent": {"a": 1}}
    first, second = OF_TYPE[start_time_type]
    commit(jobs, {"first": first, **others})
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs, size=9, start_time_type=start_time_type)), consumer):
        await consumer.until_holds("first")
        commit(jobs, {f"more-{name}": fields for name, fields in others.items()})
        commit(jobs, {"second": second})
        await consumer.until_holds("first", "second")
        commit(jobs, {"first": {"start_time": 5.5}})
        await consumer.until_holds("second")
    assert len(consumer.news) == 3


async def test_a_window_of_size_zero_holds_the_whole_collection(jobs: Any, make_listener: MakeListener) -> None:
    commit(
        jobs, {"text": {"start_time": "x"}, "moment": job(1), "absent": {"status": "new"}, "map": {"start_time": {}}}
    )
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs, size=0)), consumer):
        await consumer.until_holds("text", "moment", "absent", "map")
        commit(jobs, {"absent": {"status": "newer"}})
        await until(lambda: consumer.statuses()["absent"] == "newer", "the change")


async def test_other_collections_and_subcollections_are_not_heard(jobs: Any, make_listener: MakeListener) -> None:
    consumer = Consumer()
    async with listening(make_listener(window_of(jobs, size=0)), consumer):
        await consumer.until_news(1)
        jobs._client.document("others/a").set(job(1))
        jobs.document("a").collection("jobs").document("b").set(job(2))
        commit(jobs, {"c": job(3)})
        await consumer.until_holds("c")
    assert len(consumer.news) == 2


async def test_what_happened_between_two_runs_is_there_after_the_second_began(
    jobs: Any, make_listener: MakeListener
) -> None:
    commit(jobs, {"a": job(1), "b": job(2)})
    consumer = Consumer()
    listener = make_listener(window_of(jobs))
    async with listening(listener, consumer):
        await consumer.until_holds("a", "b")
    commit(jobs, {"a": None, "b": job(2, "done"), "c": job(3)})
    async with listening(listener, consumer):
        await consumer.until_holds("b", "c")
    assert consumer.statuses() == {"b": "done", "c": "running"}
    assert len(consumer.opened) == 2


async def test_what_apply_raises_ends_the_run_as_it_is(jobs: Any, make_listener: MakeListener) -> None:
    consumer = Consumer()
    error = LookupError("a bug")

    async def apply(_event: Event) -> None:
        raise error

    with pytest.raises(LookupError) as raised:
        await make_listener(window_of(jobs)).run(apply, consumer.on_open)
    assert raised.value is error


async def test_forgetting_ends_the_run_at_once_and_without_blame(jobs: Any, make_listener: MakeListener) -> None:
    consumer = Consumer()
    listener = make_listener(window_of(jobs))
    async with listening(listener, consumer) as run:
        await consumer.until_news(1)
        listener.forget()
        failure = await failure_of(run)
    assert (failure.reason, failure.prompt, failure.permanent) == ("resync", True, False)
    async with listening(listener, consumer):
        _, again, *_ = await consumer.until_news(2)
    assert isinstance(again, Replaced)


async def test_an_unreachable_firestore_ends_the_run_as_unavailable(
    jobs: Any, make_listener: MakeListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    with pytest.raises(ListenerFailure) as raised:
        await make_listener(window_of(jobs)).run(Consumer().apply, Consumer().on_open)
    assert (raised.value.reason, raised.value.permanent) == ("unavailable", False)


async def test_a_stopped_run_leaves_no_task_or_thread(jobs: Any, make_listener: MakeListener) -> None:
    consumer = Consumer()
    listener = make_listener(window_of(jobs))
    async with listening(listener, consumer):  # what stays for the process's life is made now
        await consumer.until_news(1)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with listening(listener, consumer):
        await until(lambda: len(consumer.events) >= 2, "the second run's first event")
    assert asyncio.all_tasks() == tasks
    await until(lambda: not our_threads() - threads, "the end of the run's threads")


async def test_a_run_cancelled_while_it_connects_leaves_nothing(jobs: Any, make_listener: MakeListener) -> None:
    consumer = Consumer()
    listener = make_listener(window_of(jobs))
    async with listening(listener, consumer):
        await consumer.until_news(1)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    for turns in range(6):
        async with listening(listener, consumer):
            for _ in range(turns):
                await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    await until(lambda: not our_threads() - threads, "the end of the runs' threads")


def our_threads() -> set[threading.Thread]:
    """All but those of the event loop's executor, which keeps them."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
