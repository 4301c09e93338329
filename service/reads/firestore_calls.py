"""The calls that direct reads make, over one channel.

Every stream of responses is read to its end: an unfinished one would stay in a reference cycle until a collection.

Only requested data is decoded. The client library decodes each document completely as soon as it arrives: 1 MiB of
products takes 120 ms, and the event loop would wait meanwhile. Here the fields of a document that was read by name stay
bytes. The caller decides how much of them to parse at a time.
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
    """The result of a query, in its order. `read_time` is a Timestamp: the whole result is Firestore's state at that
    time.
    """

    documents: list[Message]
    read_time: Message


class FirestoreCalls:
    """One channel and its calls, which raise grpc.aio.AioRpcError. The owner of this object closes it."""

    def __init__(self, channel: grpc.aio.Channel, database: str, metadata: Metadata) -> None:
        """`database`: `projects/…/databases/…`. Every call sends `metadata` and the routing headers."""
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
        """One answer per document, in any order; see `lazy_messages.parse_batch_get`."""
        request = BatchGetDocumentsRequest(
            database=self._database, documents=names, mask={"field_paths": sorted(fields)}
        )
        call = self._batch_get(request, timeout=timeout_s, metadata=self._routed("database", self._database))
        return [parse_batch_get(response) for response in await _responses(call)]

    async def run_query(
        self, parent: str, query: StructuredQuery, timeout_s: float, read_time: Message | None = None
    ) -> Found:
        """The result of the query: the present one, or the one at `read_time`."""
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
        """Close the channel. Calls that are under way get at most `grace_s`."""
        await self._channel.close(grace_s)

    def _routed(self, name: str, value: str) -> Metadata:
        routing = to_grpc_metadata(((name, value),))  # type: ignore[no-untyped-call]
        return (*self._metadata, routing)


async def _responses(call: Any) -> list[bytes]:
    responses: list[bytes] = []
    while (response := await call.read()) is not grpc.aio.EOF:
        responses.append(response)
    return responses
