"""The program as an operator meets it: its start, its end, its exit codes, several workers."""

import asyncio
import json
import signal
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from service.demo.google_emulator import free_port
from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import SERVE, Program, program
from tests.service.event_source import event_source
from tests.service.running import COLLECTION
from tests.waiting import until_async


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


async def test_every_answer_is_logged_however_soon_the_end_comes(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    async with program(*SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, PROJECT_ID=project) as started:
        await until_async(started.is_ready, "the service is ready")
        for _ in range(300):
            assert await started.answers("/status/import-1") == 200
        started.process.send_signal(signal.SIGTERM)
        code, output = await started.ended()
    assert code == 0, output
    requests = [entry["httpRequest"] for entry in map(json.loads, output.splitlines()) if "httpRequest" in entry]
    assert [each["status"] for each in requests if each["requestUrl"] == "/status/import-1"] == [200] * 300


async def test_it_listens_and_says_why_it_is_not_ready_before_firestore_has_answered() -> None:
    async with program(
        *SERVE, FIRESTORE_EMULATOR_HOST=f"127.0.0.1:{free_port()}", FIRESTORE_TIMEOUT_S="0.3"
    ) as started:
        await until_async(lambda: _is(started, "/healthz", 200), "the service listens")
        assert await started.answers("/readyz") == 503
        assert await started.answers("/status/a") == 503


async def _is(started: Program, path: str, status: int) -> bool:
    return await started.answers(path) == status


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


@pytest.mark.parametrize(("is_trusted", "status"), [(True, 304), (False, 503)])
async def test_sigterm_ends_streams_cleanly_and_waits_with_what_can_still_be_claimed(
    project: str, is_trusted: bool, status: int
) -> None:
    with BackgroundFirestore() as firestore:
        fields = {"status": "running", "start_time": datetime(2026, 11, 23, 9, 30, tzinfo=UTC)}
        version = firestore.commit(project, {f"{COLLECTION}/import-1": fields})
        settings = {"PROJECT_ID": project, "LISTENER_LEASE_S": "15" if is_trusted else "3", "PROBE_INTERVAL_S": "0.2"}
        async with program(*SERVE, FIRESTORE_EMULATOR_HOST=firestore.host, **settings) as started:
            await until_async(lambda: _is(started, "/healthz", 200), "the service listens")
            await until_async(lambda: _says(started, "/readyz", '"model_trusted":true'), "the model has synced")
            async with (
                event_source(started, "/status/import-1/events") as one,
                event_source(started, "/events") as every,
            ):
                told = [event.data["process_id"] for source in (one, every) for event in await source.take(1)]
                headers = {"If-None-Match": f'"v{version}"'}
                waiting = asyncio.create_task(
                    started.http.get(f"{started.url}/status/import-1?wait=60", headers=headers)
                )
                await until_async(lambda: _says(started, "/metrics", "process_status_watchers 3.0"), "all wait")
                with firestore.faults.stall_streams() if not is_trusted else nullcontext():
                    said = f'"model_trusted":{str(is_trusted).lower()}'
                    await until_async(lambda: _says(started, "/readyz", said), "the model is as it should be")
                    started.process.send_signal(signal.SIGTERM)
                    async with await waiting as reply:
                        assert (reply.status, "Retry-After" in reply.headers) == (status, not is_trusted)
                    assert [await one.rest(), await every.rest()] == [[], []]
            code, output = await started.ended()
    assert told == ["import-1", "import-1"]
    assert code == 0, output


async def _says(started: Program, path: str, text: str) -> bool:
    async with started.http.get(started.url + path) as response:
        return text in await response.text()


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
        for _ in range(40):  # on connections of their own, so that both workers get some
            async with aiohttp.ClientSession() as http, http.get(f"{started.url}/status/import-1") as response:
                assert response.status == 200

        async def all_counted() -> bool:
            async with started.http.get(f"{started.url}/metrics") as response:
                return 'code="200",method="GET",route="/status/{process_id}"} 40.0' in await response.text()

        await until_async(all_counted, "the requests of both workers are added up")
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
    assert code == 130, output
    assert output.count("curl ") == 3
    assert "Traceback" not in output
