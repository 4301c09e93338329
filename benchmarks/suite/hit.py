"""How fast is a poll of a process that the model holds? Answered in full (200), and where nothing has changed (304).

A thousand of ten thousand processes are polled in turn, with default settings: one worker, metrics and request log on.
"From browsers": each request carries what a browser and a tracing proxy send, and no two requests have one trace.
"Through aiohttp": `/readyz`, which the service answers with an aiohttp handler. The part "request log" compares the
service with the same service without that log.
"""

import http.client
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

from benchmarks.baselines.bare_aiohttp import ETAG
from benchmarks.baselines.start import BARE_AIOHTTP, FLASK, NGINX, REDIS, TTL_CACHE, Scene, enter
from benchmarks.benchmark import Benchmark, Part, Run
from benchmarks.firestore import process_id
from benchmarks.http_round import Expected, Side, contest, head
from benchmarks.programs import Program
from benchmarks.start import SERVICE, firestore, service

HELD, POLLED = 10_000, 1_000
WITHOUT_LOG = f"{SERVICE}, without it"
HIT = Expected(x_cache="HIT")
BASELINES = (BARE_AIOHTTP, NGINX, REDIS, TTL_CACHE, FLASK)
BROWSER_HEADERS = {
    "User_Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
    "Accept": "application/json, text/plain, */*",
    "Accept_Encoding": "gzip, deflate, br, zstd",
    "Accept_Language": "en-GB,en;q=0.9,de;q=0.8",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark; consent=1",
}
TRACES_PER_PROCESS = 10
ANSWER_BROWSERS = (BARE_AIOHTTP.name, NGINX.name)
ANSWER_304 = (BARE_AIOHTTP.name, NGINX.name)
"""The others never do."""


def parts(run: Run) -> Iterator[Part]:
    ids = [process_id(number) for number in range(POLLED)]
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, HELD)).ask("host")
        ours = stack.enter_context(service(run, host, HELD))
        baselines, left_out = enter(stack, run, BASELINES, Scene(host, ours.get(f"/status/{ids[0]}"), ids))
        polls = [head(f"/status/{each}") for each in ids]
        sides = {SERVICE: Side(ours, polls, HIT)}
        sides |= {name: Side(baseline, polls) for name, baseline in baselines.items()}
        yield contest(run, "200", sides, left_out)

        unchanged = [
            head(f"/status/{each}", If_None_Match=etag) for each, etag in zip(ids, etags(ours, ids), strict=True)
        ]
        sides = {SERVICE: Side(ours, unchanged, Expected(304, "HIT"))}
        constant = [head(f"/status/{each}", If_None_Match=ETAG) for each in ids]
        sides |= {name: Side(baselines[name], constant, Expected(304)) for name in ANSWER_304 if name in baselines}
        yield contest(run, "304", sides, {name: why for name, why in left_out.items() if name in ANSWER_304})

        browsers = [browser_head(f"/status/{each}", trace) for trace, each in enumerate(ids * TRACES_PER_PROCESS)]
        sides = {SERVICE: Side(ours, browsers, HIT)}
        sides |= {name: Side(baselines[name], browsers) for name in ANSWER_BROWSERS if name in baselines}
        yield contest(run, "200, from browsers", sides, {})

        handled = [head("/readyz")]
        sides = {SERVICE: Side(ours, handled, Expected(same_size=False))}
        sides |= {name: Side(baselines[name], handled) for name in (BARE_AIOHTTP.name,) if name in baselines}
        yield contest(run, "200, through aiohttp", sides, {})

        with service(run, host, HELD, LOG_LEVEL="WARNING") as silent:
            sides = {name: Side(server, polls, HIT) for name, server in ((SERVICE, ours), (WITHOUT_LOG, silent))}
            yield contest(run, "200, request log", sides, {})


def browser_head(path: str, trace: int) -> bytes:
    """A GET as a browser sends it, behind a proxy that traces; `trace` makes its trace unlike any other's."""
    return head(path, **BROWSER_HEADERS, traceparent=f"00-{trace + 1:032x}-{trace + 1:016x}-01")


def etags(server: Program, process_ids: Sequence[str]) -> list[str]:
    """What each is answered with now."""
    found = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        for each in process_ids:
            connection.request("GET", f"/status/{each}")
            answer = connection.getresponse()
            answer.read()
            found.append(answer.headers["ETag"])
    return found


BENCHMARK = Benchmark(
    "hit", "How fast is a poll answered from the model?", ("requests_per_s", "p50_ms", "p99_ms"), parts
)
