"""The requests that nearly all clients send, answered without aiohttp: polls of a process or a list, from the model.

A connection starts here. While each request on it is canonical (complete when it is read, nothing but known headers
written as clients write them) and the model may answer it, it is answered from the rendered bytes.
Anything else is aiohttp's, so nothing is accepted here that aiohttp would refuse, and every error, wait and miss has
one home:
- One request that came alone, whole and certainly without a body (a miss, a strong read, a refused key) is lent to
  aiohttp's own protocol; once it is answered the connection is here again. Proxies send the requests of many clients
  through one connection: a miss among a thousand polls must not slow down the rest of them.
- Whatever else, in doubt too, is handed over for good with the bytes not answered yet: who asks for an event stream,
  sends before the answer is there, writes a head unusually or does not read fast enough.
Answers, log lines and counts are those of `Handlers` inside `HttpFrame`. In `tests/service/http/fast_path/`
`test_equals_aiohttp.py` sends both the same bytes, `test_waits_equal_aiohttp.py` lets both wait for the same changes.

Who waits for a change waits here too, without a task (`LongPolls.begin`): 5 KB for a client instead of 15, and a third
of the CPU time. What only Firestore can tell, after a lapse, is asked for again through aiohttp, a few a turn.

Why it is fast, in CPU time of a request (Python 3.11, uvloop, a loader on the other core; a bare aiohttp application
takes 32 µs of it, this 8, log line and counts included, of which two thirds are the kernel's and uvloop's):
- No task, request or response object, no dict of headers: one protocol, two regular expressions, one template (0.3 µs).
- What a client sends behind the target as it did before, but for the ETag, is compared and not read: 0.1 instead of 5
  (curl) to 12 µs (a browser behind a proxy). Where a trace or an ID differs each time, that alone is read: 3 µs, and 2
  for its part of the log line. The memory is a connection's own, so a look-up never tells one client about another's
  key.
- The Date is rendered once a second, request IDs need no system call, counts are plain numbers until a scrape, log
  lines are joined a batch at a time: `service/telemetry/metrics.py` and `service/telemetry/logs/` have the figures.
- Nothing is kept for each process but the body the model has anyway: the head around it costs less than its memory.

FAST_PATH=false leaves this folder out.
"""

from service.http.fast_path.connection import FastConnection
from service.http.fast_path.shared import FastPath

__all__ = ["FastConnection", "FastPath"]
