"""Every record and request is one well-formed line in Cloud Logging's form."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.logs import RequestLog, WriterHandler, configure_logging, current_trace
from service.telemetry.logs.format import severity_of, trace_keys
from service.telemetry.logs.request_log import escaped
from service.telemetry.logs.writer import LogWriter

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "projects/a-project/traces/0af7651916cd43dd8448eb211c80319c"
LOG = logging.getLogger("service.somewhere")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Logged:
    """What came out of one configuration of the logs."""

    def __init__(self, environment: str, level: str, stream: io.StringIO | None = None) -> None:
        self.stream = stream or io.StringIO()
        self.writer = configure_logging(
            environment=environment, level=level, project_id="a-project", stream=self.stream
        )
        self.requests = RequestLog(
            self.writer,
            environment=environment,
            level=level,
            project_id="a-project",
            clock=lambda: 1_795_464_000.5,
            monotonic=lambda: 1.250123,
        )

    def text(self) -> str:
        assert self.writer.flush()
        return self.stream.getvalue()

    def entries(self) -> list[dict[str, Any]]:
        text = self.text()
        assert text.endswith("\n")
        return [json.loads(line) for line in text[:-1].split("\n")]

    def entry(self) -> dict[str, Any]:
        (entry,) = self.entries()
        return entry

    def request(self, path: str = "/status/a-1", status: int = 200, traceparent: str | None = None) -> None:
        fields = {b"user-agent": b"curl/8"}
        if traceparent is not None:
            fields[b"traceparent"] = traceparent.encode()
        self.requests.log((b"GET", status, "192.0.2.7", fields, escaped(path), 312, 0.000123, 1.000123, b"r-1"))


@contextmanager
def pytests_own_capture_off() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers
    root.handlers = [handler for handler in handlers if isinstance(handler, WriterHandler)]
    try:
        yield
    finally:
        root.handlers = handlers


@pytest.fixture
def logged() -> Iterator[Callable[..., Logged]]:
    """Configures the logs for one test; afterwards the root logger is as it was before."""
    level = logging.getLogger().level

    def configure(environment: str = "production", level: str = "INFO", stream: io.StringIO | None = None) -> Logged:
        return Logged(environment, level, stream)

    yield configure
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, WriterHandler)]:
        root.removeHandler(handler)
        handler.writer.close()
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_record_is_one_object_in_cloud_logging_s_form(logged: Callable[..., Logged]) -> None:
    out = logged()
    LOG.info("%d changes applied", 3, extra={"documents": 10, "reason": "a\nb"})
    entry = out.entry()
    assert entry.pop("time").endswith("Z")
    assert entry == {"severity": "INFO", "message": "3 changes applied", "documents": 10, "reason": "a\nb"}


def test_an_exception_is_logged_with_its_stack_trace(logged: Callable[..., Logged]) -> None:
    out = logged()
    try:
        raise ValueError("it\nbroke")
    except ValueError:
        LOG.exception("no answer")
    entry = out.entry()
    assert entry["severity"] == "ERROR"
    assert entry["message"] == "no answer"
    assert entry["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert entry["stack_trace"].endswith("ValueError: it\nbroke")
    assert entry["serviceContext"]["service"] == "process-status-service"


def test_an_error_without_an_exception_names_the_place_it_was_logged(logged: Callable[..., Logged]) -> None:
    out = logged()
    LOG.error("a task ended early")
    trace = out.entry()["stack_trace"].splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[1].endswith("in test_an_error_without_an_exception_names_the_place_it_was_logged")
    assert trace[2] == "service.somewhere: a task ended early"


def test_records_of_a_request_carry_its_trace(logged: Callable[..., Logged]) -> None:
    out = logged()
    token = current_trace.set((TRACEPARENT, None))
    LOG.warning("slow")
    current_trace.reset(token)
    LOG.warning("of nobody")
    of_request, other = out.entries()
    assert of_request["logging.googleapis.com/trace"] == TRACE
    assert of_request["logging.googleapis.com/spanId"] == "b7ad6b7169203331"
    assert of_request["logging.googleapis.com/trace_sampled"] is True
    assert "logging.googleapis.com/trace" not in other


@pytest.mark.parametrize(
    "key", ["api_key", "API_KEYS", "X-API-Key", "Authorization", "cookie", "password", "proxy-authorization"]
)
@pytest.mark.parametrize("environment", ["production", "development"])
def test_extras_named_like_a_secret_lose_their_value(logged: Callable[..., Logged], key: str, environment: str) -> None:
    out = logged(environment)
    LOG.info("asked", extra={key: "s3cret", "headers": {key: "s3cret", "Accept": "*/*"}})
    text = out.text()
    assert "s3cret" not in text
    assert "*/*" in text


class Unusual:
    def __str__(self) -> str:
        return "unusual \udcff"


@pytest.mark.parametrize(
    "extra",
    [
        {"x": "\udcff"},
        {"x": 2**70},
        {"x": Unusual()},
        {"x": {1: b"\xff"}},
        {"x": float("nan")},
        {"\udcff": 1},
    ],
)
def test_no_extra_breaks_a_line(logged: Callable[..., Logged], extra: dict[str, object]) -> None:
    out = logged()
    with pytests_own_capture_off():  # a worker process can't report text that is not UTF-8
        LOG.info("odd \udcff\x00\n", extra=extra)
    entry = out.entry()
    assert entry["severity"] == "INFO"
    assert len(entry) == 4


def test_an_endless_extra_does_not_break_a_line(logged: Callable[..., Logged]) -> None:
    out = logged()
    endless: list[object] = []
    endless.append(endless)
    LOG.info("odd", extra={"x": endless})
    assert out.entry()["x"] == "[[...]]"


def test_records_below_the_level_are_not_logged(logged: Callable[..., Logged]) -> None:
    out = logged(level="WARNING")
    LOG.info("no")
    out.request()
    LOG.warning("yes")
    out.request(status=503)
    assert [entry["message"] for entry in out.entries()] == ["yes", "GET /status/a-1 503"]


def test_configuring_again_replaces_and_never_doubles(logged: Callable[..., Logged]) -> None:
    first, second = logged(), logged()
    LOG.info("once")
    assert second.entry()["message"] == "once"
    assert first.stream.getvalue() == ""


def test_a_request_is_one_object_in_cloud_logging_s_form(logged: Callable[..., Logged]) -> None:
    out = logged()
    out.request(traceparent=TRACEPARENT)
    assert out.entry() == {
        "severity": "INFO",
        "message": "GET /status/a-1 200",
        "time": "2026-11-23T20:00:00.250Z",
        "httpRequest": {
            "requestMethod": "GET",
            "requestUrl": "/status/a-1",
            "status": 200,
            "responseSize": "312",
            "latency": "0.000123s",
            "remoteIp": "192.0.2.7",
            "userAgent": "curl/8",
        },
        "request_id": "r-1",
        "logging.googleapis.com/trace": TRACE,
        "logging.googleapis.com/spanId": "b7ad6b7169203331",
        "logging.googleapis.com/trace_sampled": True,
    }


@pytest.mark.parametrize("response_bytes", [0, 312, 1023, 1024, 5_000_000])
@pytest.mark.parametrize(
    ("seconds", "latency"),
    [
        (0.0, "0.000000s"),
        (0.0000074, "0.000007s"),
        (0.0009984, "0.000998s"),
        (0.0009989999, "0.000999s"),
        (0.0009996, "0.001000s"),
        (0.25, "0.250000s"),
        (61.5, "61.500000s"),
    ],
)
def test_any_size_and_latency_is_written_out(
    logged: Callable[..., Logged], response_bytes: int, seconds: float, latency: str
) -> None:
    out = logged()
    out.requests.log((b"GET", 200, "", {}, b"/", response_bytes, seconds, 1.0, b"r-1"))
    http = out.entry()["httpRequest"]
    assert (http["responseSize"], http["latency"]) == (str(response_bytes), latency)


def test_records_and_requests_leave_in_the_order_they_were_logged(logged: Callable[..., Logged]) -> None:
    out = logged()
    for number in range(50):
        LOG.info("record %d", number)
        out.request(f"/{number}")
    messages = [entry["message"] for entry in out.entries()]
    assert messages == [text for number in range(50) for text in (f"record {number}", f"GET /{number} 200")]


any_text = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\r\n{}", "\x1b[2J", "\udcff", "\u2028", '"']
)


@given(
    path=any_text,
    user_agent=any_text,
    trace=any_text,
    environment=st.sampled_from(["production", "development"]),
)
def test_no_request_breaks_a_line(path: str, user_agent: str, trace: str, environment: str) -> None:
    stream = io.StringIO()
    writer = LogWriter(stream, lambda _: b"")
    requests = RequestLog(writer, environment=environment, level="INFO", project_id="p")
    agent, traced = (text.encode("utf-8", "surrogatepass") for text in (user_agent, trace))
    fields = {b"user-agent": agent, b"traceparent": traced, b"x-cloud-trace-context": traced}
    requests.log((agent, 200, "", fields, escaped(path), 1, 0.001, 0.001, escaped(trace)))
    assert writer.close()
    line, end = stream.getvalue().split("\n")
    assert end == ""
    if environment == "production":
        assert json.loads(line)["httpRequest"]["status"] == 200
    else:
        assert line.isprintable()


def test_development_is_a_short_line_for_people(logged: Callable[..., Logged]) -> None:
    out = logged("development")
    LOG.warning("listener \x1b[2Jstopped", extra={"reason": "idle"})
    out.request()
    record, request = out.text().splitlines()
    assert record[12:] == " WARNING  service.somewhere: listener \\x1b[2Jstopped reason=idle"
    assert request[12:] == " INFO     GET /status/a-1 200 312 B 0.12 ms"


def test_development_shows_stack_traces_on_lines_of_their_own(logged: Callable[..., Logged]) -> None:
    out = logged("development")
    try:
        raise ValueError("broken")
    except ValueError:
        LOG.exception("no answer")
    lines = out.text().splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: broken"


def test_only_a_terminal_is_shown_colours(logged: Callable[..., Logged]) -> None:
    on_terminal = logged("development", stream=Terminal())
    LOG.error("red")
    assert on_terminal.text().startswith("\x1b[31m")
    piped = logged("development")
    LOG.error("plain")
    assert "\x1b" not in piped.text()


@pytest.mark.parametrize(
    ("traceparent", "cloud_trace", "trace", "span", "sampled"),
    [
        (TRACEPARENT, None, TRACE, "b7ad6b7169203331", True),
        (TRACEPARENT[:-1] + "0", None, TRACE, "b7ad6b7169203331", False),
        ("01" + TRACEPARENT[2:] + "-more", None, TRACE, "b7ad6b7169203331", True),
        ("ff" + TRACEPARENT[2:], None, None, None, None),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None, None, None, None),
        (TRACEPARENT.upper(), None, None, None, None),
        ("nonsense", "0af7651916cd43dd8448eb211c80319c/255;o=1", TRACE, "00000000000000ff", True),
        (None, "0AF7651916CD43DD8448EB211C80319C/255", TRACE, "00000000000000ff", False),
        (None, "0af7651916cd43dd8448eb211c80319c", TRACE, None, False),
        (None, "0af7651916cd43dd8448eb211c80319c/99999999999999999999;o=1", TRACE, None, True),
        (None, "0" * 32 + "/1;o=1", None, None, None),
        (None, None, None, None, None),
    ],
)
def test_both_trace_headers_are_read(
    traceparent: str | None,
    cloud_trace: str | None,
    trace: str | None,
    span: str | None,
    sampled: bool | None,
) -> None:
    keys = trace_keys(traceparent, cloud_trace, "a-project")
    assert keys.get("logging.googleapis.com/trace") == trace
    assert keys.get("logging.googleapis.com/spanId") == span
    assert keys.get("logging.googleapis.com/trace_sampled") == sampled


@pytest.mark.parametrize(
    ("level", "severity"),
    [(0, "DEFAULT"), (5, "DEBUG"), (20, "INFO"), (25, "INFO"), (40, "ERROR"), (99, "CRITICAL")],
)
def test_every_level_has_a_severity(level: int, severity: str) -> None:
    assert severity_of(level) == severity
