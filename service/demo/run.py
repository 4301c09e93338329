"""The demo: a Firestore, a simulated workload and the service on top, in one process, until Ctrl-C.

Google's clients find the Firestore through FIRESTORE_EMULATOR_HOST, like any emulator. Settings come from the
environment, with three other defaults: the demo listens on this machine only, logs only warnings, and logs readable
text.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import AsyncClient

from service.app import StartFailed
from service.demo.documents import DocumentMaker, read_templates
from service.demo.google_emulator import HOW_TO_GET_IT, Emulator, EmulatorFailed
from service.demo.workload import Workload
from service.lifecycle import serve
from service.local_firestore import LocalFirestore
from service.schema.compiled import Schema
from service.settings import Settings, read_settings

HOST = ("127.0.0.1",)
SEED = 2026


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`emulator` uses Google's emulator instead of the local Firestore. Port 0 is any free port; None means PORT.

    `schema_file` is the schema of the documents to write and serve; None means SCHEMA_FILE or the default.
    """

    processes: int = 200
    changes_per_second: float = 20.0
    port: int | None = None
    emulator: bool = False
    schema_file: Path | None = None


async def demo(options: DemoOptions, say: Callable[[str], None]) -> int:
    """Run until interrupted or cancelled. Returns the exit code. Raises: WrongSettings, StartFailed."""
    try:
        async with _firestore(options, say) as host:
            os.environ["FIRESTORE_EMULATOR_HOST"] = host
            settings = _settings(options, host)
            async with _workload(options, settings) as begin:
                return await serve(
                    settings,
                    on_listening=lambda url: _welcome(url, host, options, settings, say, begin),
                    readable_logs=True,
                    port_advice="choose another with --port (0: any free one)",
                )
    except (OSError, EmulatorFailed) as error:
        lines = str(error).splitlines()
        raise StartFailed(" ".join([lines[0], *lines[1:][-1:]])) from None


def _settings(options: DemoOptions, host: str) -> Settings:
    overrides: dict[str, Any] = {"firestore_emulator_host": host}
    if options.port is not None:
        overrides["port"] = options.port
    if options.schema_file is not None:
        overrides["schema_file"] = options.schema_file
    settings = read_settings(**overrides)
    defaults = {"host": HOST, "log_level": "WARNING"}
    return settings.model_copy(update={k: v for k, v in defaults.items() if k not in settings.model_fields_set})


@asynccontextmanager
async def _firestore(options: DemoOptions, say: Callable[[str], None]) -> AsyncIterator[str]:
    if not options.emulator:
        async with LocalFirestore() as server:
            yield server.host
        return
    if not Emulator.is_installed():
        raise EmulatorFailed(HOW_TO_GET_IT)
    say("starting Google's emulator …")
    with tempfile.TemporaryDirectory(prefix="process-status-demo-") as directory:
        emulator = Emulator(Path(directory) / "emulator.log")
        try:
            await asyncio.to_thread(emulator.start)
            yield emulator.host
        finally:
            await asyncio.to_thread(emulator.stop)  # also if it is still starting


@asynccontextmanager
async def _workload(options: DemoOptions, settings: Settings) -> AsyncIterator[Callable[[], None]]:
    """A function that starts the simulated processes; they stop with the context."""
    client = AsyncClient(project=settings.project_id, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    workload = Workload(
        client,
        settings.collection,
        processes=options.processes,
        changes_per_second=options.changes_per_second,
        seed=SEED,
        **_shape(settings),
    )
    tasks: list[asyncio.Task[None]] = []

    async def simulate() -> None:
        await workload.seed()
        await workload.run()

    try:
        yield lambda: tasks.append(asyncio.create_task(simulate(), name="workload"))
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _maker(settings: Settings) -> DocumentMaker | None:
    """The maker of documents for a schema other than the default, whose documents the simulated processes make."""
    if settings.schema_file is None:
        return None
    return DocumentMaker(Schema(settings.schema_in_force), read_templates(settings.schema_file))


def _shape(settings: Settings) -> dict[str, Any]:
    maker = _maker(settings)
    if maker is None:
        return {}
    return {"fields_of": maker.fields, "has_products": "products" in settings.schema_in_force.children}


def _welcome(
    url: str,
    host: str,
    options: DemoOptions,
    settings: Settings,
    say: Callable[[str], None],
    begin: Callable[[], None],
) -> None:
    begin()
    maker = _maker(settings)
    what = "imports" if maker is None else f"documents in {settings.collection}"
    status = quote("running" if maker is None else maker.running_word())
    kind = "Google's emulator" if options.emulator else "a local Firestore in memory"
    say(
        f"""
The demo is live: {options.processes} simulated {what}, {options.changes_per_second:g} changes per second, on {kind}.

  Look      {url}/ui
  API       {url}/status          Metrics  {url}/metrics
  Readiness {url}/readyz          Firestore  export FIRESTORE_EMULATOR_HOST={host}

Try:
  curl -s '{url}/status?status={status}&limit=3'
  curl -si '{url}/status?limit=1' | grep -iE '^(HTTP|x-cache|age|etag)'
  curl -s  '{url}/metrics' | grep -E '^process_status_(firestore_reads|lookups)_total'

Ctrl-C ends everything; nothing is kept.
"""
    )
