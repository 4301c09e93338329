"""A whole service on a real socket, in the test's own loop, with a real client of Firestore beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import AsyncClient
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from listeners.listener import Clock
from service.app import Service
from service.lifecycle import listen
from service.runtime.clock import boottime
from service.runtime.sockets import listening_sockets
from service.settings import Settings
from service.telemetry.logs import RequestLog
from tests.waiting import PATIENCE_S, until

COLLECTION = "webServiceLogs"


@dataclass(frozen=True)
class Reply:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return orjson.loads(self.body)


@dataclass
class RunningService:
    """What a test holds of it."""

    service: Service
    url: str
    http: aiohttp.ClientSession
    runner: Any
    """What serves it: its own, but where a test puts another in its place."""

    async def get(self, path: str, **options: Any) -> Reply:
        """GET a path, sent as it is written here."""
        return await self.request("GET", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        """Any request."""
        async with self.http.request(method, URL(self.url + path, encoded=True), **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def synced(self) -> "RunningService":
        """Wait until the model answers."""
        await until(self.service.model.is_trusted, "the model has synced")
        return self

    async def holds(self, process_id: str, version: int, *, patience_s: float = PATIENCE_S) -> None:
        """Wait until the model holds this version, or a newer one."""

        def held() -> bool:
            summary = self.service.model.get(process_id)
            return summary is not None and summary.version >= version

        await until(held, f"the model holds {process_id} at {version}", patience_s=patience_s)

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one sample of /metrics; 0 where it is absent."""
        text = (await self.get("/metrics")).body.decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"process_status_{name}" and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return 0.0


@asynccontextmanager
async def running_service(
    host: str,
    project: str,
    *,
    clock: Clock = boottime,
    request_log: RequestLog | None = None,
    make_runner: Callable[[Service], Any] = lambda service: service.runner,
    **settings: Any,
) -> AsyncIterator[RunningService]:
    """Start a service that reads the Firestore at `host`, on a port of its own; stop it at the end.

    FIRESTORE_EMULATOR_HOST must be set to `host` already: the client library reads it for itself.
    """
    options = {"audit_interval_s": 3600, **settings}
    service = Service(
        Settings(project_id=project, firestore_emulator_host=host, host="127.0.0.1", port=0, **options),
        request_log=request_log,
        clock=clock,
    )
    runner = make_runner(service)
    await runner.setup()
    try:
        url = await listen(runner, listening_sockets(service.settings.host, service.settings.port))
        async with aiohttp.ClientSession() as http:
            yield RunningService(service, url, http, runner)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def waiting(running: RunningService, path: str, **headers: str) -> AsyncIterator["asyncio.Task[Reply]"]:
    """A request that is known to wait."""
    count = running.service.watchers.count
    task = asyncio.create_task(running.get(path, headers=headers))
    await until(lambda: running.service.watchers.count > count or task.done(), "the request waits")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def firestore_client(project: str) -> AsyncIterator[AsyncClient]:
    """The client library's own client, for writing what the service reads."""
    client = AsyncClient(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    yield client
    if client._firestore_api_internal is not None:
        await client._firestore_api_internal.transport.close()


def version_of(result: Any) -> int:
    """A write result's update time, in microseconds."""
    return int(result.update_time.timestamp_pb().ToMicroseconds())
