"""Starts that succeed and starts that fail: what is bound, what is said, which exit code."""

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from service.demo.google_emulator import free_port
from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import SERVE, Program, program
from tests.waiting import until_async

GUNICORN = ("-m", "gunicorn", "service.app:create_app")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


async def answers(url: str) -> int:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return 0


def port_of(started: Program) -> int:
    return int(started.url.rpartition(":")[2])


async def healthy(started: Program, *hosts: str) -> list[int]:
    return [await answers(f"http://{host}:{port_of(started)}/healthz") for host in hosts]


@pytest.mark.parametrize("command", [SERVE, GUNICORN], ids=["serve", "gunicorn"])
@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("::", ["http://[::]:{port}"]),
        ("[::]", ["http://[::]:{port}"]),
        ("0.0.0.0,::", ["http://[::]:{port}"]),
        (" 127.0.0.1 , ::1 ", ["http://127.0.0.1:{port}", "http://[::1]:{port}"]),
    ],
)
async def test_host_takes_addresses_of_both_families(
    local_firestore: BackgroundFirestore, command: tuple[str, ...], host: str, bound: list[str]
) -> None:
    environment = {"FIRESTORE_EMULATOR_HOST": local_firestore.host, "HOST": host, "WEB_CONCURRENCY": "1"}
    async with program(*command, **environment) as started:

        async def both_answer() -> bool:
            return await healthy(started, "127.0.0.1", "[::1]") == [200, 200]

        await until_async(both_answer, "both families are answered")
        started.process.send_signal(signal.SIGTERM)
        code, output = await started.ended()
    assert code == 0, output
    if command is SERVE:
        (line,) = [line for line in output.splitlines() if '"listening on ' in line]
        expected = ", ".join(bound).format(port=port_of(started))
        assert json.loads(line)["message"] == f"listening on {expected}"


async def test_one_family_is_bound_where_one_is_named(local_firestore: BackgroundFirestore) -> None:
    async with program(*SERVE, FIRESTORE_EMULATOR_HOST=local_firestore.host, HOST="[::1]") as started:

        async def listens() -> bool:
            return await healthy(started, "[::1]", "127.0.0.1") == [200, 0]

        await until_async(listens, "the service listens on IPv6 alone")


@pytest.mark.parametrize(
    ("command", "environment", "says"),
    [
        (SERVE, {"PORT": "{taken}"}, "can't listen on 127.0.0.1:{taken}: Address already in use; set PORT to another"),
        (SERVE, {"METRICS_PORT": "{taken}"}, "can't listen on 127.0.0.1:{taken}: .*; set METRICS_PORT to another"),
        (GUNICORN, {"METRICS_PORT": "{taken}"}, "can't listen on 127.0.0.1:{taken}: .*; set METRICS_PORT to another"),
        (("-m", "service", "demo", "--port", "{taken}"), {}, ".*127.0.0.1:{taken}: .*; choose another with --port"),
        (("-m", "service", "demo"), {"PORT": "{taken}"}, ".*127.0.0.1:{taken}: .*; choose another with --port"),
        (("-m", "service", "local-firestore", "--port", "{taken}"), {}, ".*127.0.0.1:{taken}: .*--port or --control"),
    ],
)
async def test_a_port_that_is_taken_is_one_line_that_names_it(
    taken: int, command: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    given = {name: value.format(taken=taken) for name, value in environment.items()}
    arguments = [argument.replace("{taken}", str(taken)) for argument in command]
    async with program(*arguments, FIRESTORE_EMULATOR_HOST="127.0.0.1:1", **given) as started:
        code, output = await started.ended()
    lines = [line for line in output.splitlines() if "[INFO]" not in line]  # gunicorn's own
    assert code == 1, output
    assert len(lines) == 1
    assert re.match("process-status: " + says.format(taken=taken), lines[0]), lines[0]


@pytest.mark.parametrize("command", [SERVE, GUNICORN], ids=["serve", "gunicorn"])
async def test_a_metrics_port_is_never_shared_by_two_services(
    local_firestore: BackgroundFirestore, command: tuple[str, ...]
) -> None:
    port = str(free_port())
    environment = {"FIRESTORE_EMULATOR_HOST": local_firestore.host, "METRICS_PORT": port, "WEB_CONCURRENCY": "2"}
    async with program(*command, **environment) as first:
        await until_async(first.is_ready, "the first service is ready")

        async def scraped() -> bool:
            return await answers(f"http://127.0.0.1:{port}/metrics") == 200

        await until_async(scraped, "the first service's metrics are there")
        async with program(*command, **environment) as second:
            code, output = await second.ended()
        assert await scraped()
    assert code == 1, output
    assert f"process-status: can't listen on 127.0.0.1:{port}: Address already in use" in output


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (None, "Your default credentials were not found"),
        ("missing.json", "File .*missing.json was not found"),
        ("broken.json", "File .*broken.json is not a valid json file"),
    ],
)
async def test_missing_credentials_are_one_line_with_what_to_do(tmp_path: Path, file: str | None, reason: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    named = {} if file is None else {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / file)}
    async with program(*SERVE, PROJECT_ID="p", HOME=str(tmp_path), NO_GCE_CHECK="true", **named) as started:
        code, output = await started.ended()
    assert code == 1, output
    said = [line for line in output.splitlines() if not line.startswith("{")]  # google.auth logs that it looked
    assert len(said) == 1
    assert re.fullmatch(
        rf"process-status: no Google credentials \({reason}\): run `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS to a key file, or FIRESTORE_EMULATOR_HOST for an emulator",
        said[0],
    ), output


async def test_gunicorn_ends_where_its_workers_find_no_credentials(tmp_path: Path) -> None:
    async with program(*GUNICORN, PROJECT_ID="p", HOME=str(tmp_path), NO_GCE_CHECK="true") as started:
        code, output = await started.ended()
    assert code == 3, output
    assert "process-status: no Google credentials" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("command", [SERVE, GUNICORN], ids=["serve", "gunicorn"])
async def test_wrong_settings_are_exit_code_2_and_a_line_each(command: tuple[str, ...]) -> None:
    async with program(*command, FIRESTORE_EMULATOR_HOST="http://127.0.0.1:8089", API_KEYS="") as started:
        code, output = await started.ended()
    assert code == 2, output
    assert output == (
        "process-status: wrong setting: API_KEYS: is set, but empty; give it a value, or leave it unset\n"
        "process-status: wrong setting: FIRESTORE_EMULATOR_HOST: must be without a scheme or path: "
        "write it as HOST:PORT, for instance 127.0.0.1:8089\n"
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_closed_standard_stream_changes_nothing(local_firestore: BackgroundFirestore, closed: str) -> None:
    async with program(
        "-c",
        "import os, sys; os.execl('/bin/sh', 'sh', '-c', sys.argv[1])",
        f"exec {sys.executable} -m service serve {closed}",
        FIRESTORE_EMULATOR_HOST=local_firestore.host,
    ) as started:
        await until_async(started.is_ready, "the service is ready")
        for _ in range(20):
            assert await started.answers("/status") == 200
        started.process.send_signal(signal.SIGTERM)
        code, output = await started.ended()
    assert code == 0, output


async def reaches(started: Program, marker: str) -> None:
    """Read the program's output until a line names `marker`."""
    assert started.process.stdout is not None
    async for line in started.process.stdout:
        if marker in line.decode():
            return
    raise AssertionError(f"it ended without {marker}")


DEMO = ("-m", "service", "demo", "--port", "{port}")


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        (SERVE, "pydantic_settings"),
        (SERVE, "google.protobuf"),
        (SERVE, "grpc._channel"),
        (SERVE, "google.cloud.firestore_v1.async_client"),
        (SERVE, "service.lifecycle"),
        (SERVE, "uvloop"),
        (SERVE, "listening on"),
        (DEMO, "grpc.aio"),
        (DEMO, "service.demo.run"),
        (DEMO, "uvloop"),
        (DEMO, "The demo is live"),
        (("-m", "service", "local-firestore", "--port", "0"), "grpc.aio"),
        (("-m", "service", "local-firestore", "--port", "0"), "export FIRESTORE_EMULATOR_HOST"),
        (("-m", "service", "list"), "rich.console"),
        (("-m", "service", "watch", "a"), "aiohttp"),
    ],
)
async def test_ctrl_c_at_any_moment_is_exit_code_130_and_no_noise(
    local_firestore: BackgroundFirestore, command: tuple[str, ...], moment: str
) -> None:
    environment = {"FIRESTORE_EMULATOR_HOST": local_firestore.host, "PYTHONUNBUFFERED": "1"}
    async with program("-X", "importtime", *command, **environment) as started:
        await asyncio.wait_for(reaches(started, moment), 20)
        started.process.send_signal(signal.SIGINT)
        code, output = await started.ended()
    assert code == 130, output
    for noise in ("Traceback", "never awaited", "CRITICAL", "Exception ignored"):
        assert noise not in output


@pytest.mark.parametrize("command", ["list", "watch"])
async def test_ctrl_c_while_a_terminal_command_waits_is_exit_code_130(command: str) -> None:
    asked = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    arguments = [command, "--url", url] + (["some-id"] if command == "watch" else [])
    async with server, program("-m", "service", *arguments) as started:
        await asyncio.wait_for(asked.wait(), 20)
        started.process.send_signal(signal.SIGINT)
        assert await started.ended() == (130, "")


async def test_sigterm_before_anything_has_begun_is_exit_code_0() -> None:
    async with program("-X", "importtime", *SERVE, FIRESTORE_EMULATOR_HOST="127.0.0.1:1") as started:
        await asyncio.wait_for(reaches(started, "pydantic_settings"), 20)
        started.process.send_signal(signal.SIGTERM)
        code, _ = await started.ended()
    assert code == 0


@pytest.mark.parametrize("arguments", [["--version"], ["list", "--help"], ["watch", "--help"]])
async def test_light_commands_load_neither_grpc_nor_the_server(arguments: list[str]) -> None:
    async with program("-X", "importtime", "-m", "service", *arguments) as started:
        code, output = await started.ended()
    assert code == 0
    loaded = {line.rpartition("|")[2].strip() for line in output.splitlines() if line.startswith("import time:")}
    assert "service.runtime.process" in loaded
    assert loaded & {"grpc", "google.cloud.firestore_v1", "aiohttp.web", "prometheus_client", "service.app"} == set()


async def test_asking_the_service_loads_no_grpc() -> None:
    async with program(
        "-X", "importtime", "-m", "service", "list", "--url", f"http://127.0.0.1:{free_port()}"
    ) as started:
        code, output = await started.ended()
    assert code == 2
    loaded = {line.rpartition("|")[2].strip() for line in output.splitlines() if line.startswith("import time:")}
    assert "service.terminal.commands" in loaded
    assert loaded & {"grpc", "google.cloud.firestore_v1", "prometheus_client", "service.app"} == set()
