"""The local Firestore of a benchmark, in a process of its own, and the processes it holds."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from benchmarks.processes import Child, Handler, answer_requests

if TYPE_CHECKING:
    from service.local_firestore import LocalFirestore

PROJECT = "demo-benchmark"
COLLECTION = "webServiceLogs"
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ("running", "completed", "failed", "cancelled")


def process_id(number: int) -> str:
    return f"import-{number:08}"


def process_fields(number: int, processed: int) -> dict[str, object]:
    """A realistic process: about 280 bytes of JSON."""
    day, second = divmod(number, 86_400)
    return {
        "status": STATUSES[number % len(STATUSES)],
        "start_time": FIRST_DAY + timedelta(days=day, seconds=second),
        "last_updated": datetime.now(UTC),
        "csv_url": f"https://storage.example.com/imports/2026/{number:08}.csv",
        "products_processed": processed,
        "products_failed": 0,
    }


def document_path(number: int) -> str:
    return f"{COLLECTION}/{process_id(number)}"


def firestore_process(*, gives_way: bool = False) -> Child:
    """Answers the requests of `Desk`."""
    return Child(_firestore_main, name="local firestore", gives_way=gives_way)


def _firestore_main(pipe: Connection) -> None:
    asyncio.run(_firestore(pipe))


async def _firestore(pipe: Connection) -> None:
    from service.local_firestore import LocalFirestore

    async with LocalFirestore(max_queued=2_000_000) as server:
        await answer_requests(pipe, Desk(server).requests)


class Desk:
    """What can be asked of this process; every method is a request. Times of commits are in microseconds."""

    def __init__(self, server: "LocalFirestore") -> None:
        self._server = server
        self._database = server.database(PROJECT)

    async def host(self) -> str:
        return self._server.host

    async def documents_read(self) -> int:
        """How many documents it has been asked for since its start, Listen aside."""
        return sum(self._server.documents_read.values())

    async def seed(self, count: int) -> None:
        """Processes 0 … count-1, the last one the newest."""
        for start in range(0, count, 500):
            numbers = range(start, min(start + 500, count))
            self._database.commit_plain({document_path(number): process_fields(number, 0) for number in numbers})
            await asyncio.sleep(0)

    async def commit(self, number: int, processed: int) -> int:
        """One process has come so far. Returns the commit's time."""
        return self._database.commit_plain({document_path(number): process_fields(number, processed)})

    async def touch(self, numbers: list[int]) -> int:
        """A commit of each. Returns the last one's time."""
        committed = 0
        for number in numbers:
            committed = await self.commit(number, time.time_ns())
            await asyncio.sleep(0)
        return committed

    async def paced(self, per_second: int, seconds: float, of: int, batch: int) -> int:
        """Change so many of the first `of` documents a second, in commits of `batch`. Returns the last one's time."""
        started, commits, committed = time.perf_counter(), int(per_second * seconds / batch), 0
        for turn in range(commits):
            delay = started + turn * batch / per_second - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            numbers = [(turn * batch + offset) * 7919 % of for offset in range(batch)]
            committed = self._database.commit_plain({document_path(n): process_fields(n, turn) for n in numbers})
        return committed

    async def put(self, documents: dict[str, dict[str, object] | None]) -> int:
        """One commit of documents by path, None deletes. Returns its time."""
        return self._database.commit_plain(documents)

    async def touch_together(self, numbers: list[int]) -> int:
        """One commit of all. Returns its time."""
        now = time.time_ns()
        return self._database.commit_plain({document_path(number): process_fields(number, now) for number in numbers})

    async def reset(self) -> int:
        """RESET, and everything again. Returns to how many targets."""
        return self._server.faults.send_reset()

    async def end_streams(self) -> None:
        """Every listener has to connect anew."""
        self._server.faults.end_streams()

    @property
    def requests(self) -> dict[str, Handler]:
        """The handlers by name."""
        named = (self.host, self.documents_read, self.seed, self.commit, self.touch, self.paced)
        further = (self.put, self.touch_together, self.reset, self.end_streams)
        return {handler.__name__: handler for handler in (*named, *further)}
