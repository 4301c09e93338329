"""Which ends of a connection are worth another try soon, and which need an operator."""

import asyncio
import errno
import json
import os
import sys

import grpc
import pytest

from listeners.listener import ListenerFailure, failure_of_os_error, failure_of_status
from listeners.on_snapshot.watch_inspection import failure_of_error
from tests.firestore_servers import BackgroundFirestore

# The transient ones are those that Firestore's own clients try again.
PERMANENT_BY_CODE = {
    grpc.StatusCode.CANCELLED: False,
    grpc.StatusCode.UNKNOWN: False,
    grpc.StatusCode.INVALID_ARGUMENT: True,
    grpc.StatusCode.DEADLINE_EXCEEDED: False,
    grpc.StatusCode.NOT_FOUND: True,
    grpc.StatusCode.ALREADY_EXISTS: True,
    grpc.StatusCode.PERMISSION_DENIED: True,
    grpc.StatusCode.UNAUTHENTICATED: False,
    grpc.StatusCode.RESOURCE_EXHAUSTED: False,
    grpc.StatusCode.FAILED_PRECONDITION: True,
    grpc.StatusCode.ABORTED: False,
    grpc.StatusCode.UNIMPLEMENTED: True,
    grpc.StatusCode.OUT_OF_RANGE: True,
    grpc.StatusCode.INTERNAL: False,
    grpc.StatusCode.UNAVAILABLE: False,
    grpc.StatusCode.DATA_LOSS: True,
}


@pytest.mark.parametrize(("code", "permanent"), PERMANENT_BY_CODE.items())
def test_each_status_is_worth_another_try_or_needs_an_operator(code: grpc.StatusCode, permanent: bool) -> None:
    failure = failure_of_status(code, "why")
    assert (failure.reason, failure.permanent, failure.prompt) == (code.name.lower(), permanent, False)


def test_every_status_but_ok_is_classified() -> None:
    assert set(grpc.StatusCode) - set(PERMANENT_BY_CODE) == {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (ListenerFailure("idle"), "idle"),
        (ListenerFailure("unavailable", "connection refused"), "unavailable: connection refused"),
        (failure_of_status(grpc.StatusCode.NOT_FOUND, "no database"), "not_found: no database"),
    ],
)
def test_a_failure_says_its_reason_and_its_detail(failure: ListenerFailure, text: str) -> None:
    assert str(failure) == text


def test_a_failure_is_ordinary_unless_it_says_otherwise() -> None:
    failure = ListenerFailure("idle")
    assert (failure.permanent, failure.prompt) == (False, False)


def test_a_process_without_file_descriptors_is_told_apart_from_an_outage() -> None:
    """gRPC's own words, with the bytes of no meaning that it adds."""
    detail = (
        "failed to connect to all addresses; last error: INTERNAL: ipv4:127.0.0.1:35063: socket: Too many open files"
    )
    failure = failure_of_status(grpc.StatusCode.UNAVAILABLE, f"{detail}\n\x00\x88÷")
    assert (failure.reason, failure.permanent) == ("too_many_open_files", False)
    assert str(failure) == "too_many_open_files: Too many open files"


async def test_a_listener_without_file_descriptors_says_so_in_its_failure(
    local_firestore: BackgroundFirestore, project: str
) -> None:
    """A real process and real gRPC, whatever its text is. Each listener connects again once there are descriptors."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.listeners.without_descriptors", project),
        env={**os.environ, "FIRESTORE_EMULATOR_HOST": local_firestore.host},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, log = await child.communicate()
    assert child.returncode == 0, log.decode()
    failures = json.loads(output)
    assert len(failures) == 3
    for reason, text in failures.values():
        assert reason == "too_many_open_files"
        assert text.endswith("Too many open files")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EMFILE, "too_many_open_files"),
        (errno.ENFILE, "too_many_open_files"),
        (errno.ECONNRESET, "os_error"),
    ],
)
def test_an_error_of_the_operating_system_is_worth_another_try(number: int, reason: str) -> None:
    error = OSError(number, os.strerror(number))
    for failure in (failure_of_os_error(error), failure_of_error(error)):
        assert (failure.reason, failure.permanent, failure.prompt) == (reason, False, False)
