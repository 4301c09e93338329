"""The protocol's messages as plain protobuf classes, because proto-plus wrappers would cost more than all other work.

The classes have no static types, so annotations use the aliases at the end, which name the message.
"""

from typing import Any

from google.cloud.firestore_v1 import types
from google.protobuf import empty_pb2

from service.local_firestore.errors import invalid

Empty: Any = empty_pb2.Empty
Document: Any = types.Document.pb()
Value: Any = types.Value.pb()
ArrayValue: Any = types.ArrayValue.pb()
Write: Any = types.Write.pb()
WriteResult: Any = types.WriteResult.pb()
DocumentMask: Any = types.DocumentMask.pb()
StructuredQuery: Any = types.StructuredQuery.pb()
Cursor: Any = types.Cursor.pb()
ListenRequest: Any = types.ListenRequest.pb()
ListenResponse: Any = types.ListenResponse.pb()
TargetChange: Any = types.TargetChange.pb()
BatchGetDocumentsRequest: Any = types.BatchGetDocumentsRequest.pb()
BatchGetDocumentsResponse: Any = types.BatchGetDocumentsResponse.pb()
GetDocumentRequest: Any = types.GetDocumentRequest.pb()
ListDocumentsRequest: Any = types.ListDocumentsRequest.pb()
ListDocumentsResponse: Any = types.ListDocumentsResponse.pb()
RunQueryRequest: Any = types.RunQueryRequest.pb()
RunQueryResponse: Any = types.RunQueryResponse.pb()
RunAggregationQueryRequest: Any = types.RunAggregationQueryRequest.pb()
RunAggregationQueryResponse: Any = types.RunAggregationQueryResponse.pb()
CommitRequest: Any = types.CommitRequest.pb()
CommitResponse: Any = types.CommitResponse.pb()
BatchWriteRequest: Any = types.BatchWriteRequest.pb()
BatchWriteResponse: Any = types.BatchWriteResponse.pb()
BeginTransactionRequest: Any = types.BeginTransactionRequest.pb()
BeginTransactionResponse: Any = types.BeginTransactionResponse.pb()
RollbackRequest: Any = types.RollbackRequest.pb()
CreateDocumentRequest: Any = types.CreateDocumentRequest.pb()
UpdateDocumentRequest: Any = types.UpdateDocumentRequest.pb()
DeleteDocumentRequest: Any = types.DeleteDocumentRequest.pb()
PartitionQueryRequest: Any = types.PartitionQueryRequest.pb()
PartitionQueryResponse: Any = types.PartitionQueryResponse.pb()
WriteRequest: Any = types.WriteRequest.pb()
WriteResponse: Any = types.WriteResponse.pb()
ListCollectionIdsRequest: Any = types.ListCollectionIdsRequest.pb()
ListCollectionIdsResponse: Any = types.ListCollectionIdsResponse.pb()

Message = Any
DocumentMessage = Any
ValueMessage = Any
WriteMessage = Any
QueryMessage = Any
TimestampMessage = Any


def set_time(timestamp: TimestampMessage, time_us: int) -> None:
    """Write whole microseconds since the epoch into a timestamp message."""
    timestamp.seconds, micros = divmod(time_us, 1_000_000)
    timestamp.nanos = micros * 1000


def time_of(timestamp: TimestampMessage) -> int:
    """A timestamp message as whole microseconds since the epoch."""
    return int(timestamp.seconds) * 1_000_000 + int(timestamp.nanos) // 1000


def exact_time_of(timestamp: TimestampMessage) -> int:
    """A time in a request. It must be one that a commit can have."""
    if timestamp.nanos % 1000:
        raise invalid("timestamp cannot have more than microseconds precision")
    if timestamp.seconds < 0:
        raise invalid("Only timestamps past epoch are supported.")
    return time_of(timestamp)
