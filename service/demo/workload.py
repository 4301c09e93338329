"""A simulated company: product imports that start, make progress and end, written to Firestore for the demo.

Guarantees: the collection never holds more than `processes` documents of this workload. The oldest ended process makes
room for a new one, and its products go too. One process is always EXAMPLE_ID, which begins again some time after it has
ended. The same seed at the same times gives the same processes. Firestore's errors are logged, and the same commit is
tried again with backoff, for ever. A commit only sets and deletes, so doing it twice changes nothing.

Belongs to one event loop. processes.py knows how a process looks and what it does next.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any
from zlib import crc32

from google.api_core.exceptions import GoogleAPIError
from google.cloud import firestore

from listeners.collection_path import collection_path
from service.demo.processes import SimulatedProcess, new_process

LOG = logging.getLogger(__name__)

EXAMPLE_ID = "import-1"
"""The process in the README's examples."""
BEGINS_ANEW_AFTER = timedelta(seconds=20)
HISTORY = timedelta(days=3)
RUNNING_SHARE = 0.15
COMMITS_PER_SECOND = 20
"""With more changes per second than this, a commit has several changes."""
CHANGES_PER_COMMIT = 10
PROCESSES_PER_SEEDING_COMMIT = 20
COMMIT_TIMEOUT_S = 10
PARENTS = 7
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0


@dataclass
class Commit:
    """Documents to set and delete together; paths are relative to the database's documents."""

    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)


class Workload:
    """At most `processes` documents in `collection`, of which `changes_per_second` change. First call `seed`, then
    `run`.

    `fields_of` makes the document of a process. `has_products` says whether to write products in a subcollection.
    `now` returns aware datetimes for the documents, `clock` monotonic seconds for the pace.
    """

    def __init__(
        self,
        client: firestore.AsyncClient,
        collection: str,
        *,
        processes: int = 200,
        changes_per_second: float = 20,
        seed: int,
        fields_of: Callable[[SimulatedProcess], dict[str, Any]] = SimulatedProcess.fields,
        has_products: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if processes < 1 or changes_per_second <= 0:
            raise ValueError("a workload needs at least one process and some changes")
        self._client = client
        self._collection = collection_path(collection)
        self._fields_of = fields_of
        self._has_products = has_products
        self._processes = processes
        self._changes_per_second = changes_per_second
        self._random = Random(seed)  # noqa: S311 - a simulation, repeatable on purpose
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._running: deque[SimulatedProcess] = deque()
        self._ended: deque[SimulatedProcess] = deque()

    async def seed(self) -> None:
        """Write the history: most processes ended in the past days, some still running."""
        history = self._history()
        while batch := list(islice(history, PROCESSES_PER_SEEDING_COMMIT)):
            await self._commit(self._setting(batch))
            for process in batch:
                (self._running if process.is_running else self._ended).append(process)

    async def run(self) -> None:
        """Change processes at the given pace, until cancelled."""
        commits_per_second = min(self._changes_per_second, COMMITS_PER_SECOND)
        interval_s = 1 / commits_per_second
        owed, due_at = 0.0, self._clock()
        while True:
            owed += self._changes_per_second / commits_per_second
            changes = int(owed)
            owed -= changes
            for commit in self._changes(changes):
                await self._commit(commit)
            due_at += interval_s
            now_s = self._clock()
            if due_at < now_s - 1:  # Firestore was away: go on at the normal pace, without catching up
                due_at = now_s
            await self._sleep(max(0.0, due_at - now_s))

    def _history(self) -> Iterator[SimulatedProcess]:
        """The past processes, oldest first. The newest of them are still running."""
        now, running = self._now(), max(1, round(self._processes * RUNNING_SHARE))
        ended = self._processes - running
        for number in range(ended):
            age = HISTORY * ((ended - number) / ended) + timedelta(minutes=15)
            process = new_process(self._random, now - age)
            process.play_to_the_end(self._random)
            yield process
        for number in range(running):
            example_id = EXAMPLE_ID if number == running - 1 else None
            age = timedelta(minutes=10) * ((running - number) / running)
            process = new_process(self._random, now - age, example_id)
            process.advance(self._random, now, steps=self._random.randint(0, 15))
            yield process

    def _changes(self, count: int) -> Iterator[Commit]:
        """`count` changes of different processes, in as few commits as possible."""
        while count > 0:
            at_once = min(count, max(1, len(self._running)), CHANGES_PER_COMMIT)
            yield self._change(at_once)
            count -= at_once

    def _change(self, count: int) -> Commit:
        """Change the next `count` running processes. If one has ended, or too few run, a new one begins."""
        now, changed, deleted = self._now(), list[SimulatedProcess](), list[SimulatedProcess]()
        for _ in range(count):
            if self._wants_a_new_one():
                process, replaced = self._new_one(now)
                deleted += replaced
            else:
                process = self._running.popleft()
                process.advance(self._random, now)
            changed.append(process)
            (self._running if process.is_running else self._ended).append(process)
        commit = self._setting(changed)
        commit.deletes = [path for process in deleted for path in self._paths(process)]
        return commit

    def _wants_a_new_one(self) -> bool:
        if not self._running:
            return True
        has_room = len(self._running) + len(self._ended) < self._processes or bool(self._ended)
        return has_room and len(self._running) < self._processes * RUNNING_SHARE

    def _new_one(self, now: datetime) -> tuple[SimulatedProcess, list[SimulatedProcess]]:
        """A new process, and those that make room for it. The example takes its own document again."""
        example = next((each for each in self._ended if each.id == EXAMPLE_ID), None)
        is_full = len(self._running) + len(self._ended) >= self._processes
        if example is not None and example.end_time is not None:
            is_only_one = is_full and len(self._ended) == 1
            if is_only_one or now - example.end_time >= BEGINS_ANEW_AFTER:
                self._ended.remove(example)
                return new_process(self._random, now, EXAMPLE_ID), []
        if not is_full:
            return new_process(self._random, now), []
        oldest = next(each for each in self._ended if each is not example)
        self._ended.remove(oldest)
        return new_process(self._random, now), [oldest]

    def _setting(self, processes: Sequence[SimulatedProcess]) -> Commit:
        commit = Commit()
        for process in processes:
            path = self._path_of(process)
            commit.sets[path] = self._fields_of(process)
            for product_id, product in process.take_new_products() if self._has_products else ():
                commit.sets[f"{path}/products/{product_id}"] = product
        return commit

    def _path_of(self, process: SimulatedProcess) -> str:
        """The path of the document. In a pattern, each process keeps one of some parents for its whole life."""
        parent = crc32(process.id.encode()) % PARENTS
        variables = {name: f"{name}-{parent}" for name in self._collection.variables}
        return self._collection.name_of(self._collection.key(variables, process.id))

    def _paths(self, process: SimulatedProcess) -> list[str]:
        path = self._path_of(process)
        return [path, *(f"{path}/products/{product_id}" for product_id in process.product_ids_apart())]

    async def _commit(self, commit: Commit) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            batch = self._client.batch()
            for path, fields in commit.sets.items():
                batch.set(self._client.document(path), fields)
            for path in commit.deletes:
                batch.delete(self._client.document(path))
            try:
                await batch.commit(retry=None, timeout=COMMIT_TIMEOUT_S)
            except GoogleAPIError as error:
                LOG.warning("the demo's workload could not write, trying again: %s", error, extra={"in_s": backoff_s})
                await self._sleep(backoff_s * self._random.uniform(0.5, 1.5))
                backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)
            else:
                return
