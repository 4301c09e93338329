"""Every operation of the API, with its parameters and responses. Handlers read requests with these declarations, and
/openapi.json is rendered from them. Pure.

openapi.py adds the parts that every answer has: X-Request-Id, and a 401 if keys are needed.
"""

from service.api import parameters as p
from service.api import waits
from service.api.bodies import WHOLE_SECONDS, ref
from service.api.contract import Header, Operation, Response, Schema
from service.api.sources import Source

X_CACHE = Header("X-Cache", {"enum": [source.value for source in Source]}, "The source of the answer.")
AGE = Header("Age", WHOLE_SECONDS, "The answer was Firestore's state at most this many seconds ago.")
VERSION = Header(
    "ETag",
    {"type": "string", "pattern": r'^"v[0-9]+(-p|~[A-Za-z0-9_]+)*"$'},
    "The version: ordered, and equal on all replicas. The names of included children follow it.",
)
CONTENT_HASH = Header("ETag", {"type": "string", "pattern": '^"[0-9a-f]+"$'}, "A hash of the content.")
RETRY_AFTER = Header(
    "Retry-After",
    {"type": "integer", "minimum": 1},
    "Seconds, with jitter.",
)
PREFERENCE_APPLIED = Header(
    "Preference-Applied", {"type": "string"}, "The seconds granted to a Prefer header.", always=False
)
X_STALLED = Header(
    "X-Stalled",
    {"enum": ["true", "false"]},
    "Whether the process stalls; only if `until` names `stalled`.",
    always=False,
)
NO_BUFFERING = Header("X-Accel-Buffering", {"const": "no"}, "Makes proxies pass events on at once.")

JSON = "application/json"
EVENT_STREAM = "text/event-stream"

PROCESSES, STREAMS, SERVICE = "processes", "streams", "service"
TAGS = {
    PROCESSES: "The state of processes, one by one or as lists.",
    STREAMS: "The state of processes as Server-Sent Events.",
    SERVICE: "The service itself: health, metrics, this document.",
}


def _json(schema: str) -> dict[str, Schema]:
    return {JSON: ref(schema)}


_EVENTS: dict[str, Schema] = {EVENT_STREAM: ref("Event")}


def _error(description: str, *headers: Header) -> Response:
    return Response(description, headers, _json("Error"))


BAD_REQUEST = _error("A parameter is unknown or invalid; the message names it")
CHANGED = "If-Match does not name the present ETag"
TOO_LONG = _error("The request target is longer than 32 KiB")
FAILED = _error("Unexpected failure; the log has its stack trace under the X-Request-Id")
UNAVAILABLE = _error("Firestore can't be reached, a limit is reached, or the server stops", RETRY_AFTER)
NO_PROCESS = _error("The process does not exist", X_CACHE, AGE)

_ALWAYS = {400: BAD_REQUEST, 414: TOO_LONG, 500: FAILED}
_FROM_FIRESTORE = {**_ALWAYS, 503: UNAVAILABLE}


ROOT = Operation(
    "getRoot",
    "/",
    "The service's name and time",
    "Needs no key.",
    {200: Response("The service runs", content=_json("Root")), **_ALWAYS},
    tag=SERVICE,
)
HEALTHZ = Operation(
    "getHealth",
    "/healthz",
    "Whether the service is alive",
    "Its event loop answers. Needs no key, and reads nothing.",
    {200: Response("It is alive", content=_json("Alive")), **_ALWAYS},
    tag=SERVICE,
)
READYZ = Operation(
    "getReadiness",
    "/readyz",
    "Whether this replica can answer, and why",
    "It can if the model is current, or if direct reads are proven to work.",
    {
        200: Response("It can answer", content=_json("Readiness")),
        503: Response("It can't answer; `reason` says why", content=_json("Readiness")),
        **_ALWAYS,
    },
    tag=SERVICE,
)
METRICS = Operation(
    "getMetrics",
    "/metrics",
    "Prometheus metrics",
    "Prometheus text, or OpenMetrics if `Accept` prefers it.",
    {
        200: Response(
            "All metrics of this replica",
            content={"text/plain": {"type": "string"}, "application/openmetrics-text": {"type": "string"}},
        ),
        403: _error("The caller sees the processes of one owner only; metrics count all"),
        500: FAILED,
    },
    (p.ACCEPT,),
    tag=SERVICE,
)
DOCUMENT = Operation(
    "getApiDocument",
    "/openapi.json",
    "This document",
    "OpenAPI 3.1, rendered once at the start from the declarations of the routes.",
    {
        200: Response("The document", (CONTENT_HASH,), _json("ApiDocument")),
        304: Response("Unchanged", (CONTENT_HASH,)),
        412: _error(CHANGED, CONTENT_HASH),
        **_ALWAYS,
    },
    (
        p.IF_MATCH,
        p.IF_NONE_MATCH,
    ),
    tag=SERVICE,
)
_WAITED = (X_CACHE, AGE, VERSION, PREFERENCE_APPLIED, X_STALLED)
STATUS = Operation(
    "getProcess",
    "/status/{process_id}",
    "One process",
    "The model answers if it is current, otherwise Firestore. `wait` makes it a long poll.",
    {
        200: Response("Its state", _WAITED, _json("Process")),
        304: Response("Unchanged since a version that the request names", _WAITED),
        412: _error(CHANGED, *_WAITED),
        404: _error("The process does not exist", X_CACHE, AGE, PREFERENCE_APPLIED),
        **_FROM_FIRESTORE,
    },
    (
        p.PROCESS_ID,
        waits.WAIT,
        waits.UNTIL,
        waits.AFTER,
        p.IF_MATCH,
        p.IF_NONE_MATCH,
        p.CACHE_CONTROL,
        waits.PREFER,
    ),
    tag=PROCESSES,
)
LISTING = Operation(
    "listProcesses",
    "/status",
    "Processes, newest first, or by ID",
    "Ordered by `start_time`, ties by process ID, both descending. With `process_id`: up to 100 processes, in the order"
    " of the request.",
    {
        200: Response(
            "A page",
            (X_CACHE, AGE, CONTENT_HASH),
            _json("ProcessList"),
            links={
                "next_page": {
                    "operationId": "listProcesses",
                    "parameters": {"query.page_token": "$response.body#/next_page_token"},
                    "description": "If `next_page_token` is not null",
                },
                "process": {
                    "operationId": "getProcess",
                    "parameters": {"path.process_id": "$response.body#/processes/0/process_id"},
                    "description": "Each process of the list",
                },
            },
        ),
        304: Response("Unchanged", (X_CACHE, AGE, CONTENT_HASH)),
        412: _error(CHANGED, X_CACHE, AGE, CONTENT_HASH),
        **_FROM_FIRESTORE,
    },
    (
        p.LIMIT,
        p.STATUS_FILTER,
        p.STALLED_FILTER,
        p.START_DATE,
        p.END_DATE,
        p.PAGE_TOKEN,
        p.PROCESS_IDS,
        p.IF_MATCH,
        p.IF_NONE_MATCH,
        p.CACHE_CONTROL,
    ),
    tag=PROCESSES,
)
PROCESS_EVENTS = Operation(
    "streamProcess",
    "/status/{process_id}/events",
    "One process as Server-Sent Events",
    "The present state comes first, then every change; the ID of an event is the version. The stream ends after"
    " `removed`, and after a terminal status unless `follow=true`. `stalled` comes when the process begins to stall,"
    " `status` when it is written again. A `Last-Event-ID` that is not a version gets `reset`"
    " before the present state.",
    {
        200: Response(
            "The stream",
            (X_CACHE, AGE, NO_BUFFERING),
            _EVENTS,
        ),
        204: Response("The process has ended: no event follows the one that the client saw last", (X_CACHE, AGE)),
        404: NO_PROCESS,
        **_FROM_FIRESTORE,
    },
    (p.PROCESS_ID, p.FOLLOW, p.LAST_EVENT_ID),
    has_head=False,
    tag=STREAMS,
)
EVENTS = Operation(
    "streamProcesses",
    "/events",
    "Every process in the model as Server-Sent Events",
    "All processes in the model come first, then every change. With `Last-Event-ID` every change since that event comes"
    " first; if this replica does not have all of them, `reset` and all processes in the model. A process that"
    " leaves the `status` filter comes once more; one that leaves another filter comes as `removed`. `stalled` comes"
    " for each process that stalls, `status` when it is written again.",
    {
        200: Response(
            "The stream",
            (NO_BUFFERING,),
            _EVENTS,
        ),
        **_FROM_FIRESTORE,
    },
    (p.STATUS_FILTER, p.LAST_EVENT_ID),
    has_head=False,
    tag=STREAMS,
)

STATS = Operation(
    "getStatistics",
    "/stats",
    "Counts of the processes in the model",
    "Counts by status, of stalled processes and of those that ended in the last 60 and 3,600 seconds; and durations."
    " Has the filters of lists. `complete` says whether the model has all processes.",
    {
        200: Response("The counts", (X_CACHE, AGE, CONTENT_HASH), _json("Statistics")),
        304: Response("Unchanged", (X_CACHE, AGE, CONTENT_HASH)),
        412: _error(CHANGED, X_CACHE, AGE, CONTENT_HASH),
        **_FROM_FIRESTORE,
    },
    (
        p.STATUS_FILTER,
        p.STALLED_FILTER,
        p.START_DATE,
        p.END_DATE,
        p.BY_MINUTE,
        p.IF_MATCH,
        p.IF_NONE_MATCH,
        p.CACHE_CONTROL,
    ),
    tag=PROCESSES,
)

OPERATIONS = tuple(declared for declared in tuple(vars().values()) if isinstance(declared, Operation))
"""All operations. The schema's filters cannot have the names of their parameters. Its children add some parameters."""
