"""One line for every request, rendered from parts that are prepared once.

On the event loop's thread. Cheap: no LogRecord; templates filled in with bytes, a batch of lines at a time (0.5 µs a
line, a dict through orjson took 2); the time's text kept for its millisecond. What is the same in many lines, their
kind and who asks, is rendered once by whoever keeps it.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from service.logs.format import local_time, printable, rfc3339, trace_keys, valid_unicode
from service.logs.writer import LATE_LINES, LogWriter

DEVELOPMENT = "development"

_LINE = (
    b'{"severity":"%b","message":"%b %%b %d","time":"%%b","httpRequest":{"requestMethod":"%b","requestUrl":"%%b",'
    b'"status":%d,"responseSize":"%%d","latency":"%%.6fs","remoteIp":"%b","userAgent":"%b"},%%b"request_id":"%%b"}\n'
)

Record = tuple[bytes, bytes, int, float, float, bytes, bytes]
"""Template, path and query, bytes of the response, when the request came and was answered, its trace and ID."""


class RequestLog:
    """Logs answered requests. A 5xx is a WARNING: the error itself is a record of its own, with its stack trace."""

    def __init__(
        self,
        writer: LogWriter,
        *,
        environment: str,
        level: str,
        project_id: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`clock` tells the time of day, `monotonic` what `log` is given."""
        least = logging.getLevelNamesMapping()[level.upper()]
        self._least_status = 100 if least <= logging.INFO else 500 if least <= logging.WARNING else 1000
        self._writer = writer
        self.late: deque[Record] = writer.late
        """Whoever can't afford to call `log` appends here what it does, and calls `take_late` when it does."""
        self.take_late = writer.take_late
        writer.render = self._lines
        self._for_people = environment == DEVELOPMENT
        self._project_id = project_id
        self._clock = clock
        self._monotonic = monotonic
        self._time_text = b""
        self._true_until = float("-inf")

    def template(self, method: str, status: int, remote: str | None, user_agent: str | None) -> bytes | None:
        """What all lines of this kind and client have in common; None where the level is above them.

        Headers as they came in, None where there was none.
        """
        if status < self._least_status:
            return None
        severity = b"INFO" if status < 500 else b"WARNING"
        verb, address, agent = (escaped(text or "").replace(b"%", b"%%") for text in (method, remote, user_agent))
        return _LINE % (severity, verb, status, verb, status, address, agent)

    def trace(self, traceparent: str | None, cloud_trace_context: str | None) -> bytes:
        """What ties a line to its trace, of these headers; empty where neither can be read."""
        keys = trace_keys(traceparent, cloud_trace_context, self._project_id)
        return orjson.dumps(keys)[1:-1] + b"," if keys else b""

    def log(
        self,
        template: bytes,
        path_and_query: bytes,
        response_bytes: int,
        began: float,
        ended: float,
        trace: bytes,
        request_id: bytes,
    ) -> None:
        """Log one answered request; texts as `escaped` makes them, times on the monotonic clock."""
        self.late.append((template, path_and_query, response_bytes, began, ended, trace, request_id))
        if not 1 < len(self.late) < LATE_LINES:
            self.take_late()

    def _lines(self, late: deque[Record]) -> list[bytes]:
        lines = []
        time_text, true_until = self._time_text, self._true_until
        while late:
            template, path, response_bytes, began, ended, trace, request_id = late.popleft()
            if ended >= true_until:
                time_text, true_until = self._time_text, self._true_until = self._time_at(ended)
            lines.append(template % (path, time_text, path, response_bytes, ended - began, trace, request_id))
        return [self._as_text(orjson.loads(line)) for line in lines] if self._for_people else lines

    def _time_at(self, ended: float) -> tuple[bytes, float]:
        """The time's text, and until when on the other clock it is true. Lines are rendered a little late."""
        milliseconds, fraction = divmod((self._clock() - (self._monotonic() - ended)) * 1000, 1)
        second, thousandths = divmod(int(milliseconds), 1000)
        return b"%b.%03dZ" % (rfc3339(second)[:-1].encode(), thousandths), ended + (1 - fraction) / 1000

    def _as_text(self, entry: dict[str, Any]) -> bytes:
        http = entry["httpRequest"]
        latency_ms = float(http["latency"][:-1]) * 1e3
        head = f"{local_time(self._clock())} {entry['severity']:<8} {entry['message']}"
        return printable(f"{head} {http['responseSize']} B {latency_ms:.2f} ms").encode() + b"\n"


def escaped(text: str) -> bytes:
    """The text as it stands in a JSON string, between the quotes."""
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:  # invalid UTF-8, which aiohttp passes on as surrogate escapes
        return orjson.dumps(valid_unicode(text))[1:-1]
