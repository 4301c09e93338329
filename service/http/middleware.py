"""The rules for every request that a handler answers: access, the route, errors as JSON, one log line, one count.

In production no internals leave the service: an unexpected error is a fixed message here, and a stack trace in the log.
"""

import logging
import traceback
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from service.access.rules import AccessRules
from service.api.cors import cors_headers, preflight_headers
from service.api.operations import LISTING, STATUS
from service.errors import (
    BadParameter,
    BudgetExhausted,
    NotAdmitted,
    ProviderUnreachable,
    ReadRefused,
    Unreachable,
    WatchRefused,
    WrongToken,
)
from service.http.accounting import CLIENT_CLOSED_REQUEST, Accounting
from service.http.requests import Head
from service.http.responses import body_of, complete, error_response, retry_after
from service.http.router import methods_of
from service.telemetry.logs import current_trace

log = logging.getLogger(__name__)

HEAD = web.RequestKey("HEAD", Head)
"""The head of a request, as the connection parsed it."""

PARAMETER = web.RequestKey("PARAMETER", str)
"""The value of the route's parameter, percent-encoded as in the request."""

ROUTE_LABEL = web.RequestKey("ROUTE_LABEL", str)
"""Set by a handler whose requests are counted and timed separately from others of the same route."""

_REQUEST_ID = web.RequestKey("_REQUEST_ID", bytes)
_BEGUN = web.RequestKey("_BEGUN", web.StreamResponse)

_FAILURES = {STATUS.path: "Error retrieving process status", LISTING.path: "Error listing processes"}


class Middleware:
    """Wraps the handlers of one server."""

    def __init__(self, accounting: Accounting, access: AccessRules, *, show_details: bool) -> None:
        self._accounting = accounting
        self._access = access
        self._show_details = show_details
        self._preflight = preflight_headers(access.token_header)
        self._credentials = access.credential_headers()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; all headers of the response are set. Raises only exceptions that end a task."""
        assert isinstance(request, web.Request)  # noqa: S101 - what an application's request factory makes
        head = request[HEAD]
        request_id = request[_REQUEST_ID] = self._accounting.request_id(head.fields)
        current_trace.set((head.text(b"traceparent"), head.text(b"x-cloud-trace-context")))
        status, size = CLIENT_CLOSED_REQUEST, 0
        try:
            response = await self._answer(request, head)
            if not _is_gone(request):
                self.complete(head, response, request_id)
                status, size = response.status, 0 if head.method == b"HEAD" else len(body_of(response))
            return response
        finally:
            # Removed from the request: a response that refers to its request would leave both to a full garbage
            # collection.
            begun = request.pop(_BEGUN, None)
            if begun is not None:
                status, size = begun.status, getattr(begun, "sent_bytes", 0)
            label = request.get(ROUTE_LABEL) or head.target.label
            self._accounting.answered(head, label, status, size, request_id)

    def complete(self, head: Head, response: web.StreamResponse, request_id: bytes) -> None:
        """Add the headers that every response has."""
        complete(response.headers, request_id.decode(), cors_headers(self._access.origins, head.text(b"origin")))

    def begin(self, request: web.Request, response: web.StreamResponse) -> None:
        """Complete the head of a response whose body follows piece by piece.

        However the response ends, the request is logged and counted with its status.
        """
        self.complete(request[HEAD], response, request[_REQUEST_ID])
        request[_BEGUN] = response

    async def _answer(self, request: web.Request, head: Head) -> web.StreamResponse:
        route = head.target.label
        try:
            refusal = await self._refusal(request, head)
            if refusal is not None:
                return refusal
            request[PARAMETER] = head.target.value
            return await head.target.handler(request)
        except web.HTTPException as error:
            return _of_http_exception(request, error)
        except BadParameter as error:
            return error_response(400, str(error))
        except BudgetExhausted as error:
            message = "Too many direct reads at the moment; try again later"
            return error_response(503, message, headers=retry_after(error.retry_after_s))
        except WatchRefused as error:
            return error_response(503, str(error), headers=retry_after(error.retry_after_s))
        except Unreachable:  # logged where it happened, once for all requests
            return error_response(503, "Firestore can't be reached; try again later", headers=retry_after(1))
        except ReadRefused as error:
            return self._failure(route, error)
        except Exception as error:
            if not (isinstance(error, ConnectionError) and _is_gone(request)):
                log.exception("unexpected error in %s", route)
            return self._failure(route, error)

    async def _refusal(self, request: web.Request, head: Head) -> web.Response | None:
        """The answer, if the request must not reach a handler."""
        if head.refusal is not None:
            return error_response(*head.refusal)
        if head.method == b"OPTIONS" and self._access.origins and b"access-control-request-method" in head.fields:
            return web.Response(status=204, headers=self._preflight)
        refusal = await self._not_admitted(head)
        return _route_refusal(request, head) if refusal is None else refusal

    async def _not_admitted(self, head: Head) -> web.Response | None:
        """Note the caller of the request. Returns the refusal if its key or its token is wrong."""
        twice = [name for name, _ in head.repeated if name in self._credentials]
        if twice:
            return error_response(400, f"{twice[0].decode()} is there twice: the caller would not be clear")
        try:
            head.caller = await self._access.admit(head.target.path, head.fields)
        except NotAdmitted as error:
            return error_response(401, str(error), headers={"WWW-Authenticate": "Bearer"})
        except WrongToken as error:
            said = str(error).replace('"', "'")
            challenge = f'Bearer error="invalid_token", error_description="{said}"'
            return error_response(401, f"Not accepted: {error}", headers={"WWW-Authenticate": challenge})
        except ProviderUnreachable as error:
            message = "ID tokens can't be checked at the moment; try again later"
            return error_response(503, message, headers=retry_after(error.retry_after_s))
        return None

    def _failure(self, route: str, error: Exception) -> web.Response:
        message = _FAILURES.get(route, "Internal error")
        details = "".join(traceback.format_exception(error)) if self._show_details else None
        return error_response(500, message, details=details)


def _route_refusal(request: web.Request, head: Head) -> web.Response | None:
    """The answer to a request that has no handler."""
    if head.expectation is not None:
        return error_response(417, "The only Expect that works here is 100-continue")
    if head.target.route is None:
        return error_response(404, not_found(head))
    methods = methods_of(head.target.route)
    if request.method not in methods:
        allowed = ",".join(methods)
        message = f"{request.method[:20]} is not allowed here; allowed: {allowed}"
        return error_response(405, message, headers={"Allow": allowed})
    return None


def not_found(head: Head) -> str:
    """The message of a 404 for a path without a route or a file."""
    return f"There is nothing at {unquote(head.target.path)[:200]}"


def _is_gone(request: web.BaseRequest) -> bool:
    """Whether the client has left."""
    return request.transport is None or request.transport.is_closing()


def _of_http_exception(request: web.Request, error: web.HTTPException) -> web.Response:
    """An error of aiohttp in the form of our errors, with its own headers (Allow, Location)."""
    headers = {name: value for name, value in error.headers.items() if name.lower() in ("allow", "location")}
    if error.status == HTTPStatus.NOT_FOUND:
        return error_response(404, not_found(request[HEAD]))
    return error_response(error.status, error.reason, headers=headers)
