"""Direct reads without a service around them."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from listeners.endpoints import EmulatorEndpoint
from listeners.listener import Clock
from listeners.window import Window
from service.reads.attempts import Attempts
from service.reads.circuit import Circuit
from service.reads.connection import Connection
from service.reads.firestore_reader import FirestoreReader
from service.runtime.clock import boottime
from service.schema.compiled import Schema
from service.schema.schema_file import default_schema
from tests.service.running import COLLECTION
from tests.service.schemas import order


class Bills:
    """Counts the documents billed."""

    def __init__(self) -> None:
        self.documents = 0

    def documents_billed(self, kind: str, count: int) -> None:
        self.documents += count

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        pass


@asynccontextmanager
async def reader_of(
    host: str,
    project: str,
    *,
    collection: str = COLLECTION,
    timeout_s: float = 5,
    clock: Clock = boottime,
    bills: Bills | None = None,
) -> AsyncIterator[FirestoreReader]:
    """A reader of the service's collection, or of another, at `host`."""
    window = Window(project, "(default)", collection, order(), 0)
    rng = random.Random(1)
    connection = Connection(EmulatorEndpoint(host), window.database_path, longest_call_s=timeout_s)
    attempts = Attempts(connection, Circuit(clock=clock, rng=rng), clock=clock, rng=rng)
    file = default_schema().overridden(collection=collection, order_type=None, terminal=None)
    yield FirestoreReader(attempts, window, Schema(file), timeout_s=timeout_s, clock=clock, observer=bills or Bills())
    await connection.close()
