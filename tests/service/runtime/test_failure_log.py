"""The log of contained failures."""

import pytest

from service.runtime.failure_log import FailureLog
from tests.service.virtual_time import Clock


def test_equal_failures_write_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    failures = FailureLog(clock)
    for _ in range(10_000):
        failures.report("LongPollWaiter.on_change", ValueError())
    assert len(caplog.records) == 1
    clock.advance(1)
    failures.report("LongPollWaiter.on_change", ValueError())
    failures.report("LongPollWaiter.close", ValueError())

    assert (failures.count, len(caplog.records)) == (10_002, 3)
    assert "9999 more like it" in caplog.text
