"""The terminal and stalled processes: against a whole service."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from service.terminal.commands import STALLED, TIMED_OUT, USAGE, ListOptions, WatchOptions, list_processes, watch
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, firestore_client, running_service, version_of

RUNNING = {"status": "running", "start_time": datetime(2026, 11, 23, tzinfo=UTC)}


async def test_watch_and_list_tell_of_a_process_that_stalls(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    serving = running_service(local_firestore.host, project, stalled_after_s=0.5)
    async with firestore_client(project) as client, serving as running:
        document = client.collection(COLLECTION).document("import-1")
        await (await running.synced()).holds("import-1", version_of(await document.set(RUNNING)))
        said = io.StringIO()
        shown, messages = Console(file=io.StringIO()), Console(file=said, width=200)

        def watching(*until: str, timeout_s: float | None = None) -> WatchOptions:
            return WatchOptions("import-1", running.url, until=frozenset(until), timeout_s=timeout_s)

        assert await watch(watching("stalled"), shown, messages) == STALLED
        assert await watch(watching("running"), shown, messages) == 0
        assert await watch(watching(timeout_s=0.3), shown, messages) == TIMED_OUT
        assert await watch(watching("runing"), shown, messages) == USAGE
        assert "there are: cancelled, completed, failed, pending, running" in said.getvalue()
        listed = io.StringIO()
        assert await list_processes(ListOptions(running.url, stalled=True), Console(file=listed), messages) == 0
        assert "import-1" in listed.getvalue()
