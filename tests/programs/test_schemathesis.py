"""The whole API as /openapi.json describes it, asked by schemathesis: nothing is answered that is not declared.

SCHEMATHESIS_EXAMPLES sets how many cases are made up for each operation, beside those that cover each parameter.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import REPOSITORY, SERVE, program
from tests.service.running import COLLECTION
from tests.waiting import until_async

T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
KEY = "key-of-the-test"
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "10"))
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@asynccontextmanager
async def changing_processes(firestore: BackgroundFirestore, project: str) -> AsyncIterator[None]:
    """Processes that are always about to change, so that every wait and every stream soon has something to tell."""

    def commit(status: str) -> None:
        fields = {"status": status, "start_time": T0, "products": [{"sku": "A-1"}]}
        firestore.commit(project, {f"{COLLECTION}/import-{number}": fields for number in range(3)})

    async def change() -> None:
        for status in cycle(["completed", "running"]):
            await asyncio.to_thread(commit, status)
            await asyncio.sleep(0.05)

    commit("running")
    changing = asyncio.create_task(change())
    try:
        yield
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def schemathesis_run(url: str) -> tuple[int, str]:
    """Its exit code and its report."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {KEY}", "--checks", "all", "--max-examples", str(EXAMPLES), "--no-color"),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


@pytest.mark.timeout(90 + 5 * EXAMPLES)
async def test_everything_is_answered_as_the_document_says(local_firestore: BackgroundFirestore, project: str) -> None:
    async with (
        changing_processes(local_firestore, project),
        program(
            *SERVE,
            FIRESTORE_EMULATOR_HOST=local_firestore.host,
            PROJECT_ID=project,
            API_KEYS=KEY,
            LOG_LEVEL="WARNING",
            MAX_WAIT_S="1",  # processes that do not exist are waited for too
        ) as started,
    ):

        async def is_live() -> bool:
            return await started.answers("/healthz") == 200

        await until_async(is_live, "the service is alive")
        code, report = await schemathesis_run(started.url)
        started.process.send_signal(signal.SIGTERM)
        _, log = await started.ended()
    assert code == 0, report
    assert re.search(r"Operations: +([1-9][0-9]*) selected / \1 total", report)
    logged = [json.loads(line) for line in log.splitlines()]
    assert [line for line in logged if line["severity"] in ("ERROR", "CRITICAL")] == []
