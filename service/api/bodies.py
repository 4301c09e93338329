"""The bodies of answers as JSON Schemas. Keys are in the order in which they are sent. Pure.

Clients must accept keys that are not here: later versions add keys, but never rename or retype one.

Every object and every union has a name, in SCHEMAS or `answers`, and others refer to it by this name. So clients that
are generated from /openapi.json have a type of this name.
"""

from typing import Any

import orjson

from service import SERVICE_NAME
from service.api.contract import Schema
from service.api.description import Description, Key

TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "format": "int64"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE_SECONDS: Schema = {"type": "integer", "minimum": 0}


def ref(name: str) -> Schema:
    """A reference to one of the schemas."""
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


_TYPES: dict[str, Schema] = {
    "string": TEXT_OR_NULL,
    "time": TIME_OR_NULL,
    "integer": COUNT_OR_NULL,
    "number": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "json": {"description": "A map, a list or a value, as the document has it"},
}
_EXAMPLES = {"time": "2025-11-23T09:30:00Z", "integer": 120, "number": 0.5, "boolean": True}


_ITEMS: dict[str, tuple[str, Any]] = {
    "Product": ("One product", {"sku": "A-1"}),
    "ChildItem": ("One of the children", {"name": "fetch"}),
}


def _item_of(child: str) -> str:
    return "Product" if child == "products" else "ChildItem"


def _children(name: str) -> Schema:
    description = f"Only with `include_{name}`"
    return {"type": ["array", "null"], "items": ref(_item_of(name)), "description": description}


def answers(described: Description) -> dict[str, Schema]:
    """The schemas of answers about processes, with the keys of the schema in force, in its order."""
    keys = {key.name: _TYPES[key.type] for key in described.keys}
    example = {"process_id": "import-1", **{key.name: _example(key) for key in described.keys}}
    row = {name: example[name] for name in ("process_id", *(key.name for key in described.keys if key.in_list))}
    id_: dict[str, Schema] = {"process_id": {"type": "string"}}
    children = {name: _children(name) for name in described.children}
    found: dict[str, Schema] = {
        "Process": _object(
            {**id_, **keys, **children},
            "The state of one process. A field that is missing or unreadable in Firestore is null.",
            example,
            optional=described.children,
        ),
        "ProcessRow": _object(
            id_ | {name: keys[name] for name in row if name in keys}, "A process as a list shows it.", row
        ),
        "ProcessList": _process_list(row),
        "StatusEvent": _event(
            "status", "Process", "The state of a process; the ID is its version.", orjson.dumps(example).decode()
        ),
    }
    found |= _event_data(described)
    for name in dict.fromkeys(_item_of(child) for child in described.children):
        what, example = _ITEMS[name]
        found[name] = {"type": "object", "description": f"{what}, as its document has it", "examples": [example]}
    return found


def _event_data(described: Description) -> dict[str, Schema]:
    """The schemas of data in events that only identify a process: its ID and, in a collection group, further keys."""
    shown = {each.key for each in described.filters if each.name in described.path_variables and each.key}
    named: dict[str, Schema] = {name: {"type": "string"} for name in ("process_id", *sorted(shown))}
    example = {"process_id": "import-1", **dict.fromkeys(sorted(shown), "alice")}
    return {
        "Stalled": _object(
            {**named, "last_written": TIME},
            "The process that a `stalled` event is about, and when it was last written in Firestore.",
            {**example, "last_written": "2025-11-23T09:30:45.5Z"},
        ),
        "Removed": _object(
            {
                **named,
                "deleted": {
                    "type": ["boolean", "null"],
                    "description": "true: deleted in Firestore; false: it left the model or a filter; null: unknown",
                },
            },
            "The process that a `removed` event is about.",
            {**example, "deleted": True},
        ),
    }


def _example(key: Key) -> Any:
    return "running" if key.name == "status" else _EXAMPLES.get(key.type)


def _process_list(row: dict[str, Any]) -> Schema:
    return _object(
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
                "description": "The IDs that do not exist; only if the request names processes by ID",
            },
        },
        "A page of a list, or the processes that the request names.",
        {"processes": [row], "count": 1, "next_page_token": None},
        optional=("missing",),
    )


_ERRORS: dict[str, Schema] = {
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

_EVENTS = ("Status", "Stalled", "Removed", "Reset")
_STREAMS: dict[str, Schema] = {
    "Event": {
        "anyOf": [ref(f"{kind}Event") for kind in _EVENTS],
        "discriminator": {
            "propertyName": "event",
            "mapping": {kind.lower(): ref(f"{kind}Event")["$ref"] for kind in _EVENTS},
        },
        "description": "One event of a stream.",
    },
    "StalledEvent": _event(
        "stalled",
        "Stalled",
        "The process has not ended and was not written for STALLED_AFTER_S; the next `status` event ends this.",
        '{"process_id":"import-1","last_written":"2025-11-23T09:30:45.5Z"}',
    ),
    "RemovedEvent": _event(
        "removed",
        "Removed",
        "The process is no longer in the model, or no longer matches the filters.",
        '{"process_id":"import-1","deleted":true}',
    ),
    "ResetEvent": _event("reset", "Reset", "The client must drop all that it has: the present states follow.", "{}"),
    "Reset": {"type": "object", "description": "The data of a `reset` event: no keys", "examples": [{}]},
}

_SERVICE: dict[str, Schema] = {
    "Root": _object(
        {"status": {"const": "healthy"}, "service": {"type": "string"}, "timestamp": TIME},
        "The service's name and time.",
        {"status": "healthy", "service": SERVICE_NAME, "timestamp": "2025-11-23T09:30:45.5Z"},
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
                "description": "proven: one succeeded in the last 10 s; unproven: there was none recently",
            },
        },
        "Whether this replica can answer, and the state of its sources.",
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

_STATISTICS: dict[str, Schema] = {
    "Counts": {
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 1},
        "description": "Numbers of processes by status; the empty text is for processes without a readable status",
        "examples": [{"completed": 140, "failed": 3}],
    },
    "DurationsByStatus": {
        "type": "object",
        "additionalProperties": ref("Durations"),
        "description": "By terminal status, for processes with a known start and end",
        "examples": [{"completed": {"p50": 61.5, "p95": 340.0, "max": 1205.25}}],
    },
    "Durations": _object(
        {key: {"type": "number", "minimum": 0} for key in ("p50", "p95", "max")},
        "Percentiles of the seconds from start to end.",
        {"p50": 61.5, "p95": 340.0, "max": 1205.25},
    ),
    "Finished": _object(
        {"60": ref("Counts"), "3600": ref("Counts")},
        "Processes that ended in the last 60 and 3,600 seconds, by status. A document without an end time counts by"
        " the last change of its answer.",
        {"60": {"completed": 2}, "3600": {"completed": 140, "failed": 3}},
    ),
    "CountsByMinute": {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "description": "By terminal status, if any process ended: a number for each minute",
        "examples": [{"completed": [3, 0, 2]}],
    },
    "FinishedByMinute": _object(
        {
            "from": {**TIME, "description": "The beginning of the first minute"},
            "counts": ref("CountsByMinute"),
        },
        "Processes that ended in each minute, the oldest first; the last minute is the present one.",
        {"from": "2025-11-23T09:30:00Z", "counts": {"completed": [3, 0, 2]}},
    ),
    "Statistics": _object(
        {
            "processes": {"type": "integer", "minimum": 0},
            "complete": {
                "type": "boolean",
                "description": "Whether the window holds all processes that lists can show",
            },
            "by_status": ref("Counts"),
            "stalled": {"type": "integer", "minimum": 0},
            "oldest_unfinished": {**TIME_OR_NULL, "description": "The start of the oldest process that has not ended"},
            "finished": ref("Finished"),
            "duration_s": ref("DurationsByStatus"),
            "finished_by_minute": ref("FinishedByMinute"),
        },
        "Counts of the processes in the model, or of those that match the filters.",
        {
            "processes": 152,
            "complete": True,
            "by_status": {"completed": 146, "failed": 3, "running": 3},
            "stalled": 1,
            "oldest_unfinished": "2025-11-23T09:30:00Z",
            "finished": {"60": {"completed": 2}, "3600": {"completed": 140, "failed": 3}},
            "duration_s": {"completed": {"p50": 61.5, "p95": 340.0, "max": 1205.25}},
        },
        optional=("finished_by_minute",),
    ),
}

SCHEMAS: dict[str, Schema] = {**_ERRORS, **_STATISTICS, **_STREAMS, **_SERVICE}
