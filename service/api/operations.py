"""Every operation of the API: what it takes and what it answers. Handlers read requests with these, and
/openapi.json is rendered from these. Pure.

What holds for every answer (its X-Request-Id, the 401 where keys are needed) is openapi's.
"""

from service.api import parameters as p
from service.api.bodies import WHOLE_SECONDS, event, ref
from service.api.contract import Header, Operation, Response, Schema
from service.api.sources import Source

X_CACHE = Header("X-Cache", {"enum": [source.value for source in Source]}, "Where the answer comes from.")
AGE = Header("Age", WHOLE_SECONDS, "At most so many seconds ago Firestore's state was this.")
VERSION = Header("ETag", {"type": "string", "pattern": r'^"v[0-9]+(-p)?"$'}, "The version: ordered, on every replica.")
CONTENT_HASH = Header("ETag", {"type": "string", "pattern": '^"[0-9a-f]+"$'}, "A hash of the content.")
RETRY_AFTER = Header("Retry-After", {"type": "integer", "minimum": 1}, "Seconds, different for every client.")
PREFERENCE_APPLIED = Header("Preference-Applied", {"type": "string"}, "The wait of a Prefer header.", always=False)
NO_BUFFERING = Header("X-Accel-Buffering", {"const": "no"}, "Asks proxies to pass events on at once.")

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


def _json(schema: str) -> dict[str, Schema]:
    return {JSON: ref(schema)}


def _error(description: str, *headers: Header) -> Response:
    return Response(description, headers, _json("Error"))


BAD_REQUEST = _error("A parameter is unknown or can't be used; the message names it")
CHANGED = "If-Match names none of the present ETags"
FAILED = _error("Something unexpected; the log has the story")
UNAVAILABLE = _error("Firestore can't be reached, a budget is used up, or the server stops", RETRY_AFTER)
NO_PROCESS = _error("There is no such process", X_CACHE, AGE)

_ALWAYS = {400: BAD_REQUEST, 500: FAILED}
_FROM_FIRESTORE = {**_ALWAYS, 503: UNAVAILABLE}


def _status_event() -> Schema:
    return event("status", ref("Process"))


def _removed_event() -> Schema:
    return event("removed", ref("Removed"))


def _reset_event() -> Schema:
    return event("reset", {"type": "object"})


ROOT = Operation(
    "getRoot",
    "/",
    "The service's name and time",
    "Needs no key.",
    {200: Response("The service answers", content=_json("Root")), **_ALWAYS},
)
HEALTHZ = Operation(
    "getHealth",
    "/healthz",
    "Whether the process is alive",
    "Its event loop turns. Needs no key, and asks nobody.",
    {200: Response("It is", content=_json("Alive")), **_ALWAYS},
)
READYZ = Operation(
    "getReadiness",
    "/readyz",
    "Whether this replica can answer, and why",
    "From the model, or by direct reads that are proven to work.",
    {
        200: Response("It can", content=_json("Readiness")),
        503: Response("It can't, for the reason given", content=_json("Readiness")),
        **_ALWAYS,
    },
)
METRICS = Operation(
    "getMetrics",
    "/metrics",
    "Prometheus metrics",
    "Prometheus text, OpenMetrics on request.",
    {
        200: Response(
            "The scrape",
            content={"text/plain": {"type": "string"}, "application/openmetrics-text": {"type": "string"}},
        ),
        500: FAILED,
    },
    (p.ACCEPT,),
)
DOCUMENT = Operation(
    "getApiDocument",
    "/openapi.json",
    "This document",
    "OpenAPI 3.1, rendered once at the start from what the routes are declared with.",
    {
        200: Response("The document", (CONTENT_HASH,), {JSON: {"type": "object"}}),
        304: Response("It has not changed", (CONTENT_HASH,)),
        412: _error(CHANGED, CONTENT_HASH),
        **_ALWAYS,
    },
    (
        p.IF_MATCH,
        p.IF_NONE_MATCH,
    ),
)
STATUS = Operation(
    "getProcess",
    "/status/{process_id}",
    "One process",
    "Answered from memory where memory can be proven right, else from Firestore; `wait` makes it a long poll.",
    {
        200: Response("Its state", (X_CACHE, AGE, VERSION, PREFERENCE_APPLIED), _json("Process")),
        304: Response("One of the versions seen, still", (X_CACHE, AGE, VERSION, PREFERENCE_APPLIED)),
        412: _error(CHANGED, X_CACHE, AGE, VERSION, PREFERENCE_APPLIED),
        404: _error("There is no such process", X_CACHE, AGE, PREFERENCE_APPLIED),
        **_FROM_FIRESTORE,
    },
    (
        p.PROCESS_ID,
        p.INCLUDE_PRODUCTS,
        p.WAIT,
        p.UNTIL,
        p.AFTER,
        p.IF_MATCH,
        p.IF_NONE_MATCH,
        p.CACHE_CONTROL,
        p.PREFER,
    ),
)
LISTING = Operation(
    "listProcesses",
    "/status",
    "Processes, newest first, or by ID",
    "Ordered by `start_time`, ties by process ID, both descending; or up to 100 by `process_id`, in the order asked.",
    {
        200: Response(
            "A page",
            (X_CACHE, AGE, CONTENT_HASH),
            _json("ProcessList"),
            links={
                "next_page": {
                    "operationId": "listProcesses",
                    "parameters": {"query.page_token": "$response.body#/next_page_token"},
                    "description": "Where `next_page_token` is not null",
                },
                "process": {
                    "operationId": "getProcess",
                    "parameters": {"path.process_id": "$response.body#/processes/0/process_id"},
                    "description": "Each process by itself",
                },
            },
        ),
        304: Response("It has not changed", (X_CACHE, AGE, CONTENT_HASH)),
        412: _error(CHANGED, X_CACHE, AGE, CONTENT_HASH),
        **_FROM_FIRESTORE,
    },
    (
        p.LIMIT,
        p.STATUS_FILTER,
        p.START_DATE,
        p.END_DATE,
        p.PAGE_TOKEN,
        p.PROCESS_IDS,
        p.IF_MATCH,
        p.IF_NONE_MATCH,
        p.CACHE_CONTROL,
    ),
)
PROCESS_EVENTS = Operation(
    "streamProcess",
    "/status/{process_id}/events",
    "One process as Server-Sent Events",
    "Its present state, then every change, each with its version as ID; ends after `removed`, and after a terminal"
    " status unless `follow=true`."
    " A `Last-Event-ID` that means nothing here is answered with `reset` before the present state.",
    {
        200: Response(
            "The stream",
            (X_CACHE, AGE, NO_BUFFERING),
            {EVENT_STREAM: {"anyOf": [_status_event(), _removed_event(), _reset_event()]}},
        ),
        204: Response("It has ended, as the client knows: nothing will come any more", (X_CACHE, AGE)),
        404: NO_PROCESS,
        **_FROM_FIRESTORE,
    },
    (p.PROCESS_ID, p.FOLLOW, p.LAST_EVENT_ID),
    has_head=False,
)
EVENTS = Operation(
    "streamProcesses",
    "/events",
    "Every process that the model holds as Server-Sent Events",
    "All that are held, then every change. With `Last-Event-ID` everything since comes first, or, where this replica"
    " can't tell all of it, `reset` and all that are held. A process that leaves the `status` filter comes once more.",
    {
        200: Response(
            "The stream",
            (NO_BUFFERING,),
            {EVENT_STREAM: {"anyOf": [_status_event(), _removed_event(), _reset_event()]}},
        ),
        **_FROM_FIRESTORE,
    },
    (p.STATUS_FILTER, p.LAST_EVENT_ID),
    has_head=False,
)
