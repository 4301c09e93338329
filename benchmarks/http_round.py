"""One round of HTTP load on one server, and whether what came back may be called a measurement.

Not a number is told where answers were errors or others than expected, where too few came, or where the loader was at
its limit while the server was not: then the loader would have been measured.
"""

import functools
import http.client
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.benchmark import Figures, Part, Run
from benchmarks.load.loader import CONNECTIONS, Loaded
from benchmarks.programs import Program
from benchmarks.refusal import NotMeasured

FEWEST_ANSWERS = 100
SAME_SIZE = 0.02
"""Answers of the same kind may differ by a digit of a version or an age, no more."""

SATURATED, IDLE = 0.95, 0.85
"""Shares of a core: a loader above the first while its server is below the second measures itself."""

FEWEST_AS_EXPECTED = 0.99


@dataclass(frozen=True)
class Expected:
    """What an answer must be for its time to count."""

    status: int = 200
    x_cache: str = ""
    """"": whatever it says."""
    same_size: bool = True
    """Whether every answer has the size of the sample."""


@dataclass(frozen=True)
class Side:
    """One contender: where it is, what it is asked, and what it must answer."""

    server: Program
    requests: Sequence[bytes]
    expected: Expected = Expected()


def contest(run: Run, name: str, sides: Mapping[str, Side], left_out: Mapping[str, str]) -> Part:
    """The part of a benchmark in which these are loaded in turn."""
    rounds = {
        contender: functools.partial(one_round, run, side.server, side.requests, side.expected)
        for contender, side in sides.items()
    }
    return Part(name, rounds, run.rounds, left_out)


def head(path: str, **headers: str) -> bytes:
    """A GET as a client on keep-alive sends it; `headers` replace its usual ones."""
    named = {"User-Agent": "benchmark", "Accept": "*/*"} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def one_round(
    run: Run, server: Program, requests: Sequence[bytes], expected: Expected, *, connections: int = CONNECTIONS
) -> Figures:
    """Load the server for the run's seconds. Raises: NotMeasured.

    The first and the last request are samples, those before the last warm up, and none of these is measured: where
    there are many, each is asked for once.
    """
    asked = Requests.shared_out(requests)
    answer_bytes, cores = sample(server, asked.before, expected), run.cores.loader
    run.loader.load(server.port, asked.warm_up, 1, cores, connections)
    found_before, cpu_before = lookups(server, expected), server.cpu_s
    loaded = run.loader.load(server.port, asked.measured, run.seconds, cores, connections)
    cpu_s = server.cpu_s - cpu_before
    found = lookups(server, expected) - found_before
    server.forget_log()
    if expected.x_cache and found < FEWEST_AS_EXPECTED * loaded.answers:
        raise NotMeasured(f"{found:.0f} of {loaded.answers} answers were {expected.x_cache}")
    sample(server, asked.after, expected)
    return figures(loaded, cpu_s, answer_bytes if expected.same_size else None)


@dataclass(frozen=True)
class Requests:
    """What is asked when."""

    before: bytes
    measured: Sequence[bytes]
    warm_up: Sequence[bytes]
    after: bytes

    @classmethod
    def shared_out(cls, requests: Sequence[bytes]) -> "Requests":
        """A quarter of them warms up; few are asked for again and again."""
        if len(requests) < 8:
            return cls(requests[0], requests, requests, requests[-1])
        end = len(requests) * 3 // 4
        return cls(requests[0], requests[1:end], requests[end:-1], requests[-1])


def figures(loaded: Loaded, server_cpu_s: float, answer_bytes: int | None) -> Figures:
    """What was measured. Raises: NotMeasured."""
    if loaded.errors:
        told = ", ".join(f"{kind}: {count}" for kind, count in sorted(loaded.errors.items()))
        raise NotMeasured(f"errors among {loaded.answers} answers ({told})")
    if loaded.answers < FEWEST_ANSWERS:
        raise NotMeasured(f"{loaded.answers} answers in {loaded.seconds:.1f} s are too few")
    mean_bytes = loaded.bytes / loaded.answers
    if answer_bytes is not None and abs(mean_bytes / answer_bytes - 1) > SAME_SIZE:
        raise NotMeasured(f"answers had {mean_bytes:.0f} bytes where {answer_bytes} were expected")
    loader_share, server_share = loaded.cpu_s / loaded.seconds, server_cpu_s / loaded.seconds
    if loader_share > SATURATED and server_share < IDLE:
        raise NotMeasured(f"the loader was at its limit, the server at {server_share:.0%} of a core")
    return {
        "requests_per_s": loaded.answers / loaded.seconds,
        **{f"{name}_ms": loaded.latency_ms[name] for name in ("p50", "p90", "p99", "max")},
        "cpu_per_request_us": server_cpu_s * 1e6 / loaded.answers,
        "server_cores": server_share,
        "loader_cores": loader_share,
    }


def sample(server: Program, request: bytes, expected: Expected) -> int:
    """Ask once and look at the answer. Returns its size in bytes. Raises: NotMeasured where it is another."""
    path = request.split(b" ", 2)[1].decode()
    headers = dict(re.findall(r"^([\w-]+): (.*?)\r?$", request.decode(), re.MULTILINE))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != expected.status:
        raise NotMeasured(f"answered {answer.status} where {expected.status} was expected")
    if expected.x_cache and answer.headers["X-Cache"] != expected.x_cache:
        raise NotMeasured(f"X-Cache was {answer.headers['X-Cache']} where {expected.x_cache} was expected")
    return _size(answer, len(body))


def _size(answer: http.client.HTTPResponse, body_bytes: int) -> int:
    status_line = len(f"HTTP/1.1 {answer.status} {answer.reason}\r\n")
    return status_line + sum(len(name) + len(value) + 4 for name, value in answer.getheaders()) + 2 + body_bytes


def lookups(server: Program, expected: Expected) -> float:
    """How many answers were of the expected kind so far, as the service counts them; 0 where any kind will do."""
    if not expected.x_cache:
        return 0.0
    time.sleep(server.counts_late_s)
    return metric(server, "lookups_total", source=expected.x_cache.lower())


def metric(server: Program, name: str, **labels: str) -> float:
    """A metric of the service, summed over the labels that are not given."""
    return total(server.get("/metrics").decode(), name, labels)


def total(exposition: str, name: str, labels: Mapping[str, str]) -> float:
    """The sum of the samples of that name that carry these labels."""
    samples = (sample for family in text_string_to_metric_families(exposition) for sample in family.samples)
    named = (each for each in samples if each.name == f"process_status_{name}")
    return sum(each.value for each in named if labels.items() <= each.labels.items())
