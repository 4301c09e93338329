"""The clock that leases run on."""

import inspect
import sys
import time

import pytest

from service.app import Service
from service.runtime.clock import boottime


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock that counts what the machine slept through")
def test_the_clock_of_leases_counts_what_the_machine_slept_through() -> None:
    assert (boottime.func, boottime.args) == (time.clock_gettime, (time.CLOCK_BOOTTIME,))
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= boottime() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_service_runs_on_it() -> None:
    assert inspect.signature(Service).parameters["clock"].default is boottime
