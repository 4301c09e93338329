"""Either listener to the collection `jobs`, and commits to it: for what both listeners must guarantee."""

import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.cloud import firestore

from listeners.endpoints import EmulatorEndpoint
from listeners.listener import Listener
from listeners.on_snapshot.listener import OnSnapshotListener
from listeners.stream.listen_stream import StreamListener
from listeners.window import OrderType, Window
from tests.listeners.listening import FIELDS, CountingObserver, microseconds
from tests.listeners.wanted import by, wanted

MakeListener = Callable[[Window], Listener]


def on_snapshot(window: Window, observer: CountingObserver | None = None, **options: Any) -> OnSnapshotListener:
    return OnSnapshotListener(
        window,
        wanted(*FIELDS),
        lambda: firestore.Client(project=window.project),
        observer or CountingObserver(),
        clock=time.monotonic,
        **options,
    )


def stream(window: Window) -> StreamListener:
    return StreamListener(
        window,
        EmulatorEndpoint(os.environ["FIRESTORE_EMULATOR_HOST"]),
        projection=wanted(*FIELDS),
        clock=time.monotonic,
        observer=CountingObserver(),
        rng=random.Random(),
    )


LISTENERS: dict[str, MakeListener] = {"on_snapshot": on_snapshot, "stream": stream}


def window_of(jobs: Any, *, size: int = 3, start_time_type: OrderType = "timestamp") -> Window:
    return Window(jobs._client.project, "(default)", "jobs", by(start_time_type), size)


def at(second: int) -> datetime:
    return datetime(2024, 5, 1, 12, 0, second, tzinfo=UTC)


def job(second: int, status: str = "running") -> dict[str, object]:
    return {"start_time": at(second), "status": status, "products": [{"sku": "a"}]}


def commit(jobs: Any, documents: dict[str, dict[str, object] | None]) -> list[int]:
    """All of them in one commit, None deletes; returns their update times."""
    batch = jobs._client.batch()
    for document_id, fields in documents.items():
        reference = jobs.document(document_id)
        batch.set(reference, fields) if fields is not None else batch.delete(reference)
    results = batch.commit()
    return [microseconds(result.update_time) for result in results if result.update_time is not None]
