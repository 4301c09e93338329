"""A round of load: what is a measurement, and what is refused."""

import asyncio
import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.benchmark import Figures, Run
from benchmarks.http_round import Expected, Requests, figures, head, one_round, total
from benchmarks.load.loader import BuiltIn, Loaded, Loader, Wrk
from benchmarks.machine import Cores
from benchmarks.programs import PYTHON, Program
from benchmarks.refusal import NotMeasured
from service.demo.google_emulator import free_port
from tests.benchmarks.servers import OK, serving

LOADED = Loaded(
    answers=1000,
    seconds=2.0,
    bytes=500_000,
    errors={},
    latency_ms={"p50": 1.0, "p90": 2.0, "p99": 4.0, "max": 8.0},
    cpu_s=1.0,
)
NOT_PINNED = Cores(frozenset(), frozenset(), frozenset())


class Silent:
    """Progress that nobody sees."""

    def step(self, text: str) -> None:
        pass


def test_a_round_tells_throughput_latency_and_what_it_cost() -> None:
    assert figures(LOADED, server_cpu_s=1.9, answer_bytes=500) == {
        "requests_per_s": 500.0,
        "p50_ms": 1.0,
        "p90_ms": 2.0,
        "p99_ms": 4.0,
        "max_ms": 8.0,
        "cpu_per_request_us": 1900.0,
        "server_cores": 0.95,
        "loader_cores": 0.5,
    }


@pytest.mark.parametrize(
    ("changed", "server_cpu_s", "why"),
    [
        ({"errors": {"timeout": 2, "connect": 1}}, 1.9, r"errors among 1000 answers \(connect: 1, timeout: 2\)"),
        ({"answers": 99}, 1.9, "99 answers in 2.0 s are too few"),
        ({"answers": 0, "bytes": 0}, 1.9, "0 answers"),
        ({"bytes": 511_000}, 1.9, "answers had 511 bytes where 500 were expected"),
        ({"cpu_s": 1.95}, 1.0, "the loader was at its limit, the server at 50% of a core"),
    ],
)
def test_what_is_no_measurement_is_refused(changed: dict[str, object], server_cpu_s: float, why: str) -> None:
    with pytest.raises(NotMeasured, match=why):
        figures(dataclasses.replace(LOADED, **changed), server_cpu_s, 500)  # type: ignore[arg-type]


def test_a_busy_loader_is_no_fault_where_the_server_is_busier() -> None:
    assert figures(dataclasses.replace(LOADED, cpu_s=1.95), 2.0, 500)["loader_cores"] == 0.975


def test_answers_of_different_sizes_are_allowed_where_they_are_meant() -> None:
    assert figures(dataclasses.replace(LOADED, bytes=900_000), 1.9, None)["requests_per_s"] == 500.0


def test_where_each_is_asked_for_once_the_samples_and_the_warm_up_take_others() -> None:
    many = [bytes([number]) for number in range(16)]
    shared = Requests.shared_out(many)
    taken = [shared.before, *shared.measured, *shared.warm_up, shared.after]
    assert sorted(taken) == many
    assert len(shared.measured) == 11


def test_a_metric_is_the_sum_of_what_is_not_told_apart() -> None:
    exposition = (
        "# TYPE process_status_firestore_reads counter\n"
        'process_status_firestore_reads_total{source="get"} 3\n'
        'process_status_firestore_reads_total{source="list"} 4\n'
    )
    assert total(exposition, "firestore_reads_total", {}) == 7
    assert total(exposition, "firestore_reads_total", {"source": "get"}) == 3
    assert total(exposition, "lookups_total", {}) == 0


def loaders(tmp_path: Path) -> list[Loader]:
    return [BuiltIn(tmp_path), *([Wrk(tmp_path)] if shutil.which("wrk") else [])]


async def test_both_clients_load_a_real_server_with_every_request(tmp_path: Path) -> None:
    seen: set[bytes] = set()

    async def answer(request: bytes) -> bytes:
        seen.add(request.split(b" ")[1])
        return OK

    for loader in loaders(tmp_path):
        seen.clear()
        async with serving(answer) as port:
            requests = [head(f"/status/{name}") for name in ("a", "b", "c")]
            loaded = await asyncio.to_thread(loader.load, port, requests, 1, frozenset(), 4)
        assert seen >= {b"/status/a", b"/status/b", b"/status/c"}, loader.name
        assert loaded.answers > 10, loader.name
        assert loaded.errors == {}, loader.name
        assert loaded.bytes == pytest.approx(loaded.answers * len(OK), rel=0.2), loader.name
        assert 0 < loaded.latency_ms["p50"] <= loaded.latency_ms["p99"] <= loaded.latency_ms["max"], loader.name


async def test_both_clients_count_answers_that_are_errors(tmp_path: Path) -> None:
    async def answer(_: bytes) -> bytes:
        return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    for loader in loaders(tmp_path):
        async with serving(answer) as port:
            loaded = await asyncio.to_thread(loader.load, port, [head("/")], 1, frozenset(), 2)
        assert sum(loaded.errors.values()) == pytest.approx(loaded.answers, abs=4), loader.name


async def test_the_built_in_client_counts_what_is_lost_and_goes_on(tmp_path: Path) -> None:
    answers = 0

    async def answer(_: bytes) -> bytes:
        nonlocal answers
        answers += 1
        return b"" if answers % 5 == 0 else OK

    async with serving(answer) as port:
        loaded = await asyncio.to_thread(BuiltIn(tmp_path).load, port, [head("/")], 1, frozenset(), 2)
    assert loaded.errors["connections lost"] > 1
    assert loaded.answers > loaded.errors["connections lost"]


@contextlib.contextmanager
def bare_aiohttp(tmp_path: Path) -> Iterator[Program]:
    body = tmp_path / "body"
    body.write_bytes(b'{"process_id":"a"}')
    port = free_port()
    with Program(
        "bare", [PYTHON, "-m", "benchmarks.baselines.bare_aiohttp", str(port), body], port, tmp_path
    ) as program:
        yield program


def figures_or_why_not(run: Run, program: Program) -> Figures | str:
    try:
        return one_round(run, program, [head("/status/a")], Expected())
    except NotMeasured as why:
        return str(why)


def test_a_round_on_a_program_of_its_own_ends_with_figures_or_says_why_not(tmp_path: Path) -> None:
    run = Run(True, BuiltIn(tmp_path), tmp_path, Silent(), NOT_PINNED)
    with bare_aiohttp(tmp_path) as program:
        measured = figures_or_why_not(run, program)
        if isinstance(measured, str):  # this client is slower than some servers on some machines
            assert "the loader was at its limit" in measured
        else:
            assert measured["requests_per_s"] > 100
            assert measured["cpu_per_request_us"] > 1
        with pytest.raises(NotMeasured, match="answered 200 where 304 was expected"):
            one_round(run, program, [head("/status/a")], Expected(304))
        with pytest.raises(NotMeasured, match="X-Cache was None where HIT was expected"):
            one_round(run, program, [head("/status/a")], Expected(x_cache="HIT"))
