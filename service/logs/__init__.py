"""Logs: one JSON object a line on stdout, in Cloud Logging's structured form; text for people in development.

Guarantees: ordinary records (from any thread) and request lines (from the event loop's thread) leave through
one LogWriter, in the order they were logged, and neither ever waits for stdout. Headers, where API keys
travel, are never logged. What a line looks like is in log_format; how it leaves the process, in log_writer.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

import orjson

from service.logs.format import (
    CloudFormatter,
    DevelopmentFormatter,
    current_trace,
    local_time,
    printable,
    rfc3339,
    trace_keys,
    valid_unicode,
)
from service.logs.writer import LogWriter

__all__ = ["LogWriter", "RequestLog", "configure_logging", "current_trace"]

DEVELOPMENT = "development"


def configure_logging(*, environment: str, level: str, project_id: str, stream: TextIO | None = None) -> LogWriter:
    """Send every logger's records of `level` and above to `stream` (stdout). Replaces what it set up before.

    Close the returned writer when the service stops, so that no line is lost; at exit it closes itself.
    """
    target = stream if stream is not None else sys.stdout
    formatter: logging.Formatter
    if environment == DEVELOPMENT:
        formatter = DevelopmentFormatter(coloured=target.isatty())
    else:
        formatter = CloudFormatter(project_id)
    handler = WriterHandler(formatter, target)
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, WriterHandler)]:
        root.removeHandler(earlier)
        earlier.writer.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    return handler.writer


class WriterHandler(logging.Handler):
    """Hands formatted records to its LogWriter."""

    def __init__(self, formatter: logging.Formatter, stream: TextIO) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.writer = LogWriter(stream, self._dropped_line)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.write(self._line(record))
        except Exception:  # noqa: BLE001 - the standard library's contract: a record that can't be formatted
            self.handleError(record)  # is reported on stderr and never stops the program

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "replace") + b"\n"

    def _dropped_line(self, count: int) -> bytes:
        text = "%d log lines were dropped: nobody read stdout"
        return self._line(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None))


class RequestLog:
    """One line for every request. Cheap: no LogRecord, one encoding, the time's text kept for a second.

    A 5xx is a WARNING here: the error itself is a record of its own, with its stack trace.
    """

    def __init__(
        self,
        writer: LogWriter,
        *,
        environment: str,
        level: str,
        project_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        least = logging.getLevelNamesMapping()[level.upper()]
        self._least_status = 100 if least <= logging.INFO else 500 if least <= logging.WARNING else 1000
        self._write = writer.write
        self._render = self._as_text if environment == DEVELOPMENT else self._as_json
        self._project_id = project_id
        self._clock = clock
        self._second = -1
        self._second_text = ""

    def log(
        self,
        method: str,
        path_and_query: str,
        status: int,
        response_bytes: int,
        latency_s: float,
        request_id: str,
        remote: str | None,
        user_agent: str | None,
        traceparent: str | None = None,
        cloud_trace_context: str | None = None,
    ) -> None:
        """Log one answered request; headers as they came in, None where there was none."""
        if status < self._least_status:
            return
        http = {
            "requestMethod": method,
            "requestUrl": path_and_query,
            "status": status,
            "responseSize": str(response_bytes),
            "latency": f"{latency_s:.6f}s",
            "remoteIp": remote or "",
            "userAgent": user_agent or "",
        }
        entry: dict[str, Any] = {
            "severity": "INFO" if status < 500 else "WARNING",
            "message": f"{method} {path_and_query} {status}",
            "time": self._time(),
            "httpRequest": http,
            "request_id": request_id,
        }
        if traceparent is not None or cloud_trace_context is not None:
            entry.update(trace_keys(traceparent, cloud_trace_context, self._project_id))
        self._write(self._render(entry))

    def _time(self) -> str:
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second, self._second_text = second, rfc3339(second)[:-1]
        return f"{self._second_text}.{int((now - second) * 1e6):06d}Z"

    @staticmethod
    def _as_json(entry: dict[str, Any]) -> bytes:
        try:
            return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # invalid UTF-8, which aiohttp passes on as surrogate escapes
            return orjson.dumps(valid_unicode(entry), option=orjson.OPT_APPEND_NEWLINE)

    def _as_text(self, entry: dict[str, Any]) -> bytes:
        http = entry["httpRequest"]
        latency_ms = float(http["latency"][:-1]) * 1e3
        head = f"{local_time(self._clock())} {entry['severity']:<8} {entry['message']}"
        return printable(f"{head} {http['responseSize']} B {latency_ms:.2f} ms").encode() + b"\n"
