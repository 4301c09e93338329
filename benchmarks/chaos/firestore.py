"""The Firestore of the chaos run, in a process of its own: the documents, their writer, the network, and the faults.

The writer lives beside the store and commits even while the port is closed, as other writers do while only the
service is cut off. It notes each commit with the time Firestore gave it, so the history is exact and has no gaps.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import Connection
from typing import Any

import grpc

from benchmarks.chaos.history import STATUSES, Written
from benchmarks.chaos.names import document_path, foreign_keys, is_foreign, marker, process_keys
from benchmarks.chaos.proxy import Proxy
from benchmarks.firestore import PROJECT
from benchmarks.processes import Child, answer_requests
from service.local_firestore import Fault, LocalFirestore

DELETIONS, CREATIONS, RESTARTS = 0.06, 0.09, 0.02
"""Shares of the commits; the rest are updates."""


FOREIGN = 0.1
"""How many foreign documents of a group there are for each process."""


def firestore_process(ids: int, replicas: int, seed: int, *, is_group: bool = False) -> Child:
    """Answers the requests of `Desk`."""
    return Child(_main, ids, replicas, seed, is_group, name="chaos firestore")


def _main(pipe: Connection, ids: int, replicas: int, seed: int, is_group: bool) -> None:
    asyncio.run(_serve(pipe, ids, replicas, seed, is_group))


class Writer:
    """Creates, updates, restarts and deletes processes, and foreign documents, at random."""

    def __init__(self, server: LocalFirestore, ids: list[str], marked: str, chance: random.Random) -> None:
        self._database = server.database(PROJECT)
        self._chance = chance
        self._sequences = itertools.count(1)
        self._absent = list(ids)
        self.marker = marked
        self._present: dict[str, Written] = {}
        self._taken: list[Written] = []
        self.left_alone = ""
        """A process that nobody touches: the next delta about it would set right what a lie made wrong."""

    def taken(self) -> list[Written]:
        """What was committed since this was asked last."""
        taken, self._taken = self._taken, []
        return taken

    def write(self, process_id: str, *, restart: bool = False, is_hidden: bool = False) -> Written:
        """Create or update one process."""
        known = self._present.get(process_id)
        start_us = time.time_ns() // 1000 if known is None or restart else known.start_us
        made = Written(0, process_id, next(self._sequences), self._chance.choice(STATUSES), start_us, is_hidden)
        made = made._replace(time_us=self._database.commit_plain({document_path(process_id): made.fields()}))
        self._present[process_id] = made
        self._taken.append(made)
        return made

    def delete(self, process_id: str, *, is_hidden: bool = False) -> Written:
        """Delete one process."""
        time_us = self._database.commit_plain({document_path(process_id): None})
        gone = Written(time_us, process_id, 0, is_hidden=is_hidden)
        del self._present[process_id]
        self._absent.append(process_id)
        self._taken.append(gone)
        return gone

    def create(self) -> Written:
        """One that is not there."""
        process_id = self._chance.choice([each for each in self._absent if each != self.left_alone])
        self._absent.remove(process_id)
        return self.write(process_id)

    def fill(self, share: float) -> None:
        """The state that everything begins with."""
        self.write(self.marker)
        for _ in range(int(len(self._absent) * share)):
            self.create()

    def anything(self) -> None:
        """One random commit."""
        dice = self._chance.random()
        if dice < DELETIONS:
            self.delete(self._any())
        elif dice < CREATIONS + DELETIONS and len(self._absent) > 1:
            self.create()
        else:
            self.write(self._any(), restart=dice > 1 - RESTARTS)

    def newest(self, count: int) -> list[str]:
        """What a window of this size holds."""
        return sorted(self._present, key=lambda each: (self._present[each].start_us, each))[-count:]

    def _any(self) -> str:
        return self._chance.choice([each for each in self._present if each not in (self.marker, self.left_alone)])


async def _serve(pipe: Connection, ids: int, replicas: int, seed: int, is_group: bool) -> None:
    chance = random.Random(seed)
    keys = process_keys(ids, is_group=is_group) + (foreign_keys(int(ids * FOREIGN)) if is_group else [])
    async with LocalFirestore(heartbeat_s=0.5, max_history=0) as server:
        writer = Writer(server, keys, marker(is_group=is_group), chance)
        writer.fill(0.75)
        proxies = [Proxy(server.host) for _ in range(replicas)]
        for proxy in proxies:
            await proxy.start()
        await answer_requests(pipe, Desk(server, proxies, writer, chance).requests)
        for proxy in proxies:
            await proxy.stop()


class Desk:
    """What can be asked of this process; every method is a request."""

    def __init__(self, server: LocalFirestore, proxies: Sequence[Proxy], writer: Writer, chance: random.Random) -> None:
        self._server = server
        self._proxies = proxies
        self._writer = writer
        self._chance = chance
        self._writing: asyncio.Task[None] | None = None
        self._faults: list[Fault] = []

    async def hosts(self) -> list[str]:
        """Where each replica finds Firestore: its own proxy."""
        return [proxy.host for proxy in self._proxies]

    async def connections(self) -> list[int]:
        """How many each replica has open."""
        return [proxy.connections for proxy in self._proxies]

    async def network(self, name: str, arguments: tuple[Any, ...], replica: int | None) -> None:
        """A method of `Proxy`, of one or of all."""
        for proxy in self._proxies if replica is None else [self._proxies[replica]]:
            await getattr(proxy, name)(*arguments)

    async def write(self, per_second: float) -> None:
        """From now on commit at random; 0 ends it."""
        if self._writing is not None:
            self._writing.cancel()
        self._writing = asyncio.create_task(self._write(per_second), name="writer") if per_second else None

    async def _write(self, per_second: float) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(per_second))
            self._writer.anything()

    async def taken(self) -> list[Written]:
        """What was committed since this was asked last."""
        return self._writer.taken()

    async def mark(self) -> int:
        """A version of the marker, now."""
        return self._writer.write(self._writer.marker, restart=True).time_us

    async def lie(self, held: int, deletion: bool) -> None:
        """Commit something that the listener is told nothing of, though it is told that all is well."""
        newest = self._writer.newest(held // 2)
        lied_about = self._chance.choice(
            [each for each in newest if each != self._writer.marker and not is_foreign(each)]
        )
        self._writer.left_alone = lied_about
        with self._server.faults.drop_deltas(1):
            (self._writer.delete if deletion else self._writer.write)(lied_about, is_hidden=True)

    async def fault(self, name: str, options: dict[str, Any]) -> None:
        """A method of `Faults`; what lasts is remembered for `release`."""
        if "code" in options:
            options["code"] = grpc.StatusCode[options["code"]]
        result = getattr(self._server.faults, name)(**options)
        if asyncio.iscoroutine(result):
            await result
        elif isinstance(result, Fault):
            self._faults.append(result)

    async def release(self) -> None:
        """End every fault."""
        for each in self._faults:
            each.release()
        self._faults.clear()
        self._writer.left_alone = ""
        for proxy in self._proxies:
            await proxy.heal()

    @property
    def requests(self) -> dict[str, Callable[..., Coroutine[Any, Any, Any]]]:
        """The handlers by name."""
        named = (self.hosts, self.connections, self.network, self.write, self.taken, self.mark)
        further = (self.lie, self.fault, self.release)
        return {handler.__name__: handler for handler in (*named, *further)}
