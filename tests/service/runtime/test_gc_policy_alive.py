"""The collector's policy in a process of its own: real cycles, real memory, many clients waiting."""

import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20

PROGRAM = """
import gc, sys
from service.runtime import gc_policy

class Recorder:
    def state_changed(self, state, reason): ...
    def restarted(self, reason): ...

class Cycle:
    def __init__(self):
        self.itself, self.body = self, b"x" * 65_536

now = 0
policy = gc_policy.CollectorPolicy(Recorder(), clock=lambda: now)
if sys.argv[1] == "two generations":
    gc.get_count = lambda: (0, 0, 0)
before = most = gc_policy.resident_bytes()
for now in range(60):
    alive = [Cycle() for _ in range(160)]
    gc.collect(1)
    gc.collect(1)
    del alive
    most = max(most, gc_policy.resident_bytes())
    policy.look(10_000)
print(most - before)
"""
"""Leaves 10 MiB a second in cycles that have grown old, 600 MiB in all. Prints the most memory above the start."""


@pytest.mark.thorough
@pytest.mark.parametrize("generations", ["three generations", "two generations"])
def test_old_cycles_never_fill_the_memory_while_10000_wait(generations: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, generations],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert int(ran.stdout) < 250 * MIB
