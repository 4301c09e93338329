"""`python -m benchmarks load`, as a user starts it."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.load.command import figures, main, text
from benchmarks.load.open_loop import Outcome, Pace
from benchmarks.programs import REPOSITORY
from tests.benchmarks.servers import OK, serving

PACE = Pace(100, 10, 4, 1)


async def started(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks",
        "load",
        *arguments,
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def answer(_: bytes) -> bytes:
    return OK


async def test_a_run_tells_what_came_back(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    async with serving(answer) as port:
        url = f"http://127.0.0.1:{port}/status/import-1"
        load = await started("--url", url, "--rate", "50", "--duration", "0.2", "--json", str(file))
        out, _ = await load.communicate()
    assert load.returncode == 0, out
    told = json.loads(file.read_text())
    assert (told["begun"], told["answered"], told["codes"], told["lost"]) == (10, 10, {"200": 10}, {})
    assert told["x_cache"] == {"HIT": 1.0}
    assert b"10 requests begun" in out


async def test_ctrl_c_ends_it_with_the_figures_so_far() -> None:
    asked: list[bytes] = []
    enough = asyncio.Event()

    async def remember(head: bytes) -> bytes:
        asked.append(head)
        if len(asked) == 20:
            enough.set()
        return OK

    async with serving(remember) as port:
        load = await started("--url", f"http://127.0.0.1:{port}/status/import-1", "--rate", "200", "--duration", "3600")
        await asyncio.wait_for(enough.wait(), 30)
        load.send_signal(signal.SIGINT)
        out, error = await load.communicate()
    assert load.returncode == 130, error
    assert b"answered" in out
    assert b"200: " in out
    assert b"Traceback" not in error


def test_another_host_is_not_loaded_unless_that_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "https://status.example.com"]) == 2
    assert "status.example.com is not this machine: add --i-may-load-this-host" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--rate", "0"], ["--rate", "fast"], ["--duration", "-1"]])
def test_a_pace_that_is_none_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2


def test_a_loader_that_could_not_keep_up_tells_no_latency() -> None:
    outcome = Outcome(started_at=0.0, ended_at=10.0, begun=1000, cpu_s=9.9)
    outcome.answers[200] = 1000
    outcome.latencies.record(0.001)
    told = figures(outcome, PACE)
    assert "latency_ms" not in told
    assert "the loader was at its limit" in text(told)
    outcome.cpu_s = 5.0
    assert figures(outcome, PACE)["latency_ms"]["p50"] == 1.0


def test_errors_alone_tell_no_latency() -> None:
    outcome = Outcome(started_at=0.0, ended_at=10.0, begun=3)
    outcome.answers[503] = 3
    told = figures(outcome, PACE)
    assert "latency_ms" not in told
    assert text(told).splitlines() == [
        "3 requests begun in 10.0 s (100/s asked for), 3 answered",
        "codes      503: 3",
        "lost       none",
        "X-Cache    none",
        "latency    not measured: no request was answered without an error",
    ]
