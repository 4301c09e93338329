"""One serving process from its start to its end: startup → until told to stop → shutdown.

The socket listens before the first byte from Firestore has come. SIGTERM and SIGINT stop accepting, requests under
way are finished within DRAIN_S, the listener is unsubscribed; then the exit code says whether that was the plan.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from aiohttp import web

from service.app import Service, start_logs
from service.http.server import ServiceRunner
from service.settings import Settings

log = logging.getLogger(__name__)

BACKLOG = 1024


async def serve(settings: Settings, *, on_listening: Callable[[str], None] = lambda _: None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0, or 1 where a part failed or the port is taken."""
    writer, request_log = start_logs(settings)
    try:
        service = Service(settings, request_log=request_log, owns_process=True)
        stop = _stop_on_signals()
        service.on_failure(stop.set)
        await service.runner.setup()
        try:
            url = await listen(service.runner, settings)
        except OSError as error:
            log.critical("can't listen on %s:%s: %s", settings.host, settings.port, error.strerror)
            await service.runner.cleanup()
            return 1
        log.info("listening on %s", url)
        on_listening(url)
        await stop.wait()
        log.info("stopping: no new connections, requests under way have %g s", settings.drain_s)
        await service.runner.cleanup()
        log.info("stopped")
        return 1 if service.failed else 0
    finally:
        writer.close()


async def listen(runner: ServiceRunner, settings: Settings) -> str:
    """Begin to accept. Returns the URL, with the port that was really taken. Raises: OSError."""
    await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
    port = runner.addresses[0][1]
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    return f"http://{host}:{port}"


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
