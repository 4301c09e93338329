"""Renders a log record as text: as Cloud Logging's JSON, or as a short readable line. Pure, on any thread.

Guarantees: the result is one well-formed line (in development followed by the stack trace), whatever bytes a client has
put into it. Extras become keys; if the name of a key sounds like a secret, its value is removed. Every record of
severity ERROR and above has a `stack_trace`, so that Error Reporting groups it.

The keys: https://cloud.google.com/logging/docs/structured-logging#special-payload-fields
"""

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter, orjson_default

from service import SERVICE_NAME, __version__

SERVICE_CONTEXT = {"service": SERVICE_NAME, "version": __version__}
REDACTED = "[redacted]"
SECRETS = re.compile(
    r"(?i)(x[-_])?api[-_]?keys?|(proxy[-_])?authorization|(set[-_])?cookie|password|secret|credentials"
)
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.A
)
CLOUD_TRACE = re.compile(r"(?!0{32})([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]{1,20}))?", re.A)

TraceKeys = dict[str, str | bool]

current_trace: ContextVar[tuple[str | None, str | None]] = ContextVar("current_trace", default=(None, None))
"""The `traceparent` and `X-Cloud-Trace-Context` headers of the request being answered. If it is set, records that are
logged for this request belong to its trace."""


class CloudFormatter(OrjsonFormatter):
    """Renders a record as Cloud Logging's JSON."""

    def __init__(self, project_id: str) -> None:
        own = ["severity", "time", "stack_trace", "taskName"]
        super().__init__(rename_fields={"exc_info": "stack_trace"}, reserved_attrs=[*RESERVED_ATTRS, *own])
        self._project_id = project_id

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["severity"] = severity_of(record.levelno)
        log_data["message"] = record.getMessage()
        log_data["time"] = rfc3339(record.created)
        super().add_fields(log_data, record, message_dict)
        log_data.update(trace_keys(*current_trace.get(), self._project_id))
        if record.levelno >= logging.ERROR:
            log_data.setdefault("stack_trace", _call_site(record))
            log_data["serviceContext"] = SERVICE_CONTEXT

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {key: without_secrets(key, value) for key, value in log_data.items()}

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        try:
            return super().jsonify_log_record(log_data)
        except (TypeError, ValueError):  # invalid UTF-8, an endless structure, an integer past 64 bits
            return super().jsonify_log_record({_encodable(k): _encodable(v) for k, v in log_data.items()})


class DevelopmentFormatter(logging.Formatter):
    """Renders a record as a short line: time, level, logger, message, extras; below it the stack trace, if any."""

    COLOURS: Mapping[str, str] = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        extras = (
            f" {key}={without_secrets(key, value)}"
            for key, value in record.__dict__.items()
            if key not in RESERVED_ATTRS and key != "taskName"
        )
        level = severity_of(record.levelno)
        head = f"{local_time(record.created)} {level:<8} {record.name}: {record.getMessage()}"
        lines = [printable(head + "".join(extras))]
        if record.exc_info:
            lines += [printable(line) for line in self.formatException(record.exc_info).splitlines()]
        if record.stack_info:
            lines += [printable(line) for line in record.stack_info.splitlines()]
        text = "\n".join(lines)
        colour = self.COLOURS.get(level) if self._coloured else None
        return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


class Trace(NamedTuple):
    """The trace of a log line. `span_id` is "" if the caller named none."""

    trace_id: str
    span_id: str
    sampled: bool


def read_trace(traceparent: str | None, cloud_trace_context: str | None) -> Trace | None:
    """The trace in a request's headers; None if no header can be read.

    Sources: https://www.w3.org/TR/trace-context/ and https://cloud.google.com/trace/docs/trace-context
    """
    if traceparent and (match := TRACEPARENT.fullmatch(traceparent)):
        return Trace(match[1], match[2], bool(int(match[3], 16) & 1))
    if cloud_trace_context and (match := CLOUD_TRACE.fullmatch(cloud_trace_context)):
        span_id = f"{int(match[2]):016x}" if match[2] and 0 < int(match[2]) < 2**64 else ""
        return Trace(match[1].lower(), span_id, bool(int(match[3] or 0) & 1))
    return None


def trace_keys(traceparent: str | None, cloud_trace_context: str | None, project_id: str) -> TraceKeys:
    """The keys that connect a line with its trace; none if no header can be read."""
    trace = read_trace(traceparent, cloud_trace_context)
    if trace is None:
        return {}
    keys: TraceKeys = {"logging.googleapis.com/trace": f"projects/{project_id}/traces/{trace.trace_id}"}
    if trace.span_id:
        keys["logging.googleapis.com/spanId"] = trace.span_id
    keys["logging.googleapis.com/trace_sampled"] = trace.sampled
    return keys


def severity_of(levelno: int) -> str:
    """Cloud Logging's name for a level. A level in between has the name of the next lower one."""
    for least, name in ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"), (1, "DEBUG")):
        if levelno >= least:
            return name
    return "DEFAULT"


def rfc3339(epoch_s: float) -> str:
    """The time in UTC with `Z`. Fractional digits appear only if they are not zero."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z")


def local_time(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]


def printable(text: str) -> str:
    """The text, with escapes for all characters that could break a line or control a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def without_secrets(key: object, value: Any) -> Any:
    """The value; REDACTED if its key, or a key inside it, sounds like a secret."""
    if isinstance(key, str) and SECRETS.fullmatch(key):
        return REDACTED
    if isinstance(value, Mapping):
        return {inner: without_secrets(inner, each) for inner, each in value.items()}
    return value


def _call_site(record: logging.LogRecord) -> str:
    """The place where an error without an exception was logged, in the form of a traceback."""
    where = f'  File "{record.pathname}", line {record.lineno}, in {record.funcName}'
    return f"Traceback (most recent call last):\n{where}\n{record.name}: {record.getMessage()}"


def _encodable(value: Any) -> Any:
    try:
        orjson.dumps(value, default=orjson_default, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):
        return valid_unicode(str(value))
    return value


def valid_unicode(value: Any) -> Any:
    """The value, in which every string is valid Unicode."""
    if isinstance(value, dict):
        return {key: valid_unicode(each) for key, each in value.items()}
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
