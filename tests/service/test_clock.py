"""The clock that leases run on."""

import inspect
import sys
import time

import pytest

from service.app import Service
from service.clock import boottime


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock that counts what the machine slept through")
def test_the_clock_of_leases_counts_what_the_machine_slept_through(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {time.CLOCK_BOOTTIME: 5_000.0, time.CLOCK_MONOTONIC: 200.0}  # 80 minutes of them suspended
    monkeypatch.setattr(time, "clock_gettime", shown.__getitem__)
    assert boottime() == 5_000.0


def test_a_service_runs_on_it() -> None:
    assert inspect.signature(Service).parameters["clock"].default is boottime
