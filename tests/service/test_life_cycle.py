"""The program as an operator meets it: its start, its end, its exit codes, several workers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from service.demo.google_emulator import free_port
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION
from tests.waiting import until_async

REPOSITORY = Path(__file__).parents[2]


class Program:
    """One child process and where its API is."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.url = url
        self.http = http

    async def answers(self, path: str) -> int:
        """The status of a GET; 0 where nobody listens."""
        try:
            async with self.http.get(self.url + path) as response:
                await response.read()
                return response.status
        except aiohttp.ClientConnectionError:
            return 0

    async def is_ready(self) -> bool:
        return await self.answers("/readyz") == 200

    async def ended(self) -> tuple[int, str]:
        """Its exit code and its output."""
        output, _ = await self.process.communicate()
        return self.process.returncode or 0, output.decode()


@asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[Program]:
    """Run one, with nothing of the test's environment but what it needs to start."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(argument.format(port=port) for argument in arguments),
        cwd=REPOSITORY,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )
    async with aiohttp.ClientSession() as http:
        try:
            yield Program(process, f"http://127.0.0.1:{port}", http)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


SERVE = ("-m", "service", "serve")


async def test_wrong_settings_stop_the_start_with_a_line_for_each() -> None:
    async with program(*SERVE, PROJECT_ID="p", WINDOW_SIZE="-1", LISTENER="pigeon") as started:
        code, output = await started.ended()
    assert code == 2
    lines = output.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("process-status: wrong setting: ") for line in lines)
    assert "LISTENER: " in output
    assert "WINDOW_SIZE: " in output


async def test_a_missing_project_is_named() -> None:
    async with program(*SERVE) as started:
        code, output = await started.ended()
    assert (code, output) == (
        2,
        "process-status: wrong setting: PROJECT_ID: is required, unless FIRESTORE_EMULATOR_HOST is set\n",
    )


@pytest.mark.parametrize("listener", ["stream", "on_snapshot"])
async def test_sigterm_ends_it_with_exit_code_0_and_the_log_is_whole(
    local_firestore: BackgroundFirestore, listener: str
) -> None:
    async with program(*SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, LISTENER=listener) as started:
        await until_async(started.is_ready, "the service is ready")
        started.process.send_signal(signal.SIGTERM)
        code, output = await started.ended()
    assert code == 0, output
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["message"] for line in lines if "stop" in line["message"]][-1] == "stopped"
    assert any(line.get("httpRequest", {}).get("requestUrl") == "/readyz" for line in lines)


async def test_it_listens_and_says_why_it_is_not_ready_before_firestore_has_answered() -> None:
    async with program(
        *SERVE, FIRESTORE_EMULATOR_HOST=f"127.0.0.1:{free_port()}", FIRESTORE_TIMEOUT_S="0.3"
    ) as started:
        await until_async(lambda: _is(started, "/healthz", 200), "the service listens")
        assert await started.answers("/readyz") == 503
        assert await started.answers("/status/a") == 503


async def _is(started: Program, path: str, status: int) -> bool:
    return await started.answers(path) == status


async def test_a_port_in_use_is_said_in_one_line(local_firestore: BackgroundFirestore) -> None:
    taken = local_firestore.host.rpartition(":")[2]
    async with program(*SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, PORT=taken) as started:
        code, output = await started.ended()
    assert code == 1
    (line,) = [json.loads(line) for line in output.splitlines() if '"CRITICAL"' in line]
    assert line["message"].startswith(f"can't listen on 127.0.0.1:{taken}: ")


async def test_a_request_under_way_is_answered_after_sigterm(local_firestore: BackgroundFirestore) -> None:
    async with program(*SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host) as started:
        await until_async(started.is_ready, "the service is ready")
        with local_firestore.faults.hold_calls("BatchGetDocuments") as held:
            asked = asyncio.create_task(started.answers("/status/nobody"))
            await asyncio.to_thread(held.struck)
            started.process.send_signal(signal.SIGTERM)
            await until_async(lambda: _is(started, "/healthz", 0), "new connections are refused")
        assert await asked == 404
        code, output = await started.ended()
    assert code == 0, output


async def test_metrics_may_live_on_a_port_of_their_own(local_firestore: BackgroundFirestore) -> None:
    port = free_port()
    async with program(
        *SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, METRICS_PORT=str(port), API_KEYS="secret-key"
    ) as started:
        await until_async(lambda: _is(started, "/healthz", 200), "the service listens")
        async with started.http.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert response.status == 200
        async with started.http.get(f"{started.url}/metrics", headers={"X-Api-Key": "secret-key"}) as response:
            assert response.status == 404


async def test_a_probe_needs_no_key_on_the_port_of_the_metrics(local_firestore: BackgroundFirestore) -> None:
    port = free_port()
    async with program(
        *SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, METRICS_PORT=str(port), API_KEYS="secret-key"
    ) as started:
        await until_async(lambda: _is(started, "/healthz", 200), "the service listens")
        async with started.http.get(f"http://127.0.0.1:{port}/readyz") as response:
            assert response.status == 200
        for path in ("/readyz", "/status"):
            assert await started.answers(path) == 401
        async with started.http.get(f"http://127.0.0.1:{port}/status") as response:
            assert response.status == 404


async def test_keys_are_asked_for_and_never_logged(local_firestore: BackgroundFirestore) -> None:
    async with program(*SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, API_KEYS="k-one,k-two") as started:
        await until_async(lambda: _is(started, "/healthz", 200), "the service listens")
        statuses = {}
        for headers in ({}, {"X-Api-Key": "k-two"}, {"Authorization": "Bearer k-one"}, {"X-Api-Key": "k-three"}):
            async with started.http.get(f"{started.url}/status", headers=headers) as response:
                statuses[next(iter(headers.values()), "")] = response.status
        assert statuses == {"": 401, "k-two": 200, "Bearer k-one": 200, "k-three": 401}
        assert await started.answers("/") == 200
        started.process.send_signal(signal.SIGTERM)
        _, output = await started.ended()
    assert "k-one" not in output
    assert "k-two" not in output


async def test_gunicorn_workers_have_a_listener_each_and_metrics_add_them_up(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    streams = local_firestore.streams
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    async with program(
        "-m",
        "gunicorn",
        "service.app:create_app",
        FIRESTORE_EMULATOR_HOST=local_firestore.host,
        PROJECT_ID=project,
        WEB_CONCURRENCY="2",
        WINDOW_SIZE="0",
    ) as started:
        await until_async(started.is_ready, "a worker is ready")

        async def both_live() -> bool:
            async with started.http.get(f"{started.url}/metrics") as response:
                return 'process_status_listener_state{state="live"} 2.0' in await response.text()

        await until_async(both_live, "both workers are live")
        assert local_firestore.streams == streams + 2
        assert await started.answers("/status/import-1") == 200
        started.process.send_signal(signal.SIGTERM)
        code, output = await started.ended()
    assert code == 0, output


async def test_the_demo_shows_live_data_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    async with program("-m", "service", "demo", "--port", "{port}", "--processes", "20") as started:
        await until_async(started.is_ready, "the demo is ready")

        async def shows_processes() -> bool:
            async with started.http.get(f"{started.url}/status?limit=1000") as response:
                return bool((await response.json())["count"] == 20)

        await until_async(shows_processes, "the demo's processes are listed")
        started.process.send_signal(signal.SIGINT)
        code, output = await started.ended()
    assert code == 0, output
    assert output.count("curl ") == 3
    assert "Traceback" not in output
