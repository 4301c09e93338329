"""Many events of gRPC's and a loop that is busy."""

import asyncio
import socket
import time
from collections.abc import Callable

import grpc
from google.cloud.firestore_v1.types import BatchGetDocumentsRequest

from listeners.grpc_wakeups import take_all_wakeups
from tests.firestore_servers import BackgroundFirestore

READS = 200
WORK_S = 0.01
"""The loop's other work in a turn: long enough for a busy machine's server to have the next events ready."""


async def test_the_events_of_many_calls_are_handled_in_few_turns_of_a_busy_loop(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    loop = asyncio.get_running_loop()
    told = list[int]()
    take_all_wakeups(loop, lambda: told.append(turns))
    database = f"projects/{project}/databases/(default)"
    request = BatchGetDocumentsRequest(database=database, documents=[f"{database}/documents/jobs/a"])
    sent = BatchGetDocumentsRequest.serialize(request)
    turns = 0
    is_over = False

    def turn() -> None:
        nonlocal turns
        turns += 1
        time.sleep(WORK_S)
        if not is_over:
            loop.call_soon(turn)

    turn()
    async with grpc.aio.insecure_channel(local_firestore.host) as channel:
        batch_get = channel.unary_stream("/google.firestore.v1.Firestore/BatchGetDocuments")

        async def read() -> None:
            async for _ in batch_get(sent):
                pass

        await asyncio.gather(*(read() for _ in range(READS)))
    is_over = True
    assert turns < READS  # each read has half a dozen events
    assert told


async def test_other_readers_of_the_loop_are_left_alone() -> None:
    loop = asyncio.get_running_loop()
    take_all_wakeups(loop, lambda: None)
    ours, theirs = socket.socketpair()
    read: asyncio.Future[bytes] = loop.create_future()
    on_readable: Callable[[socket.socket], None] = lambda readable: read.set_result(readable.recv(10))  # noqa: E731
    with ours, theirs:
        theirs.send(b"abc")
        loop.add_reader(ours, on_readable, ours)
        assert await read == b"abc"
        assert loop.remove_reader(ours)


class PollerCompletionQueue:
    """As gRPC's: a byte for each event, one of which it reads itself when it handles all."""

    def __init__(self, wakeups: socket.socket) -> None:
        self._wakeups = wakeups
        self.events = list[Callable[[], object]]()

    def handle_events(self) -> None:
        self._wakeups.recv(1)
        while self.events:
            self.events.pop(0)()


async def test_an_event_that_fails_keeps_none_of_the_others_from_being_handled() -> None:
    loop = asyncio.get_running_loop()
    failures = list[object]()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    take_all_wakeups(loop, lambda: None)
    handled: asyncio.Future[None] = loop.create_future()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        queue = PollerCompletionQueue(ours)
        queue.events += [lambda: 1 / 0, lambda: 1 / 0, lambda: handled.set_result(None)]
        theirs.send(b"111")
        loop.add_reader(ours, queue.handle_events)
        await handled
        loop.remove_reader(ours)
    assert [type(each) for each in failures] == [ZeroDivisionError, ZeroDivisionError]
