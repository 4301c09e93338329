"""The same bytes have the same effect on the service's connections as on aiohttp's own: every answer, whether the
connection stays open, log lines, counts. Their clock stands still, so that ages and leases are equal too.

What this service defines otherwise is in tests/service/http/oracle.py and test_http_rules.py. FUZZ_CASES says how many
mutations are tried (`make fuzz`: 20,000); FUZZ_SEED begins another sequence of them.
"""

import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.fuzzing.requests import DEVIATIONS, in_parts, pipelines, splits
from tests.service.http.both import LEAST, Both, head

pytestmark = pytest.mark.thorough

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
CASES = int(os.environ.get("FUZZ_CASES", "200"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
ODD_BYTES = [
    b"",
    b"\x00",
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b"\t",
    b"%",
    b"\x80",
    b"/",
    b":",
    b",",
    b";",
    b"?",
    b"#",
    b'"',
    b"0",
]


def read(path: Path) -> bytes:
    """A file of the corpus: lines end with CRLF, and \\xNN stands for any byte."""
    text = path.read_text().replace("\n", "\r\n")
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


async def test_each_odd_request_has_the_same_effect_however_it_is_split(both: Both) -> None:
    for data in map(both.filled_in, map(read, CORPUS)):
        ways = [[data], [data[place : place + 1] for place in range(len(data))]]
        await both.assert_same_effect(*ways, *([data[:place], data[place:]] for place in range(1, len(data))))


async def test_each_deviation_has_the_same_effect(both: Both) -> None:
    """With the usual request before, between and after."""
    for data in DEVIATIONS:
        parts = [head(), data, head(), data, head()]
        await both.assert_same_effect(parts, [b"".join(parts)])


@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(data=head(), places=[])
@example(data=head() * 2, places=[len(head())])
@example(data=head() * 2, places=[len(head()) - 1])
@example(data=head() * 100, places=[])
@example(data=head(method=b"HEAD") + head(headers=[*LEAST, b"If-None-Match: x", b'If-None-Match: "v{now}"']), places=[])
@example(data=head(headers=[*LEAST, b"Content-Length: 3"]) + b"abc" + head(), places=[])
@given(data=pipelines, places=splits)
async def test_the_same_bytes_have_the_same_effect(both: Both, data: bytes, places: list[int]) -> None:
    await both.assert_same_effect(in_parts(data, places), [data])


async def test_what_differs_from_request_to_request_has_each_time_its_own_effect(both: Both) -> None:
    """A proxy sends the requests of many clients, each with a trace of its own, through one connection."""

    def of_client(number: int, *lines: bytes) -> bytes:
        return head(headers=[*LEAST, b"User-Agent: client %d" % (number % 3), *lines])

    trace, span = b"0af7651916cd43dd8448eb211c8031%02x", b"b7ad6b71692033%02x"
    sent = [
        of_client(number, *lines)
        for number in range(1, 20)
        for lines in (
            [b"traceparent: 00-" + trace % number + b"-" + span % number + b"-01", b"X-Request-Id: r-%d" % number],
            [b"X-Cloud-Trace-Context: " + trace % number + b"/%d;o=1" % number, b'If-None-Match: "v{now}"'],
            [b'If-None-Match: "v{now}"', b"TRACEPARENT: nonsense", b"X-Request-Id: {not} one"],
            [],
        )
        for _ in range(2)
    ]
    await both.assert_same_effect(sent)
    for twice in (b"traceparent: 00-", b"X-Request-Id: a", b"x-cloud-trace-context: b", b'If-None-Match: "v{now}"'):
        await both.assert_same_effect([*sent[:2], of_client(1, twice, twice.upper()), sent[3]])
        await both.assert_same_effect([*sent[:2], of_client(1, twice, b"Accept: */*", twice), sent[3]])
    for unusual in (
        b"traceparent:  00-",
        b"traceparent: 00- ",
        b"traceparent:",
        b"X-Request-Id: \xff",
        b"x-request-id : a",
    ):
        await both.assert_same_effect([*sent[:2], of_client(1, unusual), sent[3]])


def mutated(data: bytes, source: random.Random) -> bytes:
    """With up to four bytes, or ranges of bytes, replaced, repeated, swapped or left out."""
    for _ in range(source.randint(1, 4)):
        begin = source.randrange(len(data) + 1)
        end = min(len(data), begin + source.choice([0, 1, 1, 1, 2, 8, 40]))
        instead = source.choice(
            [*ODD_BYTES, data[begin:end] * 2, data[begin:end][::-1], bytes([source.randrange(256)])]
        )
        data = data[:begin] + instead + data[end:]
    return data


@pytest.mark.timeout(3600)
async def test_mutated_requests_have_the_same_effect(both: Both) -> None:
    """Each head comes to its end: aiohttp refuses a repeated header before."""
    source = random.Random(SEED)
    seeds = [*map(read, CORPUS), *DEVIATIONS]
    for number in range(CASES):
        data = both.filled_in(mutated(source.choice(seeds), source) + b"\r\n\r\n" + source.choice([b"", head()]))
        if b"events" in data:
            continue  # a stream does not end, and aiohttp's server can't send ours
        cuts = sorted({0, len(data), *(source.randrange(len(data) + 1) for _ in range(source.randrange(4)))})
        try:
            await both.assert_same_effect([data[begin:end] for begin, end in pairwise(cuts)] or [data])
        except AssertionError:
            print(f"case {number}: {data!r} cut at {cuts}")  # noqa: T201 - what to add to the corpus
            raise
