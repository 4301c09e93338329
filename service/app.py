"""The composition root: builds the parts from the settings and joins them. No logic.

gunicorn's aiohttp worker calls `create_app` in each of its processes. Clients of Firestore are made in the running
loop, so always after any fork.
"""

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

import google.auth
from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.firestore_v1 import Client
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from listeners.endpoints import EmulatorEndpoint, Endpoint, GoogleEndpoint, SharedConnection
from listeners.grpc_wakeups import take_all_wakeups
from listeners.listener import Clock, Listener
from listeners.on_snapshot.document_watch import DocumentWatches
from listeners.on_snapshot.listener import OnSnapshotListener
from listeners.stream.document_targets import DocumentTargets
from listeners.stream.listen_stream import StreamListener
from listeners.supervisor import Supervisor
from listeners.window import Window
from service.access.rules import AccessRules
from service.api.headers import OPEN_PATHS
from service.api.listing import Listing
from service.http.accounting import Accounting
from service.http.event_streams import EventStreams
from service.http.handlers import Handlers
from service.http.middleware import Middleware
from service.http.model_answers import ModelAnswers
from service.http.rendered_pages import RenderedPages
from service.http.responses import DateHeader
from service.http.router import Router
from service.http.routes import with_document
from service.http.server import ServerParts, ServiceRunner
from service.model.read_model import ReadModel
from service.model.stalled import Stalls
from service.model.transitions import Transitions
from service.page import Page
from service.reads.answers import Answers
from service.reads.attempts import Attempts
from service.reads.audit import Audit, AuditOptions
from service.reads.budget import Budget
from service.reads.circuit import Circuit
from service.reads.connection import Connection
from service.reads.firestore_reader import FirestoreReader
from service.reads.read_cache import CacheLimits
from service.reads.read_through import ReadThrough
from service.reads.readiness import ReadinessCheck
from service.reads.recovery import Recovery
from service.reads.start_findings import StartFindings
from service.reads.statistics import StatisticsReads
from service.runtime.clock import boottime
from service.runtime.environment import WrongSettings
from service.runtime.fair_queue import FairQueue
from service.runtime.gc_policy import CollectorPolicy
from service.runtime.private_names import report_missing_names
from service.runtime.process import raise_descriptor_limit
from service.runtime.slicer import Slicer
from service.runtime.sockets import CannotListen, inherited_sockets, listening_sockets
from service.runtime.tasks import BackgroundTasks
from service.schema.compiled import ProcessSummary, Schema
from service.schema.description import describe
from service.settings import Settings, read_settings
from service.telemetry.logs import LogWriter, RequestLog, configure_logging
from service.telemetry.metrics import Metrics
from service.watch.long_polls import LongPolls
from service.watch.resuming import Resuming
from service.watch.watchers import Watchers, WatchOptions

if TYPE_CHECKING:
    from service.access.id_tokens import IdTokens


class Service:
    """All parts of one OS process, joined. `runner` serves them: its set-up starts them, its clean-up stops them."""

    def __init__(
        self,
        settings: Settings,
        *,
        request_log: RequestLog | None = None,
        clock: Clock = boottime,
        owns_process: bool = False,
        metrics_sockets: Sequence[socket.socket] = (),
    ) -> None:
        """`owns_process`: nothing else runs in this process, so the garbage collector can be set for the service.

        `metrics_sockets` listen on METRICS_PORT, if it is set. Raises: DefaultCredentialsError.
        """
        self.settings = settings
        self.schema = Schema(settings.schema_in_force)
        self.failed = False
        self._failure_callback: Callable[[], None] = lambda: None
        self.metrics = Metrics(clock, multiprocess=bool(settings.prometheus_multiproc_dir))
        self._clock = clock
        self._request_log = request_log
        self._fair_queue = _fair_queue()
        take_all_wakeups(asyncio.get_running_loop(), self._fair_queue.shorten)
        self._endpoint = _endpoint(settings)
        self._background = BackgroundTasks(self._fail)
        self._metrics_sockets = metrics_sockets
        self._metrics_runner: ServiceRunner | None = None
        self._join_model(owns_process=owns_process)
        self._join_reads()
        self._join_watching()
        self._join_http()

    def _join_model(self, *, owns_process: bool) -> None:
        """The read model, and the supervised listener that keeps it current."""
        settings = self.settings
        self.model = ReadModel(
            window_size=settings.window_size,
            schema=self.schema,
            lease_s=settings.listener_lease_s,
            clock=self._clock,
            observer=self.metrics,
        )
        self.listener, self.documents = _listener(settings, self.schema, self._endpoint, self._clock, self.metrics)
        self._collector = CollectorPolicy(self.metrics) if owns_process else None
        self.supervisor = Supervisor(
            self.listener, self.model.apply, self._collector or self.metrics, clock=self._clock
        )

    def _join_reads(self) -> None:
        """Direct reads, for requests that the model cannot answer; and the audit of the model."""
        settings, clock = self.settings, self._clock
        opened = asyncio.Event()
        rng = random.Random()  # noqa: S311 - jitter
        circuit = Circuit(clock=clock, rng=rng, on_open=opened.set)
        timeout_s, window = settings.firestore_timeout_s, _window(settings, self.schema)
        self._connection = Connection(self._endpoint, window.database_path, longest_call_s=timeout_s)
        self.reader = FirestoreReader(
            Attempts(self._connection, circuit, clock=clock, rng=rng),
            window,
            self.schema,
            timeout_s=timeout_s,
            clock=clock,
            observer=self.metrics,
            known=self._known,
        )
        self._findings = StartFindings(self.model, self.reader, self.schema, window)
        self._recovery = Recovery(self._connection, circuit, self.reader.prove, timeout_s=timeout_s, opened=opened)
        limits = CacheLimits(
            settings.cache_ttl_s, settings.negative_ttl_s, settings.stale_if_error_s, settings.cache_max_bytes
        )
        budget = Budget(
            settings.fallback_concurrency,
            settings.fallback_rate,
            share=settings.share_of_a_caller,
            clock=clock,
            on_refusal=self.metrics.read_rejected,
        )
        self.reads = ReadThrough(self.reader, self.model, budget, circuit, limits, clock=clock)
        self.audit = Audit(
            self.model,
            self.reader,
            self.supervisor,
            AuditOptions(settings.audit_interval_s, settings.audit_sample, self.schema.order),
            clock=clock,
            rng=random.Random(),  # noqa: S311 - a sample
            on_mismatch=self.metrics.audit_mismatched,
        )
        self._answers = Answers(
            self.model,
            self.reads,
            self.supervisor,
            clock=clock,
            stale_if_error_s=settings.stale_if_error_s,
            timeout_s=timeout_s,
        )

    def _known(self, process_id: str) -> ProcessSummary | None:
        """Needed because the reader uses the reads, which are built on the reader."""
        return self.reads.known(process_id)

    def _join_watching(self) -> None:
        """Waits and event streams."""
        settings, clock = self.settings, self._clock
        loop = asyncio.get_running_loop()
        self._slicer = Slicer(loop.call_soon)
        self.watchers = Watchers(
            self.model,
            self.documents,
            self.reads,
            self._slicer,
            WatchOptions(settings.max_watchers, self.schema, settings.share_of_a_caller),
            call_later=loop.call_later,
            observer=self.metrics,
            rng=random.Random(),  # noqa: S311 - jitter
        )
        self._stalls = Stalls(self.model, self._slicer, stalled_after_s=settings.stalled_after_s)
        self._transitions = Transitions(self.model, self._slicer, self.metrics.processes)
        self._stalls.subscribe(self.watchers.check_followed)
        self._long_polls = LongPolls(
            self._answers,
            self.watchers,
            self.model,
            clock=clock,
            lease_s=settings.listener_lease_s,
            max_wait_s=settings.max_wait_s,
        )
        self._resuming = Resuming(self.model, self._long_polls, self.supervisor)

    def _join_http(self) -> None:
        """The routes, and the server for them."""
        settings = self.settings
        described, self._date = describe(self.schema.file), DateHeader()
        page = Page(described)
        filters = {name: each.type for name, each in self.schema.file.filters.items()}
        self._listing = Listing(
            self.schema.order,
            filters,
            described.children,
            path=self.schema.path,
            owner=self.schema.file.access.owner,
        )
        keys = tuple(key.encode() for key in settings.api_keys)
        self._id_tokens = _id_tokens(settings, self.schema, self._clock)
        access = AccessRules(
            keys,
            settings.cors_origins,
            OPEN_PATHS | page.open_paths,
            None if self._id_tokens is None else self._id_tokens.callers,
            (settings.auth_header or "authorization").encode(),
        )
        self._statistics = StatisticsReads(
            self.model,
            self._answers,
            self.schema.order,
            clock=self._clock,
            stale_if_error_s=settings.stale_if_error_s,
        )
        self.metrics.processes.observe(
            self._statistics.gauges,
            self.schema.file.status.terminal,
            multiprocess_dir=settings.prometheus_multiproc_dir,
        )
        self._handlers = Handlers(
            self._answers,
            self._long_polls,
            ReadinessCheck(
                self.model,
                self.supervisor,
                settings.listener,
                self.reads,
                lambda: "" if self._id_tokens is None else self._id_tokens.trouble,
            ),
            self.metrics,
            listing=self._listing,
            statistics=self._statistics,
        )
        self._pages = RenderedPages(self._answers, self._listing)
        self.model.subscribe(self._pages.model_changed)
        self.model.subscribe_to_stalls(self._pages.stalled)
        self.runner = self._api(page, access)

    def on_failure(self, callback: Callable[[], None]) -> None:
        """Call `callback` when a part has ended that must not end: the process can then only be replaced."""
        self._failure_callback = callback

    def _fail(self) -> None:
        self.failed = True
        self._failure_callback()

    def _api(self, page: Page, access: AccessRules) -> ServiceRunner:
        streams = EventStreams(self.watchers, self._resuming, self.model, self._date, self._listing)
        routes = self._handlers.routes() + streams.routes()
        if self.settings.metrics_port is None:
            routes.append(self._handlers.metrics_route())
        described = with_document(
            routes,
            describe(self.schema.file),
            needs_key=bool(access.keys),
            token_header=None if access.tokens is None else access.token_header.decode(),
        )
        router = self.router = Router([*(route.definition for route in described), *page.routes()])
        accounting = Accounting(self.metrics, self._request_log)
        self.middleware = streams.middleware = self._middleware(accounting, access)
        model_answers = ModelAnswers(
            self._answers,
            self._pages,
            self._statistics,
            self._long_polls,
            self.metrics,
            accounting,
            access,
            self._date,
        )
        app = web.Application()
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._end_waits)
        app.on_cleanup.append(self._stop)
        parts = ServerParts(
            router, self.middleware, accounting, model_answers, self._date, self._fair_queue, self._slicer
        )
        return ServiceRunner(app, parts, shutdown_timeout_s=self.settings.drain_s)

    def _metrics_api(self) -> ServiceRunner:
        """The application on METRICS_PORT."""
        router = Router(route.definition for route in self._handlers.metrics_port_routes())
        accounting = Accounting(self.metrics, self._request_log)
        middleware = self._middleware(accounting, AccessRules())
        parts = ServerParts(router, middleware, accounting, None, self._date, _fair_queue(), self._slicer)
        return ServiceRunner(web.Application(), parts, shutdown_timeout_s=1)

    def _middleware(self, accounting: Accounting, access: AccessRules) -> Middleware:
        return Middleware(accounting, access, show_details=self.settings.environment == "development")

    async def _start(self, _: web.Application) -> None:
        """Start the background tasks. Does not wait for Firestore."""
        await report_missing_names()
        self._background.start("listener", self.supervisor.run())
        self._background.start("recovery", self._recovery.run())
        if self._stalls.are_found:
            self._background.start("stalls", self._stalls.run(asyncio.sleep))
        self._background.start("audit", self.audit.run())
        if self._id_tokens is not None:
            self._id_tokens.start(self._background)
        if self._collector is not None:  # the service has the process, and its log, to itself
            self._background.start("findings", self._findings.run())
            self._background.start("garbage", self._collector.run(lambda: self.watchers.count, asyncio.sleep))
        if self.settings.prometheus_multiproc_dir:
            self._background.start("metrics", self.metrics.keep_published(asyncio.sleep))
        if self.settings.metrics_port is not None:
            self._metrics_runner = self._metrics_api()
            await self._metrics_runner.setup()
            for each in self._metrics_sockets:
                await web.SockSite(self._metrics_runner, each).start()

    async def _end_waits(self, _: web.Application) -> None:
        """Runs before the grace period for open requests, because long polls would use it up."""
        self.watchers.stop()

    async def _stop(self, _: web.Application) -> None:
        await self._background.stop()
        if self._id_tokens is not None:
            await self._id_tokens.close()
        self.metrics.processes.close()
        await self.documents.close()
        if self._metrics_runner is not None:
            await self._metrics_runner.cleanup()
        await self._connection.close()


def _client_options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {"project": settings.project_id, "database": settings.firestore_database}
    if settings.firestore_emulator_host:
        options["credentials"] = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return options


def _fair_queue() -> FairQueue:
    """The fair queue.

    Its callbacks have their own context: a queued request must not run in the context of another one.
    """
    return FairQueue(partial(asyncio.get_running_loop().call_soon, context=copy_context()))


def _endpoint(settings: Settings) -> Endpoint:
    """The endpoint of Firestore. Raises DefaultCredentialsError if there is neither an emulator nor credentials."""
    if settings.firestore_emulator_host:
        return EmulatorEndpoint(settings.firestore_emulator_host)
    credentials, _ = google.auth.default(scopes=FirestoreGrpcAsyncIOTransport.AUTH_SCOPES)
    return GoogleEndpoint(credentials=credentials)


def _id_tokens(settings: Settings, schema: Schema, clock: Clock) -> "IdTokens | None":
    """The verifier of ID tokens, if the service accepts them: only then its library is loaded."""
    provider = settings.provider(settings.project_id)
    if provider is None:
        return None
    from service.access.callers import ClaimNames
    from service.access.id_tokens import IdTokens

    owner = None if schema.file.access.owner is None else settings.auth_owner_claim
    names = ClaimNames(owner, settings.auth_admin_claim or "")
    return IdTokens(provider, names, clock=clock, wall_clock=time.time, rng=random.Random())  # noqa: S311 - jitter


def _window(settings: Settings, schema: Schema) -> Window:
    return Window(
        project=settings.project_id,
        database=settings.firestore_database,
        collection=settings.collection,
        ordering=schema.order,
        size=settings.window_size,
    )


def _on_snapshot(
    settings: Settings, schema: Schema, window: Window, clock: Clock, metrics: Metrics
) -> tuple[Listener, DocumentWatches]:
    def listener(window: Window, **options: Any) -> OnSnapshotListener:
        def client() -> Client:
            return Client(**_client_options(settings))

        return OnSnapshotListener(window, schema.projection, client, metrics, clock=clock, **options)

    shared = SharedConnection()
    randomness = random.Random()  # noqa: S311 - jitter
    watches = DocumentWatches(window, lambda document: listener(document, shared=shared), randomness=randomness)
    return listener(window, probe_interval_s=settings.probe_interval_s), watches


def _listener(
    settings: Settings, schema: Schema, endpoint: Endpoint, clock: Clock, metrics: Metrics
) -> tuple[Listener, DocumentTargets | DocumentWatches]:
    """The listener of the window, and the one for single documents outside it."""
    window = _window(settings, schema)
    if settings.listener == "on_snapshot":
        return _on_snapshot(settings, schema, window, clock, metrics)
    stream = StreamListener(
        window,
        endpoint,
        projection=schema.projection,
        clock=clock,
        observer=metrics,
        rng=random.Random(),  # noqa: S311 - jitter
        probe_interval_s=settings.probe_interval_s,
        confirm_timeout_s=settings.firestore_timeout_s / 2,  # the other half is for the direct read after it
    )
    return stream, stream.documents


def start_logs(settings: Settings, *, readable: bool = False) -> tuple[LogWriter, RequestLog]:
    """Set up all logging of the process. Close the writer at the end, so that no line is lost.

    `readable`: text for people, as in development.
    """
    environment = "development" if readable else settings.environment
    level, project_id = settings.log_level, settings.project_id
    writer = configure_logging(environment=environment, level=level, project_id=project_id)
    return writer, RequestLog(writer, environment=environment, level=level, project_id=project_id)


class StartFailed(Exception):
    """A start failed for a reason outside the settings. The text is one line that says what to do next."""


def missing_credentials(error: DefaultCredentialsError) -> StartFailed:
    """What to do if Google's client library finds no credentials, or none that it can read."""
    said = str(error.args[0]) if error.args else "no reason given"
    reason = " ".join(said.split(". ")[0].split()).removesuffix(".")
    return StartFailed(
        f"no Google credentials ({reason}): run `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS to a key file, or FIRESTORE_EMULATOR_HOST for an emulator"
    )


BOOT_FAILED = 3
"""The exit code that tells gunicorn to end, instead of starting the worker again."""


async def create_app() -> ServiceRunner:
    """For gunicorn: `gunicorn 'service.app:create_app' -k aiohttp.GunicornUVLoopWebWorker`.

    A failed start prints one line per fault on stderr, and the worker exits with 3.
    """
    try:
        return _worker(read_settings()).runner
    except WrongSettings as wrong:
        report = wrong.report()
    except DefaultCredentialsError as error:
        report = f"process-status: {missing_credentials(error)}"
    except CannotListen as failed:
        report = f"process-status: {failed}; workers share METRICS_PORT where gunicorn runs with our gunicorn.conf.py"
    print(report, file=sys.stderr)  # noqa: T201 - gunicorn's log says nothing of the reason
    raise SystemExit(BOOT_FAILED)


def _worker(settings: Settings) -> Service:
    raise_descriptor_limit()
    sockets = inherited_sockets(settings.metrics_sockets)
    if settings.metrics_port is not None and not sockets:
        sockets = listening_sockets(settings.host, settings.metrics_port)
    _, request_log = start_logs(settings)
    service = Service(settings, request_log=request_log, owns_process=True, metrics_sockets=sockets)
    service.on_failure(lambda: os.kill(os.getpid(), signal.SIGTERM))
    return service
