"""The gRPC server: port, call handlers, start and stop. All state is in the store, which outlives a closed port."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self, cast

import grpc
import grpc.aio

from service.local_firestore import messages
from service.local_firestore.clock import Clock
from service.local_firestore.database import Database
from service.local_firestore.errors import FirestoreError
from service.local_firestore.faults import Faults
from service.local_firestore.listening import Listening
from service.local_firestore.messages import Message
from service.local_firestore.rpcs import Rpcs
from service.local_firestore.store import Store

_PREFIX = "/google.firestore.v1.Firestore/"

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.so_reuseport", 0),  # if the port is in use, this is an error and not a second server
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
]


class LocalFirestore:
    """An in-memory Firestore on `host` ("127.0.0.1:port"). An async context manager, or `start` and `stop`.

    `port` 0 is any free one. `heartbeat_s` is the longest silence of an idle Listen stream. `resume_window_s` is the
    lifetime of its resume tokens, `read_retention_s` the greatest age of a read time; both are shorter if more than
    `max_versions` superseded versions would have to be kept. At most `max_queued` messages wait for a slow Listen
    reader. `max_history` commits are kept for `Database.history`. `clock` returns the present time.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        address: str = "127.0.0.1",
        heartbeat_s: float = 30,
        resume_window_s: float = 1800,
        read_retention_s: float = 3600,
        max_versions: int = 100_000,
        max_queued: int = 100_000,
        max_history: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.store = Store(
            read_retention_s=read_retention_s,
            resume_window_s=resume_window_s,
            max_versions=max_versions,
            max_history=max_history,
            clock=clock,
        )
        self.listening = Listening(self.store, heartbeat_s=heartbeat_s, max_queued=max_queued)
        self.faults = Faults(self.store, self.listening, self)
        self.calls: Counter[str] = Counter()
        """The number of received calls per RPC, including refused ones."""
        self.documents_read: Counter[str] = Counter()
        """The number of responses per reading call, one for each document found or missing; without Listen."""
        self._rpcs = Rpcs(self.store)
        self._address = address
        self._port = port
        self._server: grpc.aio.Server | None = None
        self._answers: set[asyncio.Task[Any]] = set()
        """The tasks that are answering calls."""

    @property
    def host(self) -> str:
        return f"{self._address}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def database(self, project: str, database: str = "(default)") -> Database:
        """The documents themselves, for initial data and inspection without gRPC, on the server's event loop."""
        return self.store.database(project, database)

    async def start(self) -> Self:
        """Open the port. Raises OSError if it cannot be opened."""
        await self.open_port()
        return self

    async def stop(self) -> None:
        """Release every fault, break every connection, close the port."""
        self.faults.release_all()
        await self.close_port()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def open_port(self) -> None:
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers([_Handlers(self._handlers())])
        try:
            port = server.add_insecure_port(self.host)
        except RuntimeError as failed:
            await server.stop(None)
            raise OSError(f"can't listen on {self.host}: it is taken, or not an address of this machine") from failed
        await server.start()
        self._server, self._port = server, port

    async def close_port(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)
        if self._answers:  # gRPC has cancelled them; if the loop ends first, it logs a stack trace for each
            await asyncio.wait(self._answers)

    def _handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        rpcs = self._rpcs
        unary = [
            ("GetDocument", messages.GetDocumentRequest, rpcs.get_document),
            ("ListDocuments", messages.ListDocumentsRequest, rpcs.list_documents),
            ("ListCollectionIds", messages.ListCollectionIdsRequest, rpcs.list_collection_ids),
            ("Commit", messages.CommitRequest, rpcs.commit),
            ("BatchWrite", messages.BatchWriteRequest, rpcs.batch_write),
            ("CreateDocument", messages.CreateDocumentRequest, rpcs.create_document),
            ("UpdateDocument", messages.UpdateDocumentRequest, rpcs.update_document),
            ("DeleteDocument", messages.DeleteDocumentRequest, rpcs.delete_document),
            ("BeginTransaction", messages.BeginTransactionRequest, rpcs.begin_transaction),
            ("Rollback", messages.RollbackRequest, rpcs.rollback),
        ]
        streaming = [
            ("BatchGetDocuments", messages.BatchGetDocumentsRequest, rpcs.batch_get_documents),
            ("RunQuery", messages.RunQueryRequest, rpcs.run_query),
            ("RunAggregationQuery", messages.RunAggregationQueryRequest, rpcs.run_aggregation_query),
        ]
        handlers = {name: self._unary(name, request, call) for name, request, call in unary}
        handlers |= {name: self._streaming(name, request, call) for name, request, call in streaming}
        handlers["Write"] = grpc.stream_stream_rpc_method_handler(
            self._write, request_deserializer=messages.WriteRequest.FromString
        )
        handlers["Listen"] = grpc.stream_stream_rpc_method_handler(
            self._listen, request_deserializer=messages.ListenRequest.FromString
        )
        return handlers

    def _unary(self, rpc: str, request_type: Any, call: Callable[[Message], Message]) -> grpc.RpcMethodHandler:
        async def handle(request: Message, context: Any) -> bytes:
            async with self._answering(rpc, context):
                response = bytes(call(request).SerializeToString())
                await self.faults.gate_of_answer(rpc)
                return response
            raise AssertionError("abort raises")

        return grpc.unary_unary_rpc_method_handler(handle, request_deserializer=request_type.FromString)

    def _streaming(
        self, rpc: str, request_type: Any, call: Callable[[Message], Iterator[Message]]
    ) -> grpc.RpcMethodHandler:
        async def handle(request: Message, context: Any) -> None:
            async with self._answering(rpc, context):
                responses = list(call(request))  # completely before the first await, so they are of one moment
                self.documents_read[rpc] += len(responses)
                await self.faults.gate_of_answer(rpc)
                for response in responses:
                    await context.write(response.SerializeToString())

        return grpc.unary_stream_rpc_method_handler(handle, request_deserializer=request_type.FromString)

    @contextlib.asynccontextmanager
    async def _answering(self, rpc: str, context: Any) -> AsyncIterator[None]:
        """Count the call, apply the faults first, and answer a FirestoreError as its status."""
        self.calls[rpc] += 1
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        try:
            await self.faults.gate(rpc)
            yield
        except FirestoreError as refused:
            await context.abort(refused.code, refused.message)

    async def _listen(self, requests: AsyncIterator[Message], context: Any) -> None:
        async with self._answering("Listen", context):
            write: Callable[[bytes], Awaitable[None]] = context.write
            end = await self.listening.serve(requests, write)
            if end.code is not grpc.StatusCode.OK:
                raise FirestoreError(end.code, end.detail)

    async def _write(self, requests: AsyncIterator[Message], context: Any) -> None:
        async with self._answering("Write", context):
            stream = self._rpcs.write_stream()
            async for request in requests:
                await context.write(stream.answer(request).SerializeToString())
                if stream.is_over:
                    return


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Finds the handler of a call. If there is none, the answer has the call's name."""

    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        method: str = handler_call_details.method
        handler = self._handlers.get(method.removeprefix(_PREFIX))
        return handler if handler is not None else _unimplemented(method)


def _unimplemented(method: str) -> grpc.RpcMethodHandler:
    async def refuse(requests: Any, context: Any) -> None:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED, f"the local Firestore does not support {method.rpartition('/')[2]}"
        )

    return grpc.stream_stream_rpc_method_handler(refuse)
