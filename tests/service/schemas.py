"""The default schema as tests need it: with an ordering by another type, or with other terminal statuses."""

from collections.abc import Sequence

from listeners.window import OrderType
from service.api.ordering import Order
from service.schema.compiled import Schema
from service.schema.schema_file import Access, Filter, SchemaFile, default_schema


def schema(order_type: OrderType = "timestamp", *, terminal: Sequence[str] | None = None) -> Schema:
    return Schema(default_schema().overridden(collection=None, order_type=order_type, terminal=terminal))


def with_filters(order_type: OrderType = "timestamp") -> SchemaFile:
    """The default schema with a filter by text and one by whole numbers."""
    file = default_schema().overridden(collection=None, order_type=order_type, terminal=None)
    filters = {
        "owner": Filter.model_validate({}),
        "shard": Filter.model_validate({"from": "place.shard", "as": "integer"}),
    }
    return file.model_copy(update={"filters": filters})


def order(order_type: OrderType = "timestamp") -> Order:
    return Order("start_time", order_type)


def with_owner(order_type: OrderType = "timestamp") -> SchemaFile:
    """The same, where the filter by text says whose a process is."""
    return with_filters(order_type).model_copy(update={"access": Access(owner="owner")})
