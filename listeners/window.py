"""Which documents a listener holds: the newest of a collection or collection group, or all of them.

Firestore sorts values of different types separately, and a range filter selects one type. So a window has a range
filter on its ordering field: then model and Firestore agree on the documents of a list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from google.cloud.firestore_v1.base_query import BaseQuery, FieldFilter
from google.cloud.firestore_v1.types import StructuredQuery, Value
from google.protobuf.wrappers_pb2 import Int32Value

from listeners.collection_path import CollectionPath, collection_path

PROBE_ID = "process-status-probe-that-does-not-exist"
"""A legal document ID that is not in use: a probe is one billed read of a document that does not exist."""

OrderType = Literal["timestamp", "string", "milliseconds", "seconds"]

SMALLEST: Mapping[OrderType, datetime | str | float] = {
    "timestamp": datetime.min.replace(tzinfo=UTC),
    "string": "",
    "milliseconds": float("-inf"),
    "seconds": float("-inf"),
}
"""The least value of each type. `>=` this value is true for all values of its type and no others; never for NaN."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """The field by which lists are ordered, as a Firestore path, and the type of its values."""

    field: str
    type: OrderType

    @property
    def smallest(self) -> datetime | str | float:
        """The least value of the type."""
        return SMALLEST[self.type]


@dataclass(frozen=True, slots=True)
class Window:
    """The first `size` documents of `collection` in descending order; documents with equal values by ID, descending
    too.

    `size` 0 means the whole collection, including documents whose ordering field has another type. For a pattern, it
    means the documents of its collection group, including foreign ones.
    """

    project: str
    database: str
    collection: str
    ordering: Ordering
    size: int

    @property
    def database_path(self) -> str:
        """`projects/…/databases/…`."""
        return f"projects/{self.project}/databases/{self.database}"

    @property
    def documents_path(self) -> str:
        """`projects/…/databases/…/documents`: the parent of the collection."""
        return f"{self.database_path}/documents"

    @property
    def path(self) -> CollectionPath:
        """The path of the collection, which knows the names and keys of its documents."""
        return collection_path(self.collection, f"{self.documents_path}/")

    def query(self, client: Any) -> BaseQuery:
        """The window as the client library's query, for its synchronous or its asynchronous client."""
        path = self.path
        collection = client.collection_group(path.id) if path.is_group else client.collection(path.id)
        if not self.size:
            return collection  # type: ignore[no-any-return]
        field = self.ordering.field
        typed = collection.where(filter=FieldFilter(field, ">=", self.ordering.smallest))
        return typed.order_by(field, direction="DESCENDING").limit(self.size)  # type: ignore[no-any-return]

    def structured_query(self) -> StructuredQuery:
        """The window as the protocol's query."""
        path = self.path
        selector = StructuredQuery.CollectionSelector(collection_id=path.id, all_descendants=path.is_group)
        query = StructuredQuery(from_=[selector])
        if not self.size:
            return query
        field = StructuredQuery.FieldReference(field_path=self.ordering.field)
        query.where = StructuredQuery.Filter(
            field_filter=StructuredQuery.FieldFilter(
                field=field,
                op=StructuredQuery.FieldFilter.Operator.GREATER_THAN_OR_EQUAL,
                value=order_value(self.ordering.smallest),
            )
        )
        descending = StructuredQuery.Direction.DESCENDING
        query.order_by = [StructuredQuery.Order(field=field, direction=descending)]
        query.limit = Int32Value(value=self.size)
        return query


def order_value(value: datetime | str | float) -> Value:
    """A value of an ordering field as the protocol encodes it."""
    if isinstance(value, datetime):
        return Value(timestamp_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    return Value(integer_value=value) if isinstance(value, int) else Value(double_value=value)
