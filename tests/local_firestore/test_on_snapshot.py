"""The client library's own listeners, on both servers."""

import queue
from collections.abc import Callable
from typing import Any

PATIENCE_S = 30

Heard = queue.Queue[tuple[list[str], set[tuple[str, str]]]]


def hearing() -> tuple[Heard, Callable[..., None]]:
    """A queue of (IDs in order, changes as (type, ID)), and the callback that fills it."""
    heard: Heard = queue.Queue()

    def callback(documents: Any, changes: Any, read_time: object) -> None:
        names = [document.id for document in documents]
        heard.put((names, {(change.type.name, change.document.id) for change in changes}))

    return heard, callback


def test_a_query_listener_hears_every_change_of_its_window(client: Any) -> None:
    jobs = client.collection("jobs")
    for number in (1, 2, 3):
        jobs.document(f"job{number}").set({"n": number})
    heard, callback = hearing()
    watch = jobs.order_by("n").limit(2).on_snapshot(callback)
    try:
        assert heard.get(timeout=PATIENCE_S) == (["job1", "job2"], {("ADDED", "job1"), ("ADDED", "job2")})
        jobs.document("job0").set({"n": 0})
        assert heard.get(timeout=PATIENCE_S) == (["job0", "job1"], {("ADDED", "job0"), ("REMOVED", "job2")})
        jobs.document("job1").update({"n": 1.5})
        assert heard.get(timeout=PATIENCE_S) == (["job0", "job1"], {("MODIFIED", "job1")})
        jobs.document("job0").delete()
        assert heard.get(timeout=PATIENCE_S) == (["job1", "job2"], {("REMOVED", "job0"), ("ADDED", "job2")})
    finally:
        watch.unsubscribe()


def test_a_batch_is_heard_as_one_snapshot(client: Any) -> None:
    jobs = client.collection("jobs")
    heard, callback = hearing()
    watch = jobs.on_snapshot(callback)
    try:
        assert heard.get(timeout=PATIENCE_S) == ([], set())
        batch = client.batch()
        for number in range(5):
            batch.set(jobs.document(f"job{number}"), {"n": number})
        batch.commit()
        names, changes = heard.get(timeout=PATIENCE_S)
        assert names == ["job0", "job1", "job2", "job3", "job4"]
        assert changes == {("ADDED", name) for name in names}
    finally:
        watch.unsubscribe()


def test_a_document_listener_hears_creation_change_and_deletion(client: Any) -> None:
    document = client.document("jobs/a")
    heard, callback = hearing()
    watch = document.on_snapshot(callback)
    try:
        assert heard.get(timeout=PATIENCE_S) == ([], set())
        document.set({"n": 1})
        assert heard.get(timeout=PATIENCE_S) == (["a"], {("ADDED", "a")})
        document.set({"n": 2})
        assert heard.get(timeout=PATIENCE_S) == (["a"], {("MODIFIED", "a")})
        document.delete()
        assert heard.get(timeout=PATIENCE_S) == ([], {("REMOVED", "a")})
    finally:
        watch.unsubscribe()
