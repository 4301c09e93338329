"""Logs: one JSON object per line on stdout, in Cloud Logging's structured form; plain text in development.

Guarantees: ordinary records (from any thread) and request lines (from the event loop's thread) go through one LogWriter
in the order in which they were logged, and neither waits for stdout. Headers are never logged, because they contain API
keys. format.py renders records, request_log.py renders requests, writer.py writes lines to stdout.
"""

import logging
import sys
from typing import TextIO

from service.telemetry.logs.format import CloudFormatter, DevelopmentFormatter, current_trace
from service.telemetry.logs.request_log import DEVELOPMENT, RequestLog
from service.telemetry.logs.writer import LogWriter

__all__ = ["LogWriter", "RequestLog", "configure_logging", "current_trace"]


def configure_logging(*, environment: str, level: str, project_id: str, stream: TextIO | None = None) -> LogWriter:
    """Send every logger's records of `level` and above to `stream` (stdout). Replaces an earlier configuration.

    The caller must close the returned writer when the service stops, so that no line is lost. It also closes at exit.
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
            self.handleError(record)  # reports on stderr and never stops the program

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "replace") + b"\n"

    def _dropped_line(self, count: int) -> bytes:
        text = "%d log lines were dropped: stdout was not read"
        return self._line(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None))
