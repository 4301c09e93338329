"""Numbers in headers and queries are read within bounds: Python refuses to convert more than 4,300 digits.

Every place that a client can put a number into is tried with too many digits, on every kind of request.
"""

import pytest

from service.telemetry.logs import RequestLog
from service.telemetry.logs.format import trace_keys
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import raw_connection
from tests.service.running import COLLECTION, running_service, waiting

DIGITS = "9" * 4_301
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = [
    f"X-Cloud-Trace-Context: {TRACE}/1;o={DIGITS}",
    f"X-Cloud-Trace-Context: {TRACE}/{DIGITS};o=1",
    f"traceparent: 00-{TRACE}-{DIGITS}-01",
    f"Cache-Control: max-age={DIGITS}",
    f'If-None-Match: "v{DIGITS}"',
    f"Last-Event-ID: {DIGITS}",
    f"Prefer: wait={DIGITS}",
    f"X-Request-Id: {DIGITS}",
    f"Content-Length: {DIGITS}",
    f"Accept: application/openmetrics-text; version={DIGITS}; q={DIGITS}",
    f"Accept: text/plain;q=0.{DIGITS}",
]
QUERIES = [f"wait={DIGITS}", f"limit={DIGITS}", f"page_token={DIGITS}", f"start_date={DIGITS}-01-01"]
PATHS = ["/healthz", "/status/import-1", "/status/nobody", "/status", "/status/nobody/events", "/metrics"]


async def test_no_route_fails_on_a_number_of_4301_digits(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch, request_log: RequestLog
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    async with running_service(local_firestore.host, project, window_size=0, request_log=request_log) as running:
        await running.synced()
        cases = [(path, line) for path in PATHS for line in HEADERS]
        cases += [(f"{path}?{query}", "Accept: */*") for path in PATHS for query in QUERIES]
        cases.remove((f"/status/nobody?{QUERIES[0]}", "Accept: */*"))  # which waits, as long as is granted
        for target, line in cases:
            async with raw_connection(running.url) as connection:
                await connection.send(f"GET {target} HTTP/1.1\r\nHost: s\r\n{line}\r\n\r\n".encode())
                head = await connection.head()
            assert 200 <= int(head[9:12]) < 500, (target, line[:60], head)


async def test_a_waiting_client_with_such_a_header_keeps_no_other_from_its_change(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch, request_log: RequestLog
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    version = local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    async with running_service(local_firestore.host, project, window_size=0, request_log=request_log) as running:
        await running.holds("import-1", version)
        path, seen = "/status/import-1?wait=50", {"If-None-Match": f'"v{version}"'}
        odd = seen | {"X-Cloud-Trace-Context": HEADERS[0].partition(": ")[2]}
        async with waiting(running, path, **odd) as first, waiting(running, path, **seen) as second:
            local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "completed"}})
            assert [(await first).status, (await second).status] == [200, 200]


@pytest.mark.parametrize(
    ("header", "sampled"),
    [(f"{TRACE}/1;o=1", True), (f"{TRACE}/1;o={'0' * 20}", False), (f"{TRACE}/1;o={DIGITS}", None)],
)
def test_the_trace_option_is_read_up_to_twenty_digits(header: str, sampled: bool | None) -> None:
    assert trace_keys(None, header, "p").get("logging.googleapis.com/trace_sampled") is sampled
