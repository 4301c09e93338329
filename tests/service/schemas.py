"""The default schema as tests need it: with an ordering by another type, or with other terminal statuses."""

from collections.abc import Sequence

from listeners.window import OrderType
from service.api.ordering import Order
from service.schema.compiled import Schema
from service.schema.schema_file import default_schema


def schema(order_type: OrderType = "timestamp", *, terminal: Sequence[str] | None = None) -> Schema:
    return Schema(default_schema().overridden(collection=None, order_type=order_type, terminal=terminal))


def order(order_type: OrderType = "timestamp") -> Order:
    return Order("start_time", order_type)
