"""Reads that give Firestore's answers with nothing decoded that is not asked for.

The client library parses and decodes a document as soon as it has come, all of it in one go: 120 ms for 1 MiB of
products, for which the event loop would wait. Here the values of its fields are bytes; who needs what decides how much
of it at a time.
"""

from typing import Any

from google.api_core import gapic_v1
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference
from google.cloud.firestore_v1.types import BatchGetDocumentsRequest, RunQueryResponse, StructuredQuery
from google.protobuf.wrappers_pb2 import Int32Value

from listeners.firestore_values import Message
from listeners.lazy_messages import parse_batch_get

BATCH_GET = "/google.firestore.v1.Firestore/BatchGetDocuments"


class RawReads:
    """Calls over the client library's channel, with its credentials and headers. `how`: retry and timeout."""

    def __init__(self, client: AsyncClient, collection: AsyncCollectionReference) -> None:
        self._client = client
        self._collection = collection
        self._batch_get: Any = None  # made in the loop that its channel belongs to

    async def get(self, document_id: str, fields: list[str], **how: Any) -> Message | None:
        """One document's answer, see `lazy_messages.parse_batch_get`; None where Firestore said nothing."""
        request = BatchGetDocumentsRequest(
            database=self._client._database_string,
            documents=[self._collection.document(document_id)._document_path],
            mask={"field_paths": sorted(fields)},
        )
        if self._batch_get is None:
            self._batch_get = self._stub()
        routing = gapic_v1.routing_header.to_grpc_metadata((("database", request.database),))  # type: ignore[no-untyped-call]
        async for answer in await self._batch_get(request, metadata=[*self._client._rpc_metadata, routing], **how):
            return parse_batch_get(answer)
        return None

    def _stub(self) -> Any:
        channel = self._client._firestore_api.transport.grpc_channel
        bare = channel.unary_stream(BATCH_GET, request_serializer=BatchGetDocumentsRequest.serialize)
        return gapic_v1.method_async.wrap_method(bare)  # type: ignore[no-untyped-call]

    async def subcollection(self, document_name: str, name: str, limit: int, **how: Any) -> list[Message]:
        """The first documents of a document's subcollection, by ID, as they came: parsed, not decoded."""
        query = StructuredQuery(
            from_=[StructuredQuery.CollectionSelector(collection_id=name)],
            order_by=[StructuredQuery.Order(field=StructuredQuery.FieldReference(field_path="__name__"))],
            limit=Int32Value(value=limit),
        )
        request = {"parent": document_name, "structured_query": query}
        api = self._client._firestore_api
        found = await api.run_query(request=request, metadata=self._client._rpc_metadata, **how)
        answers = [RunQueryResponse.pb(response) async for response in found]
        return [answer.document for answer in answers if answer.HasField("document")]
