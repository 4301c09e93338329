"""How fast is a poll of a process that the model holds? Answered in full (200), and where nothing has changed (304).

A thousand of ten thousand processes are polled in turn, with default settings: one worker, metrics and request log on.
What that log costs is told by the same service without it.
"""

import http.client
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

from benchmarks.firestore import process_id
from benchmarks.http_round import Expected, Side, contest, head
from benchmarks.programs import Program
from benchmarks.question import Part, Question, Run
from benchmarks.rivals.bare_aiohttp import ETAG
from benchmarks.rivals.start import BARE_AIOHTTP, FLASK, NGINX, REDIS, TTL_CACHE, Scene, enter
from benchmarks.start import SERVICE, firestore, service

HELD, POLLED = 10_000, 1_000
WITHOUT_LOG = f"{SERVICE}, without it"
HIT = Expected(x_cache="HIT")
RIVALS = (BARE_AIOHTTP, NGINX, REDIS, TTL_CACHE, FLASK)
ANSWER_304 = (BARE_AIOHTTP.name, NGINX.name)
"""The others never do."""


def parts(run: Run) -> Iterator[Part]:
    ids = [process_id(number) for number in range(POLLED)]
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, HELD)).ask("host")
        ours = stack.enter_context(service(run, host, HELD))
        rivals, left_out = enter(stack, run, RIVALS, Scene(host, ours.get(f"/status/{ids[0]}"), ids))
        polls = [head(f"/status/{each}") for each in ids]
        sides = {SERVICE: Side(ours, polls, HIT)}
        sides |= {name: Side(rival, polls) for name, rival in rivals.items()}
        yield contest(run, "200", sides, left_out)

        unchanged = [
            head(f"/status/{each}", If_None_Match=etag) for each, etag in zip(ids, etags(ours, ids), strict=True)
        ]
        sides = {SERVICE: Side(ours, unchanged, Expected(304, "HIT"))}
        constant = [head(f"/status/{each}", If_None_Match=ETAG) for each in ids]
        sides |= {name: Side(rivals[name], constant, Expected(304)) for name in ANSWER_304 if name in rivals}
        yield contest(run, "304", sides, {name: why for name, why in left_out.items() if name in ANSWER_304})

        with service(run, host, HELD, LOG_LEVEL="WARNING") as silent:
            sides = {name: Side(server, polls, HIT) for name, server in ((SERVICE, ours), (WITHOUT_LOG, silent))}
            yield contest(run, "200, request log", sides, {})


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


QUESTION = Question("hit", "How fast is a poll answered from the model?", ("requests_per_s", "p50_ms", "p99_ms"), parts)
