"""What the listeners under test are asked for."""

from listeners.field_paths import Projection, parse_field_path
from listeners.window import Ordering, OrderType


def wanted(*names: str) -> Projection:
    """These fields of each document."""
    return Projection(map(parse_field_path, names))


def by(order_type: OrderType) -> Ordering:
    """Ordered by `start_time`, which is of this type."""
    return Ordering("start_time", order_type)
