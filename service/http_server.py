"""aiohttp's server, with one difference: what its parser refuses is answered as JSON too."""

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.http_frame import SERVER, HttpFrame, error_response

log = logging.getLogger(__name__)


class JsonErrorHandler(RequestHandler):
    """One connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not become a request of the application, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun; the connection can only be closed")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("unexpected error outside of any handler", exc_info=exc)
            response = error_response(status, "Internal error")
        else:
            log.info("refused a malformed request: %s", type(exc).__name__)
            response = error_response(status, "Malformed HTTP request")
        response.headers["Server"] = SERVER
        response.force_close()
        return response


class JsonErrorServer(web.Server):
    """Makes a JsonErrorHandler for each connection."""

    def __call__(self) -> RequestHandler:
        return JsonErrorHandler(self, loop=self._loop, **self._kwargs)


class ServiceRunner(web.AppRunner):
    """An AppRunner, as gunicorn's aiohttp worker takes one, with the frame around all that it answers.

    A handler whose client has gone away is cancelled, so that it frees what it held.
    """

    def __init__(self, app: web.Application, frame: HttpFrame, *, shutdown_timeout_s: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout_s)
        self._frame = frame

    async def _make_server(self) -> Any:
        made = await super()._make_server()
        return JsonErrorServer(
            self._frame.around(made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=True,
            access_log=None,
        )
