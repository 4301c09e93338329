"""The bodies of answers as JSON Schemas, keys in the order in which they are sent. Pure.

Clients must bear keys that they don't know: new ones may come, none is renamed or retyped.
"""

from typing import Any

from service.api.contract import Schema

TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "format": "int64"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE_SECONDS: Schema = {"type": "integer", "minimum": 0}


def ref(name: str) -> Schema:
    """One of SCHEMAS, by reference."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), description: str = "") -> Schema:
    said = {"description": description} if description else {}
    required = [name for name in properties if name not in optional]
    return {"type": "object", **said, "required": required, "properties": properties}


_HEAD: dict[str, Schema] = {
    "process_id": {"type": "string"},
    "status": TEXT_OR_NULL,
    "start_time": TIME_OR_NULL,
    "end_time": TIME_OR_NULL,
    "last_updated": TIME_OR_NULL,
}
_COUNTS: dict[str, Schema] = {"products_processed": COUNT_OR_NULL, "products_failed": COUNT_OR_NULL}
_PRODUCTS: Schema = {
    "type": ["array", "null"],
    "items": {"type": "object"},
    "description": "Only with `include_products`",
}

SCHEMAS: dict[str, Schema] = {
    "Process": _object(
        {**_HEAD, "csv_url": TEXT_OR_NULL, **_COUNTS, "products": _PRODUCTS},
        optional=("products",),
        description="The state of one process; what is unknown or can't be read is null.",
    ),
    "ProcessRow": _object({**_HEAD, **_COUNTS}, description="A process as a list shows it."),
    "ProcessList": _object(
        {
            "processes": {"type": "array", "items": ref("ProcessRow"), "maxItems": 1000},
            "count": {"type": "integer", "minimum": 0, "maximum": 1000},
            "next_page_token": {"type": ["string", "null"], "format": "page-token"},
            "missing": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Only where processes were asked for by ID: those that don't exist",
            },
        },
        optional=("missing",),
    ),
    "Removed": _object(
        {
            "process_id": {"type": "string"},
            "deleted": {
                "type": ["boolean", "null"],
                "description": "true: from Firestore; false: only from what this service holds; null: not known which",
            },
        },
    ),
    "Root": _object({"status": {"const": "healthy"}, "service": {"type": "string"}, "timestamp": TIME}),
    "Alive": _object({"status": {"const": "alive"}}),
    "Readiness": _object(
        {
            "status": {"enum": ["ready", "not_ready"]},
            "ready": {"type": "boolean"},
            "reason": {"type": "string"},
            "listener_kind": {"enum": ["stream", "on_snapshot"]},
            "listener_state": {"type": "string"},
            "listener_reason": {"type": "string"},
            "documents": {"type": "integer", "minimum": 0},
            "confirmed_s_ago": {"type": ["number", "null"], "minimum": 0},
            "model_trusted": {"type": "boolean"},
            "direct_reads": {
                "enum": ["proven", "failing", "unproven"],
                "description": "proven: one succeeded in the last 10 s; unproven: none was made lately",
            },
        },
    ),
    "Error": _object(
        {
            "status": {"const": "error"},
            "message": {"type": "string"},
            "details": {"type": "string", "description": "Only of a development server: the stack trace"},
        },
        optional=("details",),
    ),
}


def event(name: str, data: Schema) -> dict[str, Any]:
    """One event of a stream: its name, and the JSON text that its data is."""
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {"const": name},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
            "id": {"type": "string", "pattern": "^[0-9]*$"},
        },
    }
