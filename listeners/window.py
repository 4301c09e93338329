"""Which documents a listener holds: the newest of one collection, or the whole of it.

Firestore sorts values of different types one after the other and a range filter keeps to one type, so a window
carries a range filter on its ordering field: model and Firestore then agree on what belongs to a list.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from google.cloud.firestore_v1.base_query import BaseQuery, FieldFilter
from google.cloud.firestore_v1.types import StructuredQuery, Value
from google.protobuf.wrappers_pb2 import Int32Value

StartTimeType = Literal["timestamp", "string"]

ORDER_FIELD = "start_time"

SMALLEST: dict[StartTimeType, datetime | str] = {"timestamp": datetime.min.replace(tzinfo=UTC), "string": ""}
"""The least value of each type: `>=` it is true for every value of the type and for no other."""


@dataclass(frozen=True, slots=True)
class Window:
    """The `size` documents of `collection` with the newest `start_time`, ties by document ID descending.

    `size` 0 is the whole collection, documents without a usable `start_time` included.
    """

    project: str
    database: str
    collection: str
    start_time_type: StartTimeType
    size: int

    @property
    def database_path(self) -> str:
        """`projects/…/databases/…`."""
        return f"projects/{self.project}/databases/{self.database}"

    @property
    def documents_path(self) -> str:
        """`projects/…/databases/…/documents`: the parent of the collection."""
        return f"{self.database_path}/documents"

    def query(self, client: Any) -> BaseQuery:
        """The window as the client library's query, for its synchronous or its asynchronous client."""
        collection = client.collection(self.collection)
        if not self.size:
            return collection  # type: ignore[no-any-return]
        typed = collection.where(filter=FieldFilter(ORDER_FIELD, ">=", SMALLEST[self.start_time_type]))
        return typed.order_by(ORDER_FIELD, direction="DESCENDING").limit(self.size)  # type: ignore[no-any-return]

    def structured_query(self) -> StructuredQuery:
        """The window as the protocol's query."""
        query = StructuredQuery(from_=[StructuredQuery.CollectionSelector(collection_id=self.collection)])
        if not self.size:
            return query
        smallest = SMALLEST[self.start_time_type]
        value = Value(string_value="") if isinstance(smallest, str) else Value(timestamp_value=smallest)
        field = StructuredQuery.FieldReference(field_path=ORDER_FIELD)
        query.where = StructuredQuery.Filter(
            field_filter=StructuredQuery.FieldFilter(
                field=field, op=StructuredQuery.FieldFilter.Operator.GREATER_THAN_OR_EQUAL, value=value
            )
        )
        descending = StructuredQuery.Direction.DESCENDING
        query.order_by = [StructuredQuery.Order(field=field, direction=descending)]
        query.limit = Int32Value(value=self.size)
        return query
