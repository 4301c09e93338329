"""The runner from its start to its end, on one benchmark, without wrk: that it works, not how fast anything is."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.baselines.start import BARE_AIOHTTP, FLASK, NGINX, NGINX_FLASK, REDIS, TTL_CACHE, Baseline, Scene, enter
from benchmarks.benchmark import Run
from benchmarks.firestore import process_id
from benchmarks.load.loader import BuiltIn
from benchmarks.start import firestore
from benchmarks.suite import BENCHMARKS

REPOSITORY = Path(__file__).parents[2]
READ_FIRESTORE = (TTL_CACHE, FLASK)
BASELINES = (BARE_AIOHTTP, NGINX, REDIS, TTL_CACHE, FLASK, NGINX_FLASK)


class Silent:
    def step(self, text: str) -> None:
        pass


@pytest.mark.timeout(240)
def test_a_benchmark_gives_figures_or_the_reason_why_not(tmp_path: Path) -> None:
    file, plots = tmp_path / "results.json", tmp_path / "plots"
    options = ["--quick", "--alone", "--rounds", "1", "--built-in-load", "--json", str(file), "--plots", str(plots)]
    command = [sys.executable, "-m", "benchmarks", "hit", *options]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=200)
    (result,) = json.loads(file.read_text())
    assert result["benchmark"] == "hit"
    assert result["loader"] == "built-in asyncio client"
    assert result["machine"]["versions"]["aiohttp"]
    assert [part["part"] for part in result["parts"]] == [
        "200",
        "304",
        "200, from browsers",
        "200, through aiohttp",
        "200, request log",
    ]
    for part in result["parts"]:
        if part["subject"] in part["figures"]:
            assert part["figures"]["this service"]["requests_per_s"]["median"] > 0
        else:  # a client in Python can be slower than the service
            assert "the loader was at its limit" in part["not_measured"]["this service"]
    assert "**hit**" in ended.stdout
    assert "hit, 304: this service, round 1 of 1" in ended.stderr


def test_an_unknown_benchmark_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks", "speed"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "propagation" in ended.stderr


def test_every_benchmark_is_found_by_the_name_of_its_file() -> None:
    directory = REPOSITORY / "benchmarks" / "suite"
    assert set(BENCHMARKS) == {file.stem for file in directory.glob("[!_]*.py")}


@pytest.mark.timeout(120)
def test_every_installed_baseline_answers_a_poll(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    run = Run(True, BuiltIn(tmp_path), tmp_path, Silent())
    body = b'{"process_id":"import-00000000"}'
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, 3)).ask("host")
        started, left_out = enter(stack, run, BASELINES, Scene(host, body, [process_id(0)]))
        for name, program in started.items():
            answer = json.loads(program.get(f"/status/{process_id(0)}"))
            assert answer["process_id"] == "import-00000000", name
        for baseline in READ_FIRESTORE:
            if baseline.name in started:
                newest = json.loads(started[baseline.name].get("/status?limit=2"))
                assert [each["process_id"] for each in newest["processes"]] == [process_id(2), process_id(1)], (
                    baseline.name
                )
    assert set(started) | set(left_out) == {baseline.name for baseline in BASELINES}


def test_a_baseline_that_is_not_installed_is_left_out_by_name(tmp_path: Path) -> None:
    baseline = Baseline(
        "a baseline", ("no-such-program",), ("no_such_module",), lambda run, scene: pytest.fail("started")
    )
    with ExitStack() as stack:
        run = Run(True, BuiltIn(tmp_path), tmp_path, Silent())
        assert enter(stack, run, [baseline], Scene("", b"")) == (
            {},
            {"a baseline": "not installed: no-such-program, no_such_module"},
        )
