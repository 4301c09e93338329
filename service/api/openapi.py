"""Renders the API's declarations as an OpenAPI 3.1 document. Pure. The document depends on the schema in force, and on
whether keys or ID tokens are needed.

Objects and unions are only under `components`, where they have names, because clients generate a type from each.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from service import SERVICE_NAME, __version__
from service.api.bodies import SCHEMAS, answers
from service.api.contract import Header, Operation, Parameter, PathParameter, Response
from service.api.description import Description
from service.api.headers import BASE_HEADERS, OPEN_PATHS
from service.api.operations import BAD_REQUEST, TAGS, UNAVAILABLE
from service.api.parameters import REQUEST_ID

X_REQUEST_ID = Header(REQUEST_ID.name, REQUEST_ID.schema, "The ID that the request sent, or a new one, as in the log.")
EVERY_ANSWER = (
    X_REQUEST_ID,
    *(Header(name, {"const": value}, "The same on every answer.") for name, value in BASE_HEADERS.items()),
)

WWW_AUTHENTICATE = Header(
    "WWW-Authenticate",
    {"type": "string", "pattern": "^Bearer( error=|$)"},
    "How to send an API key or an ID token, and what is wrong with the token in the request (RFC 6750).",
)
OF_REFUSALS = (WWW_AUTHENTICATE, Header("Allow", {"type": "string"}, "The methods that the path allows; with a 405."))
"""Headers of refusals, which come before any operation."""

NO_KEY = Response(
    "The API key or the ID token is missing or not accepted",
    (WWW_AUTHENTICATE,),
    BAD_REQUEST.content,
)
_KEY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as a bearer token"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
AUTHORIZATION = "authorization"
DESCRIPTION = """\
Status of background processes, answered from a read model that Firestore keeps current.

`X-Cache` and `Age` say how fresh an answer is. `HIT` comes from the model, `MISS` from a read made for this request,
`CACHED` from a read of the last few seconds; `STALE` is the last known state while Firestore can't be reached.
Every error is `{"status":"error","message":"…"}`, even if the request is malformed HTTP. Times are RFC 3339 in UTC.
"""


def security_schemes(*, needs_key: bool, token_header: str | None) -> dict[str, dict[str, str]]:
    """The ways to authenticate a request. One of them is enough; if there are none, no request has to."""
    schemes = dict(_KEY_SCHEMES) if needs_key else {}
    if token_header == AUTHORIZATION:
        schemes["id_token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An ID token"}
    elif token_header is not None:
        schemes["id_token"] = {"type": "apiKey", "in": "header", "name": token_header, "description": "An ID token"}
    return schemes


def openapi_document(
    operations: Iterable[Operation], described: Description, *, needs_key: bool, token_header: str | None = None
) -> dict[str, Any]:
    """The OpenAPI document. `described` says what answers about processes contain.

    `needs_key`: every operation except those on OPEN_PATHS needs an API key, or an ID token in `token_header`.
    """
    schemes = security_schemes(needs_key=needs_key, token_header=token_header)
    refusals = {} if not schemes else {401: NO_KEY} if token_header is None else {401: NO_KEY, 503: UNAVAILABLE}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": SERVICE_NAME,
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],  # relative to this document, so it is right with any path prefix
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": {operation.path: _path(operation, refusals) for operation in operations},
        "components": {
            "schemas": {**SCHEMAS, **answers(described)},
            "headers": {header.name: _header(header) for header in EVERY_ANSWER},
        },
    }
    if schemes:
        document["security"] = [{scheme: []} for scheme in schemes]
        document["components"]["securitySchemes"] = schemes
    return document


def _path(operation: Operation, refusals: Mapping[int, Response]) -> dict[str, Any]:
    """The path's entry. `refusals`: the answers to requests that are not admitted; empty if all are."""
    is_open = operation.path in OPEN_PATHS
    responses = dict(operation.responses) if is_open else {**refusals, **operation.responses}
    methods = {"get": _method(operation, operation.name, operation.summary, responses)}
    if operation.has_head:
        bodiless = {status: Response(full.description, full.headers) for status, full in responses.items()}
        name = f"head{operation.name[0].upper()}{operation.name[1:]}"
        methods["head"] = _method(operation, name, f"{operation.summary}: only the headers", bodiless)
    if is_open and refusals:
        for method in methods.values():
            method["security"] = []
    return {"parameters": [_parameter(parameter) for parameter in (*operation.parameters, REQUEST_ID)], **methods}


def _method(operation: Operation, name: str, summary: str, responses: Mapping[int, Response]) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": [operation.tag],
        "summary": summary,
        "description": operation.description,
        "responses": {str(status): _response(responses[status]) for status in sorted(responses)},
    }


def _parameter(parameter: Parameter[Any]) -> dict[str, Any]:
    rendered = {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.required or isinstance(parameter, PathParameter),
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return rendered if parameter.example is None else {**rendered, "example": parameter.example}


def _response(response: Response) -> dict[str, Any]:
    headers = {header.name: _header(header) for header in response.headers}
    of_every = {header.name: {"$ref": f"#/components/headers/{header.name}"} for header in EVERY_ANSWER}
    rendered: dict[str, Any] = {"description": response.description, "headers": {**headers, **of_every}}
    if response.content:
        rendered["content"] = {kind: {"schema": schema} for kind, schema in response.content.items()}
    if response.links:
        rendered["links"] = response.links
    return rendered


def _header(header: Header) -> dict[str, Any]:
    return {"description": header.description, "required": header.always, "schema": header.schema}
