"""Routes: declared operations with their handlers, and the route of the OpenAPI document."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from service.api.contract import Operation
from service.api.description import Description
from service.api.etags import content_etag
from service.api.openapi import openapi_document
from service.api.operations import DOCUMENT
from service.api.parameters import IF_MATCH, IF_NONE_MATCH
from service.http.responses import conditional_response


@dataclass(frozen=True, slots=True)
class Route:
    """An operation, and its handler."""

    operation: Operation
    handler: Handler

    @property
    def definition(self) -> web.RouteDef:
        """The route in aiohttp's form."""
        return web.get(self.operation.path, self.handler, allow_head=self.operation.has_head)


def with_document(
    routes: Iterable[Route], described: Description, *, needs_key: bool, token_header: str | None
) -> list[Route]:
    """The routes, and GET /openapi.json, which describes them and itself. Its answer is rendered here, once."""
    shown = list(routes)
    operations = [*(route.operation for route in shown), DOCUMENT]
    body = orjson.dumps(openapi_document(operations, described, needs_key=needs_key, token_header=token_header))
    etag = content_etag(body)
    headers: dict[str, str] = {hdrs.ETAG: etag}

    async def document(request: web.Request) -> web.Response:
        DOCUMENT.query(request.rel_url.raw_query_string)
        return conditional_response(body, headers, IF_MATCH.of(request.headers), IF_NONE_MATCH.of(request.headers))

    return [*shown, Route(DOCUMENT, document)]
