"""gunicorn's settings for several workers: each has its own listener and model, /metrics adds them up.

Start with `gunicorn 'service.app:create_app' -k aiohttp.GunicornUVLoopWebWorker`. `preload_app` must stay off:
gRPC does not survive a fork.
"""

import os
import shutil
import tempfile

bind = f"{os.environ.get('HOST') or '0.0.0.0'}:{os.environ.get('PORT') or '8080'}"  # noqa: S104
worker_class = "aiohttp.GunicornUVLoopWebWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
graceful_timeout = 10
accesslog = None  # the service writes its own

# Read by prometheus_client when it is imported, so before any worker loads the service.
_own_directory = None
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    _own_directory = tempfile.mkdtemp(prefix="process-status-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _own_directory


def child_exit(server: object, worker: object) -> None:
    """A worker is gone: its gauges must not be added up any more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[attr-defined, no-untyped-call]


def on_exit(server: object) -> None:
    """The last one out clears up what this file made."""
    if _own_directory is not None:
        shutil.rmtree(_own_directory, ignore_errors=True)
