"""What a process held costs by the allocator's count: listener, model, every index and the rendered bytes."""

import functools
import gc
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import pytest
import sortedcontainers
from google.cloud.firestore_v1.types import ListenResponse

import listeners
import service
from listeners.stream.consistent_point import ConsistentPoint
from listeners.stream.listen_protocol import ListenProtocol
from listeners.times import EPOCH, microseconds
from listeners.window import Window
from service.model.read_model import ReadModel
from tests.listeners.responses import current, point, reset
from tests.service.schemas import schema
from tests.service.virtual_time import Clock

PROCESSES = 2_700
BODY_BYTES = 300
BYTES_HELD = 755
"""Of one process with a body of 300 bytes: 333 the body, 62 its ID, 104 the summary, 56 + 32 its position, 32 its
version, 130 its places in three tables, one of them in parts, and four lists. A second copy of any of these is more
than is left."""

LISTENERS_OWN = 96
"""After a resync the listener has IDs and versions of its own: the model keeps the processes that are the same."""

ALLOCATING = tuple(package.__path__[0] for package in (service, listeners, sortedcontainers))

START = microseconds(EPOCH.replace(year=2026))
WINDOW = Window("p", "(default)", "webServiceLogs", schema().order, 0)
Response = ListenResponse.pb()


@functools.cache
def messages(mark: int, status: str) -> Sequence[bytes]:
    """One version of every process, as it comes from Firestore."""
    return [_message(number, mark, status) for number in range(PROCESSES)]


def _message(number: int, mark: int, status: str) -> bytes:
    response = Response()
    change = response.document_change
    change.target_ids.append(1)
    change.document.name = f"{WINDOW.documents_path}/webServiceLogs/import-{number:06}"
    change.document.update_time.FromMicroseconds(START + PROCESSES * 1_000_000 * mark + number)
    fields = change.document.fields
    fields["status"].string_value = status
    for name in ("start_time", "end_time", "last_updated"):
        fields[name].timestamp_value.FromMicroseconds(START + number * 1_000_000)
    fields["csv_url"].string_value = f"https://storage.example.com/{number:043}.csv"
    fields["products_processed"].integer_value = 1_000_000 + mark
    fields["products_failed"].integer_value = 1_000_000
    encoded: bytes = response.SerializeToString()
    return encoded


class Nobody:
    """An observer that remembers nothing."""

    def applied(self, *_: object) -> None: ...

    def became_visible(self, version: int) -> None: ...

    def confirmed(self, as_of: float) -> None: ...

    def malformed(self, *_: object) -> None: ...


class Replica:
    """The listener's protocol and the model, joined as a stream joins them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.protocol = ListenProtocol(WINDOW, schema().projection)
        self.model = ReadModel(window_size=0, schema=schema(), lease_s=15, clock=self.clock, observer=Nobody())
        self.protocol.open()
        self.read_time = START

    async def hears_every_process(self, mark: int, status: str) -> None:
        for message in messages(mark, status):
            self.protocol.receive(Response.FromString(message))
        self.protocol.receive(current())
        self.read_time += 1_000_000
        told = self.protocol.receive(point(self.read_time, b"token"))
        assert isinstance(told, ConsistentPoint)
        await self.model.apply(told.event(self.clock()))
        self.protocol.take(told)


@pytest.fixture
async def allocated() -> AsyncIterator[None]:
    await Replica().hears_every_process(1, "running")  # what is allocated once belongs to no process
    gc.collect()
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


def bytes_per_process() -> float:
    """Of what these packages allocate: other tests leave threads in this interpreter, which allocate too."""
    gc.collect()
    files = tracemalloc.take_snapshot().statistics("filename")
    return sum(file.size for file in files if file.traceback[0].filename.startswith(ALLOCATING)) / PROCESSES


@pytest.mark.usefixtures("allocated")
async def test_a_process_is_held_in_755_bytes_however_often_it_changes() -> None:
    replica = Replica()
    await replica.hears_every_process(1, "running")
    assert {len(summary.body) for summary in replica.model.held()} == {BODY_BYTES}
    assert bytes_per_process() < BYTES_HELD
    await replica.hears_every_process(2, "running")
    await replica.hears_every_process(3, "failed!")
    assert bytes_per_process() < BYTES_HELD
    replica.protocol.receive(reset())
    await replica.hears_every_process(3, "failed!")
    assert bytes_per_process() < BYTES_HELD
    replica.protocol.forget()
    replica.protocol.open()
    await replica.hears_every_process(3, "failed!")
    assert bytes_per_process() < BYTES_HELD + LISTENERS_OWN


@pytest.mark.usefixtures("allocated")
async def test_a_whole_result_is_never_held_twice_while_it_is_applied() -> None:
    replica = Replica()
    await replica.hears_every_process(1, "running")
    assert tracemalloc.get_traced_memory()[1] / PROCESSES < 1.4 * BYTES_HELD


async def test_what_is_held_is_nothing_to_the_garbage_collector() -> None:
    replica = Replica()
    await replica.hears_every_process(1, "running")
    held = replica.model.held()
    assert len(held) == PROCESSES
    assert not any(gc.is_tracked(summary) or gc.is_tracked(summary.position) for summary in held)
