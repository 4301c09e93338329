"""Maps that mean values of other types: vectors, and BSON types, which only the Enterprise edition stores."""

import math
from collections.abc import Mapping

from service.local_firestore.errors import invalid
from service.local_firestore.messages import ValueMessage

_MAX_DIMENSIONS = 2048
_BSON_TYPES = {
    "__min__": "MIN_VALUE",
    "__max__": "MAX_VALUE",
    "__int__": "INT",
    "__regex__": "REGEX",
    "__oid__": "OBJECT_ID",
    "__binary__": "BYTES_WITH_SUBTYPE",
    "__request_timestamp__": "REQUEST_TIMESTAMP",
    "__decimal128__": "DECIMAL128",
}


def bson_type(fields: Mapping[str, ValueMessage]) -> str | None:
    """The BSON type that a map with this one field means; None if it means none."""
    return _BSON_TYPES.get(next(iter(fields))) if len(fields) == 1 else None


def is_vector(fields: Mapping[str, ValueMessage]) -> bool:
    return "__type__" in fields and fields["__type__"].string_value == "__vector__"


def check_vector(fields: Mapping[str, ValueMessage]) -> None:
    """Raise if a map is declared as a vector, but is none."""
    if fields["__type__"].WhichOneof("value_type") != "string_value":
        raise invalid("Field __type__ is not a string.")
    if not is_vector(fields):
        return
    if "value" not in fields:
        raise invalid("Vector map is missing key 'value'.")
    if len(fields) > 2:
        raise invalid("Vector Value map has extraneous entries.")
    values = fields["value"].array_value.values
    if not values:
        raise invalid("Cannot have a zero length vector.")
    if any(value.WhichOneof("value_type") != "double_value" for value in values):
        raise invalid("Vector must only contain values of type 'double'")
    if len(values) > _MAX_DIMENSIONS:
        raise invalid(f"Vectors must be at most {_MAX_DIMENSIONS} dimensions.")


def has_nan(vector: Mapping[str, ValueMessage]) -> bool:
    """A vector that is stored must not have it; one that is compared with can."""
    return any(math.isnan(value.double_value) for value in vector["value"].array_value.values)
