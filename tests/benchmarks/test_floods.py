"""Floods of hostile clients: what is demanded of them, and that each kind is what it says, small."""

import asyncio
import gzip
from pathlib import Path

import pytest

from benchmarks.benchmark import Run, measure_all
from benchmarks.chaos.crowd import Polled
from benchmarks.hostile_clients import BOMB_BYTES, KINDS, flood
from benchmarks.load.loader import BuiltIn
from benchmarks.refusal import NotMeasured
from benchmarks.suite import floods
from benchmarks.suite.floods import answered, demanded, told


class Silent:
    def step(self, text: str) -> None:
        pass


def polled(took_ms: float = 1.0, status: int = 200, source: str = "HIT") -> Polled:
    return Polled("replica", "a", 1, took_ms, status, source)


def test_an_answer_that_does_not_come_is_no_measurement() -> None:
    assert answered([polled(1), polled(3), polled(2)]) == {"polls": 3, "p50_ms": 2, "p99_ms": 3}
    for other in (polled(status=0, source=""), polled(status=503, source=""), polled(source="STALE")):
        with pytest.raises(NotMeasured, match="1 of 2 polls had no HIT"):
            answered([polled(), other])
    with pytest.raises(NotMeasured, match="0 of 0"):
        answered([])


@pytest.mark.parametrize("missed", [-1.0, 1_000.1])
def test_a_change_that_is_not_told_at_once_is_no_measurement(missed: float) -> None:
    assert told([3.0, 1000.0]) == {"changes": 2, "told_max_ms": 1000.0}
    with pytest.raises(NotMeasured, match="1 of 2 changes"):
        told([3.0, missed])
    with pytest.raises(NotMeasured, match="0 of 0"):
        told([])


@pytest.mark.parametrize(("p99_ms", "grown_mib", "why"), [(20.1, 0, "p99 is 20.1 ms"), (20, 8.1, "left 8 MiB")])
def test_slower_polls_and_memory_that_grows_are_no_measurement(p99_ms: float, grown_mib: float, why: str) -> None:
    good = {"p99_ms": 20.0, "grown_mib": 8.0}
    assert demanded(good, quiet_p99_ms=10.0) == good
    assert demanded({"p99_ms": 10.0, "grown_mib": 0.0}, quiet_p99_ms=0.1), "a quiet p99 below a turn of the scheduler"
    with pytest.raises(NotMeasured, match=why):
        demanded({"p99_ms": p99_ms, "grown_mib": grown_mib}, quiet_p99_ms=10.0)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "silent connections"])
async def test_each_kind_sends_its_bytes_at_its_rate(name: str) -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.read(2**20))
        except ConnectionResetError:
            heard.append(b"GET reset")  # one that leaves at once may be gone before it is heard
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    begun = await flood(server.sockets[0].getsockname()[1], name, 0.2, 0.3)
    server.close()
    assert begun == int(KINDS[name].per_s * 0.2 * 0.3)
    assert len(heard) == begun
    assert all(each.startswith((b"GET ", b"POST ")) for each in heard)
    if name == "gzip bodies":
        head, _, body = heard[0].partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        assert len(gzip.decompress(body)) == BOMB_BYTES


@pytest.mark.timeout(120)
def test_a_small_flood_of_each_kind_has_a_verdict(tmp_path: Path) -> None:
    result = measure_all(floods.BENCHMARK, Run(True, BuiltIn(tmp_path), tmp_path, Silent()))
    assert [part["part"] for part in result["parts"]] == ["quiet", *KINDS]
    for part in result["parts"]:
        assert part["figures"] or part["not_measured"], part
