"""The circuit breaker of direct reads, on a clock that the test moves."""

import logging
from random import Random

import pytest

from service.errors import Unreachable
from service.reads.circuit import Circuit, CircuitState
from tests.service.virtual_time import Clock

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def opened(clock: Clock, *, is_refused: bool = False) -> Circuit:
    circuit = Circuit(clock=clock, rng=Random(1))
    circuit.read_failed(circuit.successes, "down", is_refused=is_refused)
    return circuit


def test_a_read_that_failed_opens_it_and_the_first_attempt_is_due_at_once() -> None:
    openings: list[None] = []
    circuit = Circuit(clock=Clock(), rng=Random(1), on_open=lambda: openings.append(None))
    circuit.check()
    circuit.read_failed(0, "unavailable: down")
    assert (circuit.state, circuit.due_in_s, openings) == (OPEN, 0.0, [None])
    with pytest.raises(Unreachable, match="down"):
        circuit.check()
    circuit.read_failed(0, "another")
    assert openings == [None]


def test_a_failure_while_other_reads_succeed_is_no_outage() -> None:
    circuit = Circuit(clock=Clock(), rng=Random(1))
    before = circuit.successes
    circuit.succeeded()
    circuit.read_failed(before, "slow")
    assert circuit.state is CLOSED
    circuit.read_failed(circuit.successes, "slow")
    assert circuit.state is OPEN


def test_attempts_come_at_growing_jittered_intervals_that_stay_short() -> None:
    clock = Clock()
    circuit = opened(clock)
    delays = []
    for _ in range(50):
        clock.advance(circuit.due_in_s)
        circuit.attempt_begins()
        assert circuit.state is HALF_OPEN
        circuit.attempt_failed("still down")
        assert circuit.state is OPEN
        delays.append(circuit.due_in_s)
    assert 0.75 <= delays[0] <= 1.25
    assert max(delays) <= 3.75
    assert min(delays[5:]) >= 2.25
    assert len({round(delay, 6) for delay in delays}) == len(delays)


def test_an_attempt_that_succeeds_closes_it_and_the_next_outage_begins_anew() -> None:
    clock = Clock()
    circuit = opened(clock)
    for _ in range(5):
        circuit.attempt_begins()
        circuit.attempt_failed("down")
    circuit.attempt_begins()
    circuit.succeeded()
    assert circuit.state is CLOSED
    circuit.check()
    circuit.read_failed(circuit.successes, "down")
    assert circuit.due_in_s == 0.0


def test_a_read_that_succeeds_during_an_attempt_outweighs_its_failure() -> None:
    circuit = opened(Clock())
    circuit.attempt_begins()
    circuit.succeeded()
    circuit.attempt_failed("too late to matter")
    assert circuit.state is CLOSED


@pytest.mark.parametrize(("is_refused", "level"), [(False, logging.WARNING), (True, logging.ERROR)])
def test_an_hour_of_outage_is_a_handful_of_lines(
    is_refused: bool, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    circuit = opened(clock, is_refused=is_refused)
    while clock.now < 1000 + 3600:
        clock.advance(circuit.due_in_s)
        circuit.attempt_begins()
        circuit.attempt_failed("down", is_refused=is_refused)
    circuit.attempt_begins()
    circuit.succeeded()
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {record.levelno for record in lines[:-1]} == {level}
    assert len(lines) <= 20
    assert "work again after 36" in lines[-1].getMessage()
