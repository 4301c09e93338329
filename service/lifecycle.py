"""One serving process from start to end: bind → start → serve until a signal → shut down.

The ports are bound first: if a port is in use, the start ends before anything else has begun. The service accepts
connections before the first byte from Firestore arrives. After SIGTERM or SIGINT it accepts no more; open requests
finish within DRAIN_S; then the listener ends. The exit code says whether a signal or a failure ended the process.
"""

import logging
import socket
from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import web
from google.auth.exceptions import DefaultCredentialsError

from service.app import Service, StartFailed, missing_credentials, start_logs
from service.http.server import ServiceRunner
from service.runtime.descriptors import Acceptor, Connections
from service.runtime.process import StopSignal
from service.runtime.sockets import CannotListen, bound_urls, close_all, listening_sockets, local_url
from service.settings import Settings
from service.telemetry.logs import RequestLog

log = logging.getLogger(__name__)

FAILED = 1


async def serve(
    settings: Settings,
    *,
    on_listening: Callable[[str], None] = lambda _: None,
    readable_logs: bool = False,
    port_advice: str = "set PORT to another",
) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0, 130, or 1 if a part failed. Raises: StartFailed."""
    sockets = _bind(settings, settings.port, port_advice)
    metrics_sockets: list[socket.socket] = []
    if settings.metrics_port is not None:
        try:
            metrics_sockets = _bind(settings, settings.metrics_port, "set METRICS_PORT to another")
        except StartFailed:
            close_all(sockets)
            raise
    writer, request_log = start_logs(settings, readable=readable_logs)
    try:
        service = _service(settings, request_log, metrics_sockets)
        stop = StopSignal()
        service.on_failure(stop.set)
        await service.runner.setup()
        url = await listen(service.runner, sockets)
        log.info("listening on %s", ", ".join(bound_urls(sockets)))
        if metrics_sockets:
            log.info("metrics on %s", ", ".join(bound_urls(metrics_sockets)))
        on_listening(url)
        await stop.wait()
        log.info("stopping: no new connections, requests under way have %g s", settings.drain_s)
        await service.runner.cleanup()
        log.info("stopped")
        return FAILED if service.failed else stop.exit_code
    finally:
        writer.close()
        close_all([*sockets, *metrics_sockets])


async def listen(runner: ServiceRunner, sockets: Sequence[socket.socket]) -> str:
    """Begin to accept. Returns a URL with which this machine can reach the service."""
    await AcceptingSite(runner, sockets).start()
    return local_url(sockets)


class AcceptingSite(web.BaseSite):
    """Accepts connections while there are file descriptors. The runner's clean-up stops it before the connections."""

    def __init__(self, runner: ServiceRunner, sockets: Sequence[socket.socket]) -> None:
        super().__init__(runner)
        self._sockets = sockets
        self._acceptor = Acceptor(sockets, cast("Connections", runner.server))

    @property
    def name(self) -> str:
        return ", ".join(bound_urls(self._sockets))

    async def start(self) -> None:
        await super().start()
        self._acceptor.start()

    async def stop(self) -> None:
        self._acceptor.stop()
        close_all(self._sockets)
        await super().stop()


def _bind(settings: Settings, port: int, advice: str) -> list[socket.socket]:
    try:
        return listening_sockets(settings.host, port)
    except CannotListen as failed:
        raise StartFailed(f"{failed}; {advice}, or end what uses this port") from None


def _service(settings: Settings, request_log: RequestLog, metrics_sockets: Sequence[socket.socket]) -> Service:
    try:
        return Service(settings, request_log=request_log, owns_process=True, metrics_sockets=metrics_sockets)
    except DefaultCredentialsError as error:
        raise missing_credentials(error) from None
