"""What holds for every request, whatever handles it: its ID, who may ask, errors as JSON, one log line, one count.

Stands around the whole application, so that aiohttp's own errors go through it too.

Nothing of the inside leaves in production: an unexpected error is a fixed message here and a stack trace in the log.
"""

import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from service.api.headers import BASE_HEADERS, OPEN_PATHS
from service.api.parameters import REQUEST_ID
from service.errors import BadParameter, BudgetExhausted, ReadRefused, Unreachable, WatchRefused
from service.http.access import PREFLIGHT_HEADERS, cors_headers, is_allowed
from service.runtime.turns import OTHER_S, Turns
from service.telemetry.logs import RequestLog, current_trace
from service.telemetry.logs.request_log import escaped
from service.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

JSON_TYPE = "application/json; charset=utf-8"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROUTE_LABEL = web.RequestKey("ROUTE_LABEL", str)
"""Set by a handler whose requests are to be counted and timed apart from others of the same route."""

WAITED_STATUS = "/status/{process_id}?wait"
"""The label of those who wait for a process: how long they take is their own wish."""

_ARRIVED_AT = web.RequestKey("_ARRIVED_AT", float)
"""Of a request that has been with the fast path before it came here."""

_BEGUN = web.RequestKey("_BEGUN", web.StreamResponse)
CLIENT_CLOSED_REQUEST = 499
_IDS_AT_ONCE = 256
_FAILURES = {"/status/{process_id}": "Error retrieving process status", "/status": "Error listing processes"}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may ask: `keys` empty means everybody. `open_paths` need no key."""

    keys: tuple[bytes, ...] = ()
    origins: tuple[str, ...] = ()
    open_paths: frozenset[str] = OPEN_PATHS


def json_response(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response with a rendered JSON body."""
    return web.Response(body=body, status=status, headers={"Content-Type": JSON_TYPE, **(headers or {})})


def error_response(
    status: int, message: str, *, headers: Mapping[str, str] | None = None, details: str | None = None
) -> web.Response:
    """The one shape of every error."""
    return json_response(error_body(message, details), status=status, headers=headers)


def error_body(message: str, details: str | None = None) -> bytes:
    """What it says."""
    body = {"status": "error", "message": message}
    return orjson.dumps(body if details is None else {**body, "details": details})


def precondition_failed_response(headers: Mapping[str, str]) -> web.Response:
    """A 412, with the headers of the answer that If-Match does not name."""
    return error_response(412, "Precondition Failed", headers=headers)


def process_not_found(process_id: str) -> str:
    """The message of a 404."""
    return f"Process with ID {process_id} not found"


def retry_after(least_s: float) -> dict[str, str]:
    """A jittered Retry-After: fixed values would bring all clients back at once."""
    return {"Retry-After": str(max(1, round(least_s * random.uniform(1, 3) + random.uniform(0, 2))))}  # noqa: S311


class HttpFrame:
    """Goes around an application's handler."""

    def __init__(
        self, metrics: Metrics, request_log: RequestLog | None, access: AccessRules, turns: Turns, *, show_details: bool
    ) -> None:
        self._turns = turns
        self._metrics = metrics
        self._request_log = request_log
        self._access = access
        self._show_details = show_details

    def around(self, handler: Handler) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """`handler`, framed."""

        async def framed(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(cast("web.Request", request), handler)  # what an application's factory makes

        return framed

    async def begin(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send the head of a response that is written bit by bit, with what every response carries.

        However the client ends it, the request is logged and counted with this response's status.
        """
        request_id = _request_id(request)
        self._decorate(request, response, request_id)
        await response.prepare(request)
        response.headers.clear()  # they have been sent, and a stream lives long: a kilobyte for each client
        response.headers["X-Request-Id"] = request_id
        request[_BEGUN] = response

    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        lent_at = _taken_lent_at(request)
        if lent_at is not None:
            request[_ARRIVED_AT] = lent_at
        started = lent_at or time.perf_counter()
        request_id = _request_id(request)
        _set_trace(request)
        status, size = CLIENT_CLOSED_REQUEST, 0
        try:
            if lent_at is None and not self._turns.takes(started, for_s=OTHER_S):
                await self._turns.turn()
            response = await self._answer(request, handler)
            self._decorate(request, response, request_id)
            status, size = response.status, _body_bytes(response)
            return response
        finally:
            # Taken out of it: a response that refers to its request would leave both to a full garbage collection.
            begun = request.pop(_BEGUN, None) if len(request) else None
            if begun is not None:
                status, size, request_id = begun.status, _body_bytes(begun), begun.headers["X-Request-Id"]
            self._account(request, status, size, started, request_id)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _of_http_exception(request, error)
        except BadParameter as error:
            return error_response(400, str(error))
        except BudgetExhausted as error:
            return error_response(
                503,
                "Too many direct reads at the moment; try again later",
                headers=retry_after(error.retry_after_s),
            )
        except WatchRefused as error:
            return error_response(503, str(error), headers=retry_after(error.retry_after_s))
        except Unreachable:  # logged where it was found, once for all requests
            return error_response(503, "Firestore can't be reached; try again later", headers=retry_after(1))
        except ReadRefused as error:
            return self._failure(request, error)
        except Exception as error:
            log.exception("unexpected error in %s", _route(request))
            return self._failure(request, error)

    @property
    def admission(self) -> Middleware:
        """The application's middleware: who may ask. Inside the frame, so that refusals carry their route."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            asks_for_permission = "Access-Control-Request-Method" in request.headers
            if request.method == "OPTIONS" and self._access.origins and asks_for_permission:
                return web.Response(status=204, headers=PREFLIGHT_HEADERS)
            if self._access.keys and request.path not in self._access.open_paths and not self._has_key(request):
                return error_response(
                    401,
                    "An API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            return await handler(request)

        return admit

    def _has_key(self, request: web.Request) -> bool:
        headers = request.headers
        return is_allowed(self._access.keys, headers.get("Authorization", ""), headers.get("X-Api-Key", ""))

    def _failure(self, request: web.Request, error: Exception) -> web.Response:
        message = _FAILURES.get(_route(request), "Internal error")
        details = "".join(traceback.format_exception(error)) if self._show_details else None
        return error_response(500, message, details=details)

    def _decorate(self, request: web.Request, response: web.StreamResponse, request_id: str) -> None:
        if response.prepared:
            return
        headers = response.headers
        for name, value in BASE_HEADERS.items():
            headers.setdefault(name, value)
        headers["X-Request-Id"] = request_id
        if self._access.origins:
            headers.update(cors_headers(self._access.origins, request.headers.get("Origin")))

    def _account(self, request: web.Request, status: int, size: int, began: float, request_id: str) -> None:
        ended = time.perf_counter()
        route = (request.get(ROUTE_LABEL) if len(request) else None) or _route(request)
        self._metrics.request_answered(route, request.method, status, ended - began)
        if self._request_log is None:
            return
        headers = request.headers
        template = self._request_log.template(request.method, status, request.remote, headers.get("User-Agent"))
        if template is not None:
            url = escaped(request.rel_url.raw_path_qs)
            end = self._request_log.end(headers.get("Traceparent"), headers.get("X-Cloud-Trace-Context"))
            self._request_log.log(template, url, size, ended - began, ended, escaped(request_id), end)


def waited_s(request: web.Request) -> float:
    """How long the request has waited already, when its handler gets it."""
    arrived_at = request.get(_ARRIVED_AT)
    return 0.0 if arrived_at is None else time.perf_counter() - arrived_at


def new_request_id() -> str:
    """An ID that no other request has. Not a secret, so it need not come from the system (0.1 instead of 0.6 µs)."""
    return random.getrandbits(128).to_bytes(16).hex()


def new_request_ids() -> Iterator[bytes]:
    """Such IDs without end, made many at a time. Not to be taken over a fork."""
    while True:
        text = random.randbytes(16 * _IDS_AT_ONCE).hex().encode()  # noqa: S311 - no secret
        yield from [text[begin : begin + 32] for begin in range(0, len(text), 32)]


def _request_id(request: web.Request) -> str:
    return REQUEST_ID.of(request.headers) or new_request_id()


def _taken_lent_at(request: web.Request) -> float | None:
    """When a request came in that the fast path has lent, in its turn. None for every other."""
    handler = request.protocol
    lent_at: float | None = getattr(handler, "lent_at", None)
    if lent_at is not None:
        handler.lent_at = None  # type: ignore[attr-defined] # it is there
    return lent_at


def _set_trace(request: web.Request) -> None:
    """Let what is logged while the request is handled carry its trace."""
    current_trace.set((request.headers.get("Traceparent"), request.headers.get("X-Cloud-Trace-Context")))


def _route(request: web.Request) -> str:
    """The route's pattern: bounded, unlike the path."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


def _body_bytes(response: web.StreamResponse) -> int:
    body = getattr(response, "body", None)
    return len(body) if isinstance(body, bytes) else getattr(response, "sent_bytes", 0)


def _of_http_exception(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own errors in our shape, with the headers that belong to them (Allow, Location)."""
    headers = {name: value for name, value in error.headers.items() if name.lower() in ("allow", "location")}
    if error.status == HTTPStatus.NOT_FOUND:
        return error_response(404, f"There is nothing at {request.path[:200]}")
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{request.method[:20]} is not allowed here; allowed: {headers.get('Allow', '')}"
        return error_response(405, message, headers=headers)
    return error_response(error.status, error.reason, headers=headers)
