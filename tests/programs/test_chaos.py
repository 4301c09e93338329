"""The chaos run in its short form: each of these faults once, every answer checked. The long one: benchmarks/chaos."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.chaos.options import Options
from benchmarks.chaos.result import Result
from benchmarks.chaos.run import run

KINDS = (
    *("frozen", "outage", "RESET", "failing reads", "one replica behind"),
    *("requests lost", "clients leave", "rolling restart", "clock jumps"),
)
REPLICAS = {"stream": 2, "on_snapshot": 1}


GROUP_KINDS = ("RESET", "outage", "false filter")


def _run(listener: str, *, is_group: bool = False) -> tuple[Result, list[str]]:
    told: list[str] = []
    options = Options(
        listener,
        seconds=150,
        seed=6,
        ids=40,
        window=25,
        lease_s=0.6,
        timeout_s=1,
        late_s=3,
        audit_s=60,
        shortest_s=0.1,
        longest_s=0.4,
        recovered_s=30,
        client_processes=1,
        connections=3,
        pause_s=0.02,
        mirrors=3,
        replicas=1 if is_group else REPLICAS[listener],
        commits_per_second=15,
        kinds=GROUP_KINDS if is_group else KINDS,
        rounds=1,
        is_group=is_group,
    )
    return run(options, told.append), told


@pytest.mark.timeout(180)
def test_no_fault_makes_an_answer_wrong() -> None:
    with ThreadPoolExecutor() as both_at_once:
        results = list(both_at_once.map(_run, REPLICAS))
    for result, told in results:
        assert result.forbidden == 0, (result, told)
        assert set(result.recoveries.seconds) == set(KINDS)
        assert {"200 HIT", "304 HIT", "200 MISS"} <= set(result.verdicts.by_source), (result, told)
        assert result.mirrored.batches > 0


@pytest.mark.timeout(120)
def test_no_fault_makes_an_answer_of_a_collection_group_wrong() -> None:
    result, told = _run("stream", is_group=True)
    assert result.forbidden == 0, (result, told)
    assert set(result.recoveries.seconds) == set(GROUP_KINDS)
    assert {"200 HIT", "304 HIT", "200 MISS"} <= set(result.verdicts.by_source), (result, told)
