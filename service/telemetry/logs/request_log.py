"""Logs one line per request, made from prepared parts.

Runs on the event loop's thread, and is cheap: it makes no LogRecord, and joins pieces of text for a batch of lines at a
time. It keeps some texts, to render them only once: the present millisecond, small sizes, short durations, and the
common parts of lines for the last MAX_TEMPLATES kinds of lines.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from service.telemetry.logs.format import local_time, printable, read_trace, rfc3339, valid_unicode
from service.telemetry.logs.writer import LATE_LINES, LogWriter

DEVELOPMENT = "development"

Template = tuple[bytes, bytes]
"""The parts of a line between its time and the path, and between path and URL."""

_TIME = b'{"time":"%b.%03dZ",'
_BEFORE_PATH = b'"severity":"%b","message":"%b '
_BEFORE_URL = b' %d","httpRequest":{"requestMethod":"%b","status":%d,"remoteIp":"%b","userAgent":"%b","requestUrl":"'
_SIZE = b'","responseSize":"%d","latency":"'
_LATENCY = b'%.6fs"},"request_id":"'
_END = b'"}\n'
_TRACED_END = b'","logging.googleapis.com/trace":"projects/%b/traces/%b",%b"logging.googleapis.com/trace_sampled":%b}\n'
_SPAN = b'"logging.googleapis.com/spanId":"%b",'

MAX_TEMPLATES = 2048
MAX_REMEMBERED_AGENT_BYTES = 512
"""Together, these limits bound the memory for clients to some two megabytes."""

_SIZES = [_SIZE % size for size in range(1024)]
_LATENCIES = [_LATENCY % (microseconds / 1e6) for microseconds in range(1000)]

Kind = tuple[bytes, int, str, bytes | None]
"""The common parts of many lines: method, status, client's address, and user agent (None: there is none)."""

Record = tuple[bytes, int, str, Mapping[bytes, bytes], bytes, int, float, float, bytes]
"""Method; status; the client's address; header fields by name in lower case; path with query; bytes of the body;
duration in seconds; end (on the monotonic clock); ID. Path and ID must be the result of `escaped`.
"""


class RequestLog:
    """Logs answered requests. A 5xx is a WARNING, because the error itself has its own record with a stack trace."""

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
        """`clock` is the time of day; `monotonic` is the clock of `Record`."""
        least = logging.getLevelNamesMapping()[level.upper()]
        self._least_status = 100 if least <= logging.INFO else 500 if least <= logging.WARNING else 1000
        self._writer = writer
        self._late: deque[Record] = writer.late
        self._take_late = writer.take_late
        self._templates: dict[Kind, Template] = {}
        writer.render = self._lines
        self._for_people = environment == DEVELOPMENT
        self._project_id = escaped(project_id)
        self._clock = clock
        self._monotonic = monotonic
        self._time_text = b""
        self._true_until = float("-inf")

    def log(self, record: Record) -> None:
        """Log one answered request, unless the configured level is higher."""
        if record[1] >= self._least_status:
            late = self._late
            late.append(record)
            if not 1 < len(late) < LATE_LINES:
                self._take_late()

    def _lines(self, late: deque[Record]) -> bytes:
        pieces: list[bytes] = []
        time_text, true_until = self._time_text, self._true_until
        while late:
            method, status, remote, fields, path, body_bytes, seconds, ended, request_id = late.popleft()
            kind = method, status, remote, fields.get(b"user-agent")
            before_path, before_url = self._templates.get(kind) or self._new_template(kind)
            traceparent, cloud_trace_context = fields.get(b"traceparent"), fields.get(b"x-cloud-trace-context")
            if ended >= true_until:
                time_text, true_until = self._time_text, self._true_until = self._time_at(ended)
            try:
                size, latency = _SIZES[body_bytes], _LATENCIES[int(seconds * 1e6 + 0.5)]
            except IndexError:  # a large or slow answer
                size, latency = _SIZE % body_bytes, _LATENCY % seconds
            end = _END
            if traceparent is not None or cloud_trace_context is not None:
                end = self._traced_end(traceparent, cloud_trace_context)
            pieces += (time_text, before_path, path, before_url, path, size, latency, request_id, end)
        lines = b"".join(pieces)
        if self._for_people:
            return b"".join([self._as_text(orjson.loads(line)) for line in lines.splitlines()])
        return lines

    def _new_template(self, kind: Kind) -> Template:
        method, status, remote, user_agent = kind
        severity = b"INFO" if status < 500 else b"WARNING"
        verb, address, agent = escaped(_text(method)), escaped(remote), escaped(_text(user_agent))
        template = _BEFORE_PATH % (severity, verb), _BEFORE_URL % (status, verb, status, address, agent)
        if len(user_agent or b"") <= MAX_REMEMBERED_AGENT_BYTES:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
            self._templates[kind] = template
        return template

    def _traced_end(self, traceparent: bytes | None, cloud_trace_context: bytes | None) -> bytes:
        """The end of a line that one of these headers connects with a trace, if the header can be read."""
        trace = read_trace(_text(traceparent), _text(cloud_trace_context))
        if trace is None:
            return _END
        span = _SPAN % trace.span_id.encode() if trace.span_id else b""
        return _TRACED_END % (self._project_id, trace.trace_id.encode(), span, b"true" if trace.sampled else b"false")

    def _time_at(self, ended: float) -> tuple[bytes, float]:
        """The beginning of lines, and the time on the other clock until which it is valid.

        Lines are rendered a little late.
        """
        milliseconds, fraction = divmod((self._clock() - (self._monotonic() - ended)) * 1000, 1)
        second, thousandths = divmod(int(milliseconds), 1000)
        return _TIME % (rfc3339(second)[:-1].encode(), thousandths), ended + (1 - fraction) / 1000

    def _as_text(self, entry: dict[str, Any]) -> bytes:
        http = entry["httpRequest"]
        latency_ms = float(http["latency"][:-1]) * 1e3
        head = f"{local_time(self._clock())} {entry['severity']:<8} {entry['message']}"
        return printable(f"{head} {http['responseSize']} B {latency_ms:.2f} ms").encode() + b"\n"


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")


def escaped(text: str) -> bytes:
    """The text as in a JSON string, without the quotes."""
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:  # invalid UTF-8, which aiohttp passes on as surrogate escapes
        return orjson.dumps(valid_unicode(text))[1:-1]
