"""aiohttp's own server around the same handlers: what the service's connections are compared with.

Only what this service defines otherwise is set otherwise: the shape of refusals, HTTP/1 for lines that the parser takes
for 0.9 or 2.0 and for what it does not understand, and that a request with a body is its connection's last.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from service.app import Service
from service.http.middleware import HEAD, Middleware
from service.http.requests import Head
from service.http.responses import complete, error_response, request_ids
from service.http.router import Router

LIMITS: dict[str, Any] = {
    "max_line_size": 2**17,
    "max_field_size": 2**17,
    "max_headers": 2**10,
    "auto_decompress": False,
}
"""So large that the service's own come first."""


class OracleHandler(RequestHandler):
    """aiohttp's protocol for one connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A refusal as this service writes it."""
        response = error_response(status, "Malformed HTTP request" if status < 500 else f"{exc!r}")
        complete(response.headers, next(request_ids()).decode(), {})
        response.force_close()
        return response


class OracleServer(web.Server):
    """Makes one for each connection."""

    def __call__(self) -> RequestHandler:
        return OracleHandler(self, loop=self._loop, lingering_time=0, **self._kwargs)


class OracleRunner(web.AppRunner):
    """Serves a service's handlers in aiohttp's way."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.runner.app, shutdown_timeout=1)
        self._middleware: Middleware = service.middleware
        self._router: Router = service.router

    async def _make_server(self) -> Any:
        made = await super()._make_server()
        return OracleServer(
            self._handle,
            request_factory=_in_http_1(made.request_factory),
            handler_cancellation=True,
            access_log=None,
            **LIMITS,
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        head = cast("web.Request", request)[HEAD] = self._head(request)
        response = await self._middleware.handle(request)
        if head.closes:
            response.force_close()
        return response

    def _head(self, request: web.BaseRequest) -> Head:
        """The head of a request that aiohttp's parser has read."""
        target = self._router.targets[request.raw_path.encode("utf-8", "surrogateescape")]
        head = Head(request.remote or "")
        head.method, head.target, head.arrived_at = request.method.encode(), target, perf_counter()
        head.fields, head.repeated = {}, []
        for name, value in request.raw_headers:
            if name.lower() in head.fields:
                head.repeated.append((name.lower(), value))
            else:
                head.fields[name.lower()] = value
        head.inspect(request.keep_alive, "{}.{}".format(*request.version))
        return head


def _in_http_1(factory: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    def request(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
        version = (
            HttpVersion11 if message.method == "UNKNOWN" else min(max(message.version, HttpVersion10), HttpVersion11)
        )
        return factory(message if version == message.version else message._replace(version=version), *others)

    return request
