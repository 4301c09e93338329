"""The calls that direct reads make, over one channel.

Every stream of responses is read to its end: one left unfinished would stay in a reference cycle until a collection.

Nothing is decoded that is not asked for. The client library decodes a document as soon as it has come, all of it in
one go: 120 ms for 1 MiB of products, for which the event loop would wait. Here the fields of a document that was read
by its name are bytes; the caller decides how much of it to parse at a time.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc.aio
from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.cloud.firestore_v1.types import (
    BatchGetDocumentsRequest,
    ListCollectionIdsRequest,
    ListCollectionIdsResponse,
    RunQueryRequest,
    RunQueryResponse,
    StructuredQuery,
)

from listeners.endpoints import Metadata
from listeners.firestore_values import Message
from listeners.lazy_messages import parse_batch_get

_SERVICE = "/google.firestore.v1.Firestore/"
MOST_COLLECTIONS = 300

_parse_run_query = RunQueryResponse.pb().FromString


class Found(NamedTuple):
    """What a query found, in its order. `read_time`, a Timestamp: all of it was Firestore's answer then."""

    documents: list[Message]
    read_time: Message


class FirestoreCalls:
    """One channel and its calls, which raise grpc.aio.AioRpcError. The owner closes it."""

    def __init__(self, channel: grpc.aio.Channel, database: str, metadata: Metadata) -> None:
        """`database`: `projects/…/databases/…`; `metadata` goes with every call, besides the routing headers."""
        self._channel = channel
        self._database = database
        self._metadata: Metadata = (("google-cloud-resource-prefix", database), *metadata)
        self._batch_get = channel.unary_stream(
            f"{_SERVICE}BatchGetDocuments", request_serializer=BatchGetDocumentsRequest.serialize
        )
        self._list_collection_ids = channel.unary_unary(
            f"{_SERVICE}ListCollectionIds",
            request_serializer=ListCollectionIdsRequest.serialize,
            response_deserializer=ListCollectionIdsResponse.pb().FromString,
        )
        self._run_query = channel.unary_stream(f"{_SERVICE}RunQuery", request_serializer=RunQueryRequest.serialize)

    async def batch_get(self, names: Sequence[str], fields: Sequence[str], timeout_s: float) -> list[Message]:
        """One answer for each document, in any order; see `lazy_messages.parse_batch_get`."""
        request = BatchGetDocumentsRequest(
            database=self._database, documents=names, mask={"field_paths": sorted(fields)}
        )
        call = self._batch_get(request, timeout=timeout_s, metadata=self._routed("database", self._database))
        return [parse_batch_get(response) for response in await _responses(call)]

    async def run_query(
        self, parent: str, query: StructuredQuery, timeout_s: float, read_time: Message | None = None
    ) -> Found:
        """What the query finds: now, or as it was at `read_time`."""
        request = RunQueryRequest(parent=parent, structured_query=query, read_time=read_time)
        call = self._run_query(request, timeout=timeout_s, metadata=self._routed("parent", parent))
        answers = [_parse_run_query(response) for response in await _responses(call)]
        found = [answer.document for answer in answers if answer.HasField("document")]
        return Found(found, answers[-1].read_time if answers else None)

    async def collection_ids(self, parent: str, timeout_s: float) -> list[str]:
        """The first MOST_COLLECTIONS collections of the database."""
        request = ListCollectionIdsRequest(parent=parent, page_size=MOST_COLLECTIONS)
        metadata = self._routed("parent", parent)
        return list((await self._list_collection_ids(request, timeout=timeout_s, metadata=metadata)).collection_ids)

    async def close(self, grace_s: float | None = None) -> None:
        """Close the channel, after `grace_s` at most for the calls that are under way."""
        await self._channel.close(grace_s)

    def _routed(self, name: str, value: str) -> Metadata:
        routing = to_grpc_metadata(((name, value),))  # type: ignore[no-untyped-call]
        return (*self._metadata, routing)


async def _responses(call: Any) -> list[bytes]:
    responses: list[bytes] = []
    while (response := await call.read()) is not grpc.aio.EOF:
        responses.append(response)
    return responses
