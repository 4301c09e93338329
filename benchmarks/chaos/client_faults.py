"""What clients do, and what outages do to a crowd of them."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from benchmarks.chaos.crowd import AT_ONCE_MS, judge_outage
from benchmarks.chaos.firestore_faults import READS
from benchmarks.chaos.names import status_path
from benchmarks.chaos.stage import Stage

GATHERING_S = 3.0
"""Until each client of the crowd has polled some processes."""

KNOWN_AFTER_S = 0.3
"""After the lease has lapsed: the first answers may find out that Firestore is away."""

REFUSALS = ("PERMISSION_DENIED", "NOT_FOUND")
LEAVERS = 200
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

HELD_REFUSED = "held processes not `STALE` in an outage"
STALE_SLOW = f"p99 of `STALE` over {AT_ONCE_MS:g} ms"


@contextmanager
def _crowd(stage: Stage) -> Iterator[None]:
    """Polls before and during what happens within; judges the answers that come once the lease has lapsed."""
    times = stage.times
    with stage.quiet():
        stage.crowd.ask("begin")
        time.sleep(GATHERING_S)
        began = time.time()
        try:
            yield
            time.sleep(times.stale_if_error_s)
        finally:
            polls = stage.crowd.ask("end")
            stage.firestore.ask("release")
    stale_until_s = began + times.stale_if_error_s - times.lease_s / 5
    instants_s = (began, began + times.lease_s + KNOWN_AFTER_S, stale_until_s - 0.2, stale_until_s)
    verdict = judge_outage(polls, *(int(instant_s * 1e6) for instant_s in instants_s))
    stage.findings.blame(HELD_REFUSED, verdict.refused, f"{verdict.refused} of {verdict.polls}, as {verdict.example}")
    if verdict.is_slow:
        why = f"p50 {verdict.p50_ms:.0f} ms, p99 {verdict.p99_ms:.0f} ms, before {verdict.before_p99_ms:.0f} ms"
        stage.findings.blame(STALE_SLOW, 1, why)
    stage.findings.note("p99 of held processes in outages, ms", round(verdict.p99_ms))


def crowd_in_an_outage(stage: Stage) -> None:
    with _crowd(stage):
        stage.network("refuse")


def crowd_while_firestore_hangs(stage: Stage) -> None:
    """Connections stay open, and nothing comes."""
    with _crowd(stage):
        stage.network("stop_reading", "requests", "answers")


def crowd_while_refused(stage: Stage) -> None:
    """The operator took a permission away, or the database."""
    code = stage.chance.choice(REFUSALS)
    with stage.excuses.refusals.noted(aftermath_s=5.0), _crowd(stage):
        for rpc in (*READS, "Listen"):
            stage.fault("fail_calls", rpc=rpc, code=code, calls=None)
        stage.fault("end_streams", code=code)


def leave_at_once(stage: Stage) -> None:
    """Clients ask for streams and waits and are gone before the answer."""
    marked = status_path(stage.marker, "/events"), status_path(stage.marker, wait=30)
    paths = ("/events", "/events?status=running", *marked)
    for number in range(LEAVERS):
        where = urlsplit(stage.replicas[number % len(stage.replicas)].url)
        with socket.create_connection((where.hostname or "", where.port or 80), timeout=10) as leaver:
            path = paths[number % len(paths)]
            leaver.sendall(f"GET {path} HTTP/1.1\r\nHost: leaver\r\n\r\n".encode())
            time.sleep(stage.chance.choice((0, 0, 0.001)))
            leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
