"""gunicorn's settings for several workers: each has its own listener and model, /metrics adds them up.

Start with `gunicorn 'service.app:create_app' -k aiohttp.GunicornUVLoopWebWorker`. `preload_app` must stay off:
gRPC does not survive a fork. Settings are read and checked once, here, as `process-status serve` does it: a wrong one
ends gunicorn with exit code 2, and METRICS_PORT is bound once, for all workers of this service and for no other.
"""

import os
import shutil
import sys
import tempfile
from typing import Any

from service.runtime.addresses import authority
from service.runtime.environment import WrongSettings
from service.runtime.sockets import CannotListen, listening_sockets
from service.settings import read_settings

try:
    settings = read_settings()
except WrongSettings as wrong:
    print(wrong.report(), file=sys.stderr)  # noqa: T201 - gunicorn has no log yet
    sys.exit(2)

bind = [authority(host, settings.port) for host in settings.host]
worker_class = "aiohttp.GunicornUVLoopWebWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
graceful_timeout = 10
accesslog = None  # the service writes its own

# Read by prometheus_client when it is imported, so before any worker loads the service.
_own_directory = None
if not settings.prometheus_multiproc_dir:
    _own_directory = tempfile.mkdtemp(prefix="process-status-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _own_directory


def on_starting(server: Any) -> None:
    """Bind METRICS_PORT. Workers inherit the sockets, and so does a new master that takes over after SIGUSR2."""
    if settings.metrics_port is None or settings.metrics_sockets:
        return
    try:
        sockets = listening_sockets(settings.host, settings.metrics_port)
    except CannotListen as failed:
        print(f"process-status: {failed}; set METRICS_PORT to another port", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    descriptors = [each.detach() for each in sockets]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    os.environ["METRICS_SOCKETS"] = ",".join(str(descriptor) for descriptor in descriptors)


def pre_exec(server: Any) -> None:
    """A new master starts from the environment in which this one was started; it needs the sockets named."""
    if "METRICS_SOCKETS" in os.environ:
        server.cfg.env_orig["METRICS_SOCKETS"] = os.environ["METRICS_SOCKETS"]


def child_exit(server: Any, worker: Any) -> None:
    """A worker has ended: its gauges must not be added up any more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the directory that this file made."""
    if _own_directory is not None:
        shutil.rmtree(_own_directory, ignore_errors=True)
