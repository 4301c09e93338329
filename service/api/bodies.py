"""The bodies of answers as JSON Schemas, keys in the order in which they are sent. Pure.

Clients must accept keys that are not here: later versions add keys, but never rename or retype one.

Every object and every union is one of SCHEMAS, and refers to others by name: clients that are generated from
/openapi.json name their types by it.
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


def _object(properties: dict[str, Schema], description: str, example: Any, *, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    parts = {"required": required, "properties": properties, "examples": [example]}
    return {"type": "object", "description": description, **parts}


def _event(name: str, data: str, description: str, text: str) -> Schema:
    """One event of a stream. Its data is JSON text of the schema named `data`; `text` is an example."""
    return _object(
        {
            "event": {"const": name},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": ref(data)},
            "id": {"type": "string", "pattern": "^[0-9]*$"},
        },
        description,
        {"event": name, "data": text, "id": "1763890245000000"},
        optional=("id",),
    )


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
    "items": ref("Product"),
    "description": "Only with `include_products`",
}

_IS_RUNNING = {
    "process_id": "import-1",
    "status": "running",
    "start_time": "2025-11-23T09:30:00Z",
    "end_time": None,
    "last_updated": "2025-11-23T09:30:45.5Z",
}
_ROW = {**_IS_RUNNING, "products_processed": 120, "products_failed": 2}
_PROCESS_TEXT = (
    '{"process_id":"import-1","status":"completed","start_time":"2025-11-23T09:30:00Z",'
    '"end_time":"2025-11-23T09:31:00Z","last_updated":"2025-11-23T09:31:00Z",'
    '"csv_url":null,"products_processed":240,"products_failed":2}'
)

_ANSWERS: dict[str, Schema] = {
    "Process": _object(
        {**_HEAD, "csv_url": TEXT_OR_NULL, **_COUNTS, "products": _PRODUCTS},
        "The state of one process. A field that is missing or unreadable in Firestore is null.",
        {
            **_IS_RUNNING,
            "csv_url": "https://example.com/import-1.csv",
            "products_processed": 120,
            "products_failed": 2,
        },
        optional=("products",),
    ),
    "Product": {"type": "object", "description": "One product, as its document has it", "examples": [{"sku": "A-1"}]},
    "ProcessRow": _object({**_HEAD, **_COUNTS}, "A process as a list shows it.", _ROW),
    "ProcessList": _object(
        {
            "processes": {"type": "array", "items": ref("ProcessRow"), "maxItems": 1000},
            "count": {"type": "integer", "minimum": 0, "maximum": 1000},
            "next_page_token": {
                "type": ["string", "null"],
                "format": "page-token",
                "description": "The `page_token` of the next page; null on the last page",
            },
            "missing": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Only where the request names processes by ID: those that do not exist",
            },
        },
        "A page of a list, or the processes that the request names.",
        {"processes": [_ROW], "count": 1, "next_page_token": None},
        optional=("missing",),
    ),
    "Error": _object(
        {
            "status": {"const": "error"},
            "message": {"type": "string"},
            "details": {"type": "string", "description": "The stack trace, only with ENVIRONMENT=development"},
        },
        "Every answer that is an error.",
        {"status": "error", "message": "Process with ID import-1 not found"},
        optional=("details",),
    ),
}

_STREAMS: dict[str, Schema] = {
    "Event": {
        "anyOf": [ref("StatusEvent"), ref("RemovedEvent"), ref("ResetEvent")],
        "discriminator": {
            "propertyName": "event",
            "mapping": {kind.lower(): ref(f"{kind}Event")["$ref"] for kind in ("Status", "Removed", "Reset")},
        },
        "description": "One event of a stream.",
    },
    "StatusEvent": _event("status", "Process", "The state of a process; the ID is its version.", _PROCESS_TEXT),
    "RemovedEvent": _event(
        "removed",
        "Removed",
        "The process is no longer in the model, or no longer fits the filters.",
        '{"process_id":"import-1","deleted":true}',
    ),
    "ResetEvent": _event("reset", "Reset", "The client must drop all that it holds: the present states follow.", "{}"),
    "Removed": _object(
        {
            "process_id": {"type": "string"},
            "deleted": {
                "type": ["boolean", "null"],
                "description": "true: deleted in Firestore; false: it only left the model or a filter; null: unknown",
            },
        },
        "The process that a `removed` event is about.",
        {"process_id": "import-1", "deleted": True},
    ),
    "Reset": {"type": "object", "description": "The data of a `reset` event: no keys", "examples": [{}]},
}

_SERVICE: dict[str, Schema] = {
    "Root": _object(
        {"status": {"const": "healthy"}, "service": {"type": "string"}, "timestamp": TIME},
        "The service's name and time.",
        {"status": "healthy", "service": "process-status-service", "timestamp": "2025-11-23T09:30:45.5Z"},
    ),
    "Alive": _object({"status": {"const": "alive"}}, "The service is alive.", {"status": "alive"}),
    "Readiness": _object(
        {
            "status": {"enum": ["ready", "not_ready"]},
            "ready": {"type": "boolean"},
            "reason": {"type": "string"},
            "listener_kind": {"enum": ["stream", "on_snapshot"]},
            "listener_state": {"type": "string"},
            "listener_reason": {"type": "string"},
            "documents": {"type": "integer", "minimum": 0, "description": "Processes in the model"},
            "confirmed_s_ago": {
                "type": ["number", "null"],
                "minimum": 0,
                "description": "Seconds since Firestore last confirmed the model; null: never",
            },
            "model_trusted": {"type": "boolean", "description": "Whether requests are answered from the model"},
            "direct_reads": {
                "enum": ["proven", "failing", "unproven"],
                "description": "proven: one succeeded in the last 10 s; unproven: there was none lately",
            },
        },
        "Whether this replica can answer, and the state of what it answers from.",
        {
            "status": "ready",
            "ready": True,
            "reason": "the model is confirmed",
            "listener_kind": "stream",
            "listener_state": "live",
            "listener_reason": "synced",
            "documents": 10_000,
            "confirmed_s_ago": 1.2,
            "model_trusted": True,
            "direct_reads": "unproven",
        },
    ),
    "ApiDocument": {"type": "object", "description": "This document: OpenAPI 3.1"},
}

SCHEMAS: dict[str, Schema] = {**_ANSWERS, **_STREAMS, **_SERVICE}
