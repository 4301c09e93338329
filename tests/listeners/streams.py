"""What the stream listener's tests share: time that stands still, commits over gRPC, a server that follows a script."""

import asyncio
import contextlib
import heapq
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
from google.cloud.firestore_v1.types import CommitRequest, CommitResponse, ListenRequest

from listeners.endpoints import CHANNEL_OPTIONS, EmulatorEndpoint
from listeners.firestore_values import microseconds
from listeners.listener import Clock, Listener, ListenerFailure
from listeners.stream.listen_stream import LISTEN, StreamListener
from listeners.window import Window
from service.local_firestore import messages, plain
from tests.listeners.listening import FIELDS, Consumer, CountingObserver
from tests.listeners.wanted import by, wanted

PROBE_INTERVAL_S = 8.0


class VirtualTime:
    """A clock and its sleep. It stands still until `advance`; `freeze` moves it while nobody gets to run."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), woken))
        await woken

    def freeze(self, seconds: float) -> None:
        self.now += seconds

    async def advance(self, seconds: float) -> None:
        """Let the time pass, everybody awake in it."""
        end = self.now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not woken.done():
                woken.set_result(None)
            await turns()
        self.now = max(self.now, end)


async def turns(count: int = 20) -> None:
    """Let everything on the loop run that needs no further input."""
    for _ in range(count):
        await asyncio.sleep(0)


def stream_listener(
    host: str, project: str, *, size: int = 10, clock: Clock, observer: CountingObserver | None = None, **options: Any
) -> StreamListener:
    """A listener to the collection `jobs` of a local server or an emulator."""
    options.setdefault("probe_interval_s", PROBE_INTERVAL_S)
    return StreamListener(
        Window(project, "(default)", "jobs", by("timestamp"), size),
        EmulatorEndpoint(host),
        projection=wanted(*FIELDS),
        clock=clock,
        observer=observer or CountingObserver(),
        rng=random.Random(1),
        **options,
    )


async def keep_listening(listener: Listener, consumer: Consumer, failures: list[str]) -> None:
    """A supervisor without patience: run after run, until cancelled or the consumer objects."""
    while True:
        try:
            await listener.run(consumer.apply, consumer.on_open)
        except ListenerFailure as failure:
            failures.append(failure.reason)


class Writer:
    """Commits, over gRPC, with plain values; `commit` returns once Firestore has acknowledged it."""

    def __init__(self, channel: grpc.aio.Channel, project: str) -> None:
        self._database = f"projects/{project}/databases/(default)"
        self._commit = channel.unary_unary(
            "/google.firestore.v1.Firestore/Commit",
            request_serializer=CommitRequest.pb().SerializeToString,
            response_deserializer=CommitResponse.pb().FromString,
        )

    async def commit(self, documents: Mapping[str, Mapping[str, object] | None]) -> int:
        """Documents of `jobs` by ID, None deletes. Returns the commit time in microseconds."""
        request = messages.CommitRequest(database=self._database)
        for document_id, fields in documents.items():
            name = f"{self._database}/documents/jobs/{document_id}"
            write = request.writes.add()
            if fields is None:
                write.delete = name
            else:
                write.update.name = name
                plain.encode_fields(fields, write.update.fields)
        while True:
            try:
                response = await self._commit(request, metadata=EmulatorEndpoint.metadata)
            except grpc.aio.AioRpcError as error:
                # Google's emulator lets a commit fail, done or not, of telling it to a stream that has just been
                # cancelled. To say the same again is to get it acknowledged.
                if "call already cancelled" not in (error.details() or ""):
                    raise
            else:
                return microseconds(response.commit_time)


@contextlib.asynccontextmanager
async def writer(host: str, project: str) -> AsyncIterator[Writer]:
    async with grpc.aio.insecure_channel(host, options=CHANNEL_OPTIONS) as channel:
        yield Writer(channel, project)


Script = Callable[[AsyncIterator[Any], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted_firestore(script: Script) -> AsyncIterator[str]:
    """A server whose Listen streams do what the script says: it is given the requests, and writes responses."""

    async def listen(requests: AsyncIterator[Any], context: Any) -> None:
        await script(requests, context.write)

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
        def service(self, details: Any) -> Any:
            assert details.method == LISTEN
            return grpc.stream_stream_rpc_method_handler(
                listen,
                request_deserializer=ListenRequest.pb().FromString,
                response_serializer=lambda response: (
                    response if isinstance(response, bytes) else response.SerializeToString()
                ),
            )

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
